package labtest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rewrite is the -rewrite flag of the test binary: golden files and scripts are written anew with what the code
// answers now, for the diff to be reviewed.
var rewrite = flag.Bool("rewrite", false, "write golden files and scripts anew")

// Golden compares got with the file testdata/<name>; under -rewrite it writes the file.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	compareFile(t, filepath.Join("testdata", name), got)
}

func compareFile(t testing.TB, path, got string) {
	t.Helper()
	if *rewrite {
		rewriteFile(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden: %v (make it with -rewrite)", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-file +now; accept with -rewrite):\n%s", path, diff)
	}
}

func rewriteFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("golden: %v", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatalf("golden: %v", err)
	}
}
