package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/deploy/internal/site"
	"github.com/everup/everup/shared/labtest"
)

// block is a fenced piece of a document.
type block struct {
	info string // what stands behind the fence: "sh", "yaml lbd"
	text string
}

// blocks returns the fenced pieces of a document of the project.
func blocks(t *testing.T, name string) (out []block) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	var cur *block
	for line := range strings.Lines(string(b)) {
		fence, ok := strings.CutPrefix(line, "```")
		switch {
		case ok && cur == nil:
			cur = &block{info: strings.TrimSpace(fence)}
		case ok:
			out, cur = append(out, *cur), nil
		case cur != nil:
			cur.text += line
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no snippet", name)
	}
	return out
}

// lines returns the commands of a shell snippet.
func (b block) lines() (out []string) {
	for line := range strings.Lines(b.text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

var portRE = regexp.MustCompile(`\b[0-9]{4,5}\b`)

// shift moves the ports of the examples to those of the running suite.
func (s *suite) shift(line string) string {
	ports := map[string]int{}
	for _, p := range site.Ports() {
		ports[strconv.Itoa(p.Number)] = p.Number + s.Offset
	}
	return portRE.ReplaceAllStringFunc(line, func(n string) string {
		if to, ok := ports[n]; ok {
			return strconv.Itoa(to)
		}
		return n
	})
}

// Every snippet of the documents runs: make targets exist, configurations are accepted, commands succeed against a
// running suite.
func TestDocuments(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	labtest.Needs(t, "bash", "curl", "dig", "nc", "logger")
	s := start(t)
	dir := filepath.Dir(s.Layout.Dir)
	for name, to := range map[string]string{"bin": s.bin, "README.md": "../../README.md"} {
		abs, err := filepath.Abs(to)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(abs, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, doc := range []string{"README.md", "CONTRIBUTING.md"} {
		for _, b := range blocks(t, doc) {
			switch lang, daemon, _ := strings.Cut(b.info, " "); lang {
			case "sh":
				for _, line := range b.lines() {
					s.snippet(t, dir, string(makefile), line)
				}
			case "yaml":
				s.checked(t, dir, daemon, b.text)
			case "":
			default:
				t.Errorf("%s: a snippet of kind %q is not run", doc, b.info)
			}
		}
	}
}

// snippet runs one line of a document.
func (s *suite) snippet(t *testing.T, dir, makefile, line string) {
	t.Helper()
	if target, ok := strings.CutPrefix(line, "make "); ok {
		target = strings.Fields(target)[0]
		if !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("%q: the Makefile has no target %s", line, target)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), "timeout", "20", "bash", "-c", "set -o pipefail; "+s.shift(line))
	cmd.Dir = dir
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%q: %v\n%s", line, err, out)
	}
	t.Logf("%s (%v)\n%s", line, time.Since(begin).Round(time.Millisecond), out[:min(len(out), 1500)])
}

// checked has the daemon's own check accept a configuration.
func (s *suite) checked(t *testing.T, dir, daemon, text string) {
	t.Helper()
	secret := filepath.Join(dir, "fleet.secret")
	if err := os.WriteFile(secret, []byte("a-secret-of-enough-bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "snippet-"+daemon+".yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/etc/everup/fleet.secret", secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(s.bin, daemon), "check", "-c", file).CombinedOutput(); err != nil {
		t.Errorf("%s check: %v\n%s\n%s", daemon, err, out, text)
	}
}
