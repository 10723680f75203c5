package files

import (
	"slices"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
)

// suffix is what the name of a file's sibling in a coding ends in.
func suffix(c encoding.Coding) string {
	switch c {
	case encoding.Brotli:
		return ".br"
	case encoding.Zstd:
		return ".zst"
	}
	return ".gz"
}

// choose puts the sibling of the open file in its place that the client likes best; of those it likes alike the one that is preferred here.
// One that is older than the file is of what the file once was.
func (t *Tree) choose(r *Request, a *Answer, name []byte) encoding.Coding {
	if len(t.o.Precompressed) == 0 {
		return encoding.Identity
	}
	var all [4]encoding.Coding
	there := append(all[:0], t.o.Precompressed...)
	accept := encoding.ReadAccept(r.Head, r.Bytes)
	for {
		c := accept.Choose(there)
		if c == encoding.Identity || t.sibling(a, name, c) {
			return c
		}
		at := slices.Index(there, c)
		there = slices.Delete(there, at, at+1)
	}
}

// sibling opens a file's sibling in its place.
func (t *Tree) sibling(a *Answer, name []byte, c encoding.Coding) bool {
	begin := len(a.buf)
	a.buf = append(append(a.buf, name...), suffix(c)...)
	o := &a.other
	if t.fs.Open(a.last(len(a.buf)-begin), o) != nil {
		return false
	}
	if o.Kind != Regular || o.Changed/int64(time.Second) < a.File.Changed/int64(time.Second) { // tools that make them keep whole seconds
		t.fs.Close(o)
		return false
	}
	a.closeFile()
	a.File = *o
	return true
}
