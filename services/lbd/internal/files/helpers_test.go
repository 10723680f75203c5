package files

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// changed is when the fake's files were changed, now when requests come.
var (
	changed = time.Date(2026, 11, 20, 8, 30, 15, 123456789, time.UTC)
	now     = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
)

// fake is an FS in memory. It counts what is open.
type fake struct {
	all  map[string]fakeFile
	open int
}

type fakeFile struct {
	kind    Kind
	content string
	changed time.Time
	err     error
}

func (f *fake) Open(name []byte, o *Object) error {
	file, ok := f.all[string(name)]
	switch {
	case !ok:
		return fs.ErrNotExist
	case file.err != nil:
		return file.err
	}
	f.open++
	at := file.changed
	if at.IsZero() {
		at = changed
	}
	*o = Object{Kind: max(file.kind, Regular), FD: slices.Index(f.names(), string(name)), Size: int64(len(file.content)), Changed: at.UnixNano()}
	return nil
}

func (f *fake) Close(*Object) { f.open-- }

func (f *fake) names() []string { return slices.Sorted(maps.Keys(f.all)) }

func (f *fake) List(o *Object, limit int) (list []Entry, more bool, err error) {
	dir := f.names()[o.FD]
	for _, name := range f.names() {
		rest, ok := strings.CutPrefix(name, dir)
		if rest = strings.TrimPrefix(rest, "/"); !ok || rest == "" || strings.Contains(rest, "/") {
			continue
		}
		if len(list) == limit {
			return list, true, nil
		}
		file := f.all[name]
		list = append(list, Entry{Name: rest, Object: Object{Kind: max(file.kind, Regular), Size: int64(len(file.content)), Changed: changed.UnixNano()}})
	}
	return list, false, nil
}

// read returns a piece of a file.
func (f *fake) read(o *Object, off, end int64) string { return f.all[f.names()[o.FD]].content[off:end] }

func newFake() *fake {
	dir := fakeFile{kind: Directory}
	return &fake{all: map[string]fakeFile{
		"": dir, "sub": dir, "bare": dir, ".git": dir, ".well-known": dir,
		"a.txt":                  {content: "0123456789abcdefghij"},
		"empty":                  {},
		"index.html":             {content: "<p>top</p>"},
		"sub/index.html":         {content: "<p>sub</p>"},
		"bare/<b>&'\".txt":       {content: "x"},
		"bare/a:b c%\xff":        {content: "xyz"},
		"bare/.secret":           {content: "s"},
		"bare/deep":              dir,
		"bare/fifo":              {kind: Special},
		".git/config":            {content: "secret"},
		".well-known/x":          {content: "public"},
		"dev":                    {kind: Special},
		"shut.txt":               {err: fs.ErrPermission},
		"busy.txt":               {err: ErrBusy},
		"broken.txt":             {err: os.ErrInvalid},
		"style.css":              {content: "body { color: black }"},
		"style.css.br":           {content: "brotli"},
		"style.css.gz":           {content: "gzip!"},
		"stale.js":               {content: "new", changed: changed.Add(time.Hour)},
		"stale.js.br":            {content: "old"},
		"only.js.gz":             {content: "no original"},
		"fresh.txt":              {content: "just written", changed: now.Add(-time.Millisecond)},
		"future.txt":             {content: "clock", changed: now.Add(time.Hour)},
		"second.txt":             {content: "within a second", changed: now.Add(-1500 * time.Millisecond)},
		"Photo.JPEG":             {content: "jpeg"},
		"page.HTML":              {content: "html"},
		"noext":                  {content: "?"},
		"archive.tar.gz":         {content: "tgz"},
		"x.averyveryverylongext": {content: "?"},
	}}
}

// ask returns the answer to a request given as its request line's first two words and field lines.
func ask(t testing.TB, tree *Tree, text string, a *Answer) {
	t.Helper()
	line, fields, _ := strings.Cut(text, "\n")
	raw := line + " HTTP/1.1\r\nHost: a.test\r\n"
	for _, f := range strings.Split(fields, "\n") {
		if f != "" {
			raw += f + "\r\n"
		}
	}
	askRaw(t, tree, []byte(raw+"\r\n"), a)
}

func askRaw(t testing.TB, tree *Tree, raw []byte, a *Answer) {
	t.Helper()
	r := parse(t, raw, "")
	r.Path = []byte(decode(string(r.path())))
	tree.Answer(r, a)
}

// decode stands in for what package rule does.
func decode(path string) string {
	path, err := url.PathUnescape(path)
	if err != nil {
		panic(err)
	}
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// show is an answer as text.
func show(a *Answer, read func(o *Object, off, end int64) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.Status)
	for _, f := range a.Fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(&b, "(%d bytes)\n", a.Length)
	sent := 0
	for _, p := range a.Content {
		part := string(p.Text)
		if p.Text == nil {
			part = read(&a.File, p.Off, p.End)
		}
		sent += len(part)
		b.WriteString(part)
	}
	if len(a.Content) > 0 && int64(sent) != a.Length {
		fmt.Fprintf(&b, "BUG: %d bytes of content\n", sent)
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// status is an answer's status, and its content if it has some.
func status(a *Answer, f *fake) string {
	s := fmt.Sprint(a.Status)
	for _, p := range a.Content {
		if p.Text == nil {
			s += " " + f.read(&a.File, p.Off, p.End)
		}
	}
	return s
}

// quiet is an FS whose every name is a file of ten bytes.
type quiet struct{ FS }

func (quiet) Open(_ []byte, o *Object) error {
	*o = Object{Kind: Regular, Size: 10, Changed: changed.UnixNano()}
	return nil
}

func (quiet) Close(*Object) {}

// parse makes a request of a head, with the path that rules have made of it.
func parse(t testing.TB, raw []byte, path string) *Request {
	t.Helper()
	r, ok := tryParse(raw)
	if !ok {
		t.Fatalf("%q is no request", raw)
	}
	r.Path = []byte(path)
	return r
}

func tryParse(raw []byte) (*Request, bool) {
	var h http1.Head
	lim := http1.DefaultLimits()
	done, _ := h.ParseRequest(raw, &lim)
	return &Request{Head: &h, Bytes: raw, Now: now, Random: 12345678}, done
}

func askPath(t testing.TB, tree *Tree, raw, path string, a *Answer) {
	t.Helper()
	tree.Answer(parse(t, []byte(raw), path), a)
}
