package cached

import (
	"bufio"
	"go/parser"
	"go/token"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/mcflags"
	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
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

// all returns the first group of all matches, sorted and once.
func all(expr, text string) (out []string) {
	for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// same compares a list of the document with the code's.
func same(t *testing.T, what string, document, code []string) {
	t.Helper()
	slices.Sort(code)
	if d := cmp.Diff(code, document); d != "" || len(code) == 0 {
		t.Errorf("README.md has other %s than the code (-code +document):\n%s", what, d)
	}
}

func TestReadmeDifferences(t *testing.T) {
	var code []string
	for _, d := range oracletest.Differences() {
		code = append(code, d.Name)
	}
	section := between(t, readme(t), "\n## Differences from memcached 1.6.18\n", "\n### ")
	same(t, "differences", all(`(?m)^- \*\*(.+?)\*\*: \S`, section), code)
}

// The differences of the command line are those of package mcflags' documentation, word for word.
func TestReadmeCommandLine(t *testing.T) {
	dir := filepath.Join("internal", "mcflags")
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var doc string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		doc += f.Doc.Text()
	}
	_, code, _ := strings.Cut(doc, "# Deliberate differences from memcached 1.6.18\n")
	_, document, _ := strings.Cut(readme(t), "\n### Of the command line\n")
	if d := cmp.Diff(sentences(code), sentences(document)); d != "" || len(sentences(code)) < 5 {
		t.Errorf("README.md differs from the documentation of internal/mcflags (-code +document):\n%s", d)
	}
}

// sentences are the items and paragraphs of text without their layout.
func sentences(text string) (out []string) {
	for _, s := range regexp.MustCompile(`\n\s*- |\n\n`).Split(text, -1) {
		if s = strings.Join(strings.Fields(s), " "); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func TestReadmeOptionsWithoutEffect(t *testing.T) {
	var usage strings.Builder
	if err := mcflags.Usage(&usage); err != nil {
		t.Fatal(err)
	}
	list := strings.TrimSpace(between(t, usage.String(), "(-v says why)\n", "\nEnvironment"))
	if !strings.Contains(readme(t), "```\n  "+list+"\n```\n") {
		t.Errorf("README.md has not this list of options without effect:\n%s", list)
	}
}

// source is the package without its tests.
func source(t *testing.T) (text string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
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
	return text
}

func TestReadmeEvents(t *testing.T) {
	table := between(t, readme(t), "| kind | when | data |\n", "\n\n")
	same(t, "events", all("(?m)^\\| `([a-z-]+)` ", table), all(`Bus\.Emit\("([a-z-]+)"`, source(t)))
}

func TestReadmeHealth(t *testing.T) {
	same(t, "health items", all("`(cached\\.[a-z]+)`", between(t, readme(t), "\n**Health items**", "\n\n")), all(`Health\.Item\("([a-z.]+)"`, source(t)))
}

// A metric is a name and a sentence, or the constant for one, next to each other.
func TestReadmeMetrics(t *testing.T) {
	b, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	var document []string
	for _, cell := range all(`(?m)^\| ([^|]+) \|`, between(t, readme(t), "| metrics | what they tell |\n|---|---|\n", "\n\n")) {
		document = append(document, all("`([a-z_]+)`", cell)...)
	}
	slices.Sort(document)
	same(t, "metrics", document, all(`[({]"([a-z_]+)", (?:"[A-Z]|evictions,|expired,)`, string(b)))
}

// ARCHITECTURE.md's picture of cached has every package.
func TestArchitecture(t *testing.T) {
	b, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	picture := between(t, string(b), "\nservices/cached ", "\n```")
	dirs, err := os.ReadDir("internal")
	if err != nil || len(dirs) == 0 {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !regexp.MustCompile(`\b` + d.Name() + `\b`).MatchString(picture) {
			t.Errorf("the picture of cached lacks internal/%s", d.Name())
		}
	}
}

// The list of Redis's commands is what a client is told.
func TestReadmeCommands(t *testing.T) {
	addr := labtest.FreeAddr(t)
	start(t, "resp: {listen: ['"+addr+"']}\n")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "COMMAND LIST\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(c)
	in.Scan()
	n, err := strconv.Atoi(strings.TrimPrefix(in.Text(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	var code []string
	for range n {
		in.Scan() // the length
		in.Scan()
		code = append(code, strings.ToUpper(in.Text()))
	}
	same(t, "commands", all(`([A-Z]+)`, between(t, readme(t), "\n```commands\n", "\n```")), code)
}
