package lbd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/events"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// The lists of README.md are those of the code. Its snippets are run by deploy/e2e.

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// between cuts what stands between two pieces of text.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, text, ok := strings.Cut(text, from)
	text, _, ends := strings.Cut(text, to)
	if !ok || !ends {
		t.Fatalf("nothing stands between %q and %q", from, to)
	}
	return text
}

// words returns the first group of all matches, sorted and once.
func words(expr, text string) (out []string) {
	for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// cells returns what stands in backquotes in the first column of a table.
func cells(table string) []string {
	return words("`([a-z0-9_]+)`", strings.Join(words(`(?m)^\| ([^|]+) \|`, table), " "))
}

// same compares a list of the document with the code's.
func same(t *testing.T, what string, document, code []string) {
	t.Helper()
	slices.Sort(code)
	if d := cmp.Diff(code, document); d != "" || len(code) == 0 {
		t.Errorf("README.md has other %s than the code (-code +document):\n%s", what, d)
	}
}

func TestReadmeMetrics(t *testing.T) {
	r := metric.NewRegistry("everup_lbd")
	floor := r.Names()
	s := &Service{counters: newCounters(), events: events.NewEmitter(func(string, string, any) {}), guards: newGuards()}
	s.counters.register(r, s)
	s.registerCertificates(r)
	if _, err := newBeginnings(r, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	s.registerContent(r)
	accesslog.New(accesslog.Env{Metrics: r, Health: health.NewRegistry()}).Close()
	var code []string
	for _, name := range r.Names() {
		if !slices.Contains(floor, name) {
			code = append(code, strings.TrimPrefix(name, "everup_lbd_"))
		}
	}
	same(t, "metrics", cells(between(t, readme(t), "| metrics | what they tell |\n|---|---|\n", "\n\n")), code)
}

func TestReadmeVariables(t *testing.T) {
	same(t, "variables", cells(between(t, readme(t), "| variables | what they are |\n|---|---|\n", "\n\n")), accesslog.Names())
}

// source is the package, and those in directories below it, without tests.
func source(t *testing.T, dirs ...string) (text string) {
	t.Helper()
	for _, dir := range append(dirs, ".") {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err != nil {
				t.Fatal(err)
			} else if !strings.HasSuffix(f, "_test.go") {
				text += string(b)
			}
		}
	}
	return text
}

func TestReadmeEvents(t *testing.T) {
	section := between(t, readme(t)+"\n", "\n**Events** on the bus", "\n\n")
	same(t, "events", words("`((?:pool|certificate)-[a-z-]+)`", section),
		words(`"((?:pool|certificate)-[a-z-]+)"`, source(t, "internal/pool", "internal/certs")))
}

func TestReadmeHealth(t *testing.T) {
	section := between(t, readme(t), "\n**Health items**", "\n\n")
	same(t, "health items", words("`(lbd\\.[a-z.-]+?)[.]?(?:<[a-z]+>)?`", section), words(`"(lbd\.[a-z-]+(?:\.[a-z-]+)+)\.?"`, source(t, "internal/accesslog", "internal/certs")))
}

// What the document says of a restart is what the code refuses to change.
func TestReadmeRestart(t *testing.T) {
	section := between(t, readme(t), "A file that is wrong changes nothing. ", " need a restart")
	same(t, "keys that need a restart", words("`([a-z_.]+)`", section), words(`return "([a-z_.]+)"`, between(t, source(t), "\nfunc needsRestart(", "\n}")))
}
