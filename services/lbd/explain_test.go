package lbd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/labtest"
)

func TestExplain(t *testing.T) {
	t.Setenv("EVERUP_LBD_MAX_HEADER", "2KiB")
	bad := filepath.Join(t.TempDir(), "lbd.yaml")
	if err := os.WriteFile(bad, []byte("routes: [{path: '~ (', pool: web}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(config string, args ...string) (code int, out, err string) {
		var stdout, stderr strings.Builder
		code = cli.Execute(t.Context(), daemon.Command(Spec()), append([]string{"explain", "-c", config}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	f := func(golden, config string, want int, args ...string) {
		t.Helper()
		code, out, errs := run(config, args...)
		if code != want {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, want, errs)
		}
		if golden != "" {
			labtest.Golden(t, golden, "$ lbd explain "+strings.Join(args, " ")+"\n"+out+errs)
		}
	}
	rewriting := "../../deploy/examples/lbd-rules/rewriting.yaml"
	f("explain-canary.txt", rewriting, 0, "--request", "GET https://www.example.com/app/x?lang=d%0ae", "--from", "203.0.113.5", "--chance", "0.99")
	f("explain-debug.json", rewriting, 0, "--request", "http://www.example.com/?trace=1", "--header", "X-Debug: 1", "--from", "10.0.0.1", "-o", "json")
	f("explain-limits.txt", "../../deploy/examples/lbd-dos/lbd.yaml", 0, "--request", "POST http://www.example.com/login", "--from", "203.0.113.5")
	f("explain-none.txt", rewriting, 3, "--request", "https://other.example.com/")
	f("explain-refused.txt", rewriting, 0, "--request", "https://www.example.com/../etc")
	content := "../../deploy/examples/lbd-content/lbd.yaml"
	f("explain-content.txt", content, 0, "--request", "http://www.example.com/news")
	f("explain-plain.txt", content, 0, "--request", "http://www.example.com/account/x")
	f("explain-files.txt", "../../deploy/examples/lbd-static/lbd.yaml", 0, "--request", "http://shop.example.com/downloads/list.csv")
	f("explain-upload.json", content, 0, "--request", "PUT http://www.example.com/upload/x", "-o", "json")
	f("", rewriting, 0, "--request", "https://www.example.com/", "--header", "X: "+strings.Repeat("y", 3000)) // the environment counts
	f("", rewriting, 2, "--request", "nonsense")
	f("", rewriting, 2)
	f("", rewriting, 2, "--request", "http://a/", "more")
	f("", filepath.Join(t.TempDir(), "missing.yaml"), 78, "--request", "http://a/")
	f("", bad, 78, "--request", "http://a/")
	if _, out, _ := run(rewriting, "--request", "https://www.example.com/", "--header", "X: "+strings.Repeat("y", 3000)); !strings.Contains(out, "head-too-large") {
		t.Errorf("max_header of the environment is not in force: %s", out)
	}
}
