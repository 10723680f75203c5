package files

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Coding is how a file's content is coded (RFC 9110 section 8.4.1).
type Coding uint8

// The codings, by which siblings of a file are known.
const (
	Identity Coding = iota
	Brotli          // .br
	Zstd            // .zst
	Gzip            // .gz

	codings
)

var codingNames = [codings]string{"identity", "br", "zstd", "gzip"}

var suffixes = [codings]string{"", ".br", ".zst", ".gz"}

// String returns the coding's name in HTTP.
func (c Coding) String() string { return codingNames[c%codings] }

// ParseCoding returns the coding of a name.
func ParseCoding(name string) (Coding, bool) {
	for c, n := range codingNames {
		if n == name {
			return Coding(c), true
		}
	}
	return Identity, false
}

// wishes are the qualities that a client gives to codings, in thousandths; -1: not named.
type wishes struct {
	q     [codings]int
	other int // of "*"
}

// wishes reads Accept-Encoding (RFC 9110 section 12.5.3). Without the field, any coding would do, and none is the safe one.
func (r *Request) wishes() (w wishes) {
	w.other = -1
	for i := range w.q {
		w.q[i] = -1
	}
	for i := range r.Head.Fields {
		if f := &r.Head.Fields[i]; f.ID == http1.AcceptEncoding {
			http1.Elements(f.Value.In(r.Bytes), w.note)
		}
	}
	return w
}

func (w *wishes) note(e []byte) bool {
	name, q := e, 1000
	for i, c := range e {
		if c == ';' || c == ' ' || c == '\t' {
			name, q = e[:i], quality(e[i:])
			break
		}
	}
	if string(name) == "*" {
		w.other = q
		return true
	}
	if http1.Equal(name, "x-gzip") {
		name = name[2:]
	}
	for c, known := range codingNames {
		if http1.Equal(name, known) {
			w.q[c] = q
		}
	}
	return true
}

// quality reads a weight, " ;q=0.5", in thousandths. One that is malformed is 0: what is not understood is not wanted.
func quality(b []byte) int {
	var kept [8]byte
	n := 0
	for _, c := range b {
		if c == ' ' || c == '\t' {
			continue
		}
		if n == len(kept) {
			return 0
		}
		kept[n], n = c, n+1
	}
	b = kept[:n]
	if len(b) < 4 || b[0] != ';' || b[1]|0x20 != 'q' || b[2] != '=' || b[3] != '0' && b[3] != '1' {
		return 0
	}
	q := int(b[3]-'0') * 1000
	if len(b) > 4 && b[4] != '.' {
		return 0
	}
	for i, unit := 5, 100; i < len(b); i, unit = i+1, unit/10 {
		if b[i] < '0' || b[i] > '9' {
			return 0
		}
		q += int(b[i]-'0') * unit
	}
	return min(q, 1000)
}

// of returns the quality of a coding.
func (w *wishes) of(c Coding) int {
	switch {
	case w.q[c] >= 0:
		return w.q[c]
	case w.other >= 0:
		return w.other
	case c == Identity:
		return 1 // good enough, if there is nothing that was asked for
	}
	return 0
}

// choose puts the sibling of the open file in its place that the client likes best; of those it likes alike the one that is preferred here.
// One that is older than the file is of what the file once was. It is not ok if no form of the file is acceptable.
func (t *Tree) choose(r *Request, a *Answer, name []byte) (c Coding, ok bool) {
	if len(t.o.Precompressed) == 0 {
		return Identity, true
	}
	w := r.wishes()
	for {
		best, q := Identity, w.of(Identity)
		for _, c := range t.o.Precompressed {
			if n := w.of(c); n > q || n == q && best == Identity && n > 0 {
				best, q = c, n
			}
		}
		if best == Identity {
			return Identity, q > 0
		}
		if t.sibling(a, name, best) {
			return best, true
		}
		w.q[best] = 0
	}
}

// sibling opens a file's sibling in its place.
func (t *Tree) sibling(a *Answer, name []byte, c Coding) bool {
	begin := len(a.buf)
	a.buf = append(append(a.buf, name...), suffixes[c]...)
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
