package files

import (
	"errors"
	"io/fs"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// Options say how files are served.
type Options struct {
	Index         []string          // names tried for a directory, in order
	Listing       bool              // list a directory that has none of them
	Hidden        bool              // serve names that begin with a dot, too
	Precompressed []encoding.Coding // siblings to look for, the preferred one first
	Fallback      string            // path below the root that is served in place of one that is missing; empty: 404
	MaxAge        time.Duration     // of Cache-Control; 0: no such field
}

// Tree serves the files of an FS.
type Tree struct {
	fs    FS
	o     Options
	cache []byte // value of Cache-Control; nil: none
}

// New returns a Tree.
func New(files FS, o Options) *Tree {
	t := &Tree{fs: files, o: o}
	if o.MaxAge > 0 {
		t.cache = strconv.AppendInt([]byte("max-age="), int64(o.MaxAge/time.Second), 10)
	}
	return t
}

// Request is what is asked for.
type Request struct {
	Head   *http1.Head
	Bytes  []byte // what Head's texts are places in
	Path   []byte // below the root, decoded; begins with "/" and has no dot segments (rule.Verdict.Path)
	Now    time.Time
	Random uint64 // for the boundary of a multipart answer
}

// get returns the first value of a field and how many lines of it there are.
func (r *Request) get(id http1.ID) (value []byte, lines int) {
	for i := range r.Head.Fields {
		if f := &r.Head.Fields[i]; f.ID == id {
			if lines == 0 {
				value = f.Value.In(r.Bytes)
			}
			lines++
		}
	}
	return value, lines
}

func (r *Request) method() []byte { return r.Head.Method.In(r.Bytes) }

// path returns the path as the client wrote it.
func (r *Request) path() []byte { return r.Head.Target.Path.In(r.Bytes) }

// The methods that there are for files.
const allowed = "GET, HEAD, OPTIONS"

// Answer fills a. If a.File is open then, it is a's until Close.
func (t *Tree) Answer(r *Request, a *Answer) {
	a.reset(t.fs)
	switch string(r.method()) {
	case "GET", "HEAD":
	case "OPTIONS":
		a.Status = 204
		a.add("Allow", allowed)
		return
	default:
		a.Status = 405
		a.add("Allow", allowed)
		return
	}
	err := t.find(r, a, r.Path)
	if t.o.Fallback != "" && errors.Is(err, fs.ErrNotExist) {
		a.buf = append(a.buf, t.o.Fallback...)
		err = t.find(r, a, a.last(len(t.o.Fallback)))
	}
	if err != nil {
		a.fail(statusOf(err))
	}
}

// statusOf says what a client is told of an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 404
	case errors.Is(err, fs.ErrPermission):
		return 403
	case errors.Is(err, ErrBusy):
		return 503
	}
	return 500
}

// find answers with what a path names.
func (t *Tree) find(r *Request, a *Answer, path []byte) error {
	if !t.o.Hidden && hidden(path) {
		return fs.ErrNotExist
	}
	name := path[1:]
	if n := len(name); n == 0 || name[n-1] == '/' {
		return t.directory(r, a, name[:max(n-1, 0)])
	}
	if err := t.fs.Open(name, &a.File); err != nil {
		return err
	}
	switch a.File.Kind {
	case Regular:
		return t.file(r, a, name)
	case Directory:
		if asked := r.path(); len(asked) > 0 && asked[len(asked)-1] != '/' {
			a.redirect(asked, r)
			return nil
		}
		a.closeFile() // a rule has rewritten the path: the client knows it as a directory already
		return t.directory(r, a, name)
	}
	return fs.ErrPermission
}

// directory answers with a directory's index, or its list.
func (t *Tree) directory(r *Request, a *Answer, name []byte) error {
	for _, index := range t.o.Index {
		begin := len(a.buf)
		if len(name) > 0 {
			a.buf = append(append(a.buf, name...), '/')
		}
		a.buf = append(a.buf, index...)
		full := a.buf[begin:len(a.buf):len(a.buf)]
		err := t.fs.Open(full, &a.File)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case a.File.Kind == Regular:
			return t.file(r, a, full)
		default:
			a.closeFile()
		}
	}
	if err := t.fs.Open(name, &a.File); err != nil {
		return err
	}
	switch {
	case a.File.Kind != Directory:
		return fs.ErrNotExist
	case !t.o.Listing:
		return fs.ErrPermission
	}
	return t.list(r, a)
}

// file answers with the open regular file.
func (t *Tree) file(r *Request, a *Answer, name []byte) error {
	kind := typeOf(name)
	coding := t.choose(r, a, name)
	if len(t.o.Precompressed) > 0 {
		a.vary = true
	}
	now := r.Now.UnixNano()
	if a.tag(coding, now); coding == encoding.Identity {
		a.Kind, a.Whole = kind, a.File.Size
	}
	a.changed = min(a.File.Changed, now) / int64(time.Second)
	switch r.judge(a) {
	case failed:
		a.fail(412)
	case unchanged:
		a.closeFile()
		a.Status = 304
		t.meta(a)
	case met:
		t.content(r, a, kind, coding)
	}
	return nil
}

// content answers with the file or the ranges of it that are asked for.
func (t *Tree) content(r *Request, a *Answer, kind string, coding encoding.Coding) {
	size := a.File.Size
	a.Status, a.Length = 200, size
	switch a.ranges = a.ranges[:0]; r.ranges(a) {
	case notSatisfiable:
		a.fail(416)
		a.contentRange(span{-1, -1})
		return
	case satisfiable:
		a.Status = 206
	}
	if len(a.ranges) > 1 {
		a.multipart(kind, r.Random)
	} else {
		a.add("Content-Type", kind)
		whole := span{0, size}
		if len(a.ranges) == 1 {
			whole = a.ranges[0]
			a.contentRange(whole)
		}
		a.piece(whole)
	}
	if coding != encoding.Identity {
		a.add("Content-Encoding", coding.String())
	}
	t.meta(a)
	a.addTime("Last-Modified", a.changed)
	a.add("Accept-Ranges", "bytes")
	a.add("X-Content-Type-Options", "nosniff")
	if string(r.method()) == "HEAD" {
		a.Content = a.Content[:0]
	}
	if len(a.Content) == 0 {
		a.closeFile()
	}
}

// meta adds what an answer without content says, too (RFC 9110 section 15.4.5).
func (t *Tree) meta(a *Answer) {
	a.addBytes("ETag", a.etag)
	if a.vary {
		a.add("Vary", "Accept-Encoding")
	}
	if t.cache != nil {
		a.addBytes("Cache-Control", t.cache)
	}
}
