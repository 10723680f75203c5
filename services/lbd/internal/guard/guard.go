// Package guard lets through only HTTP/1.1 requests whose end all readers agree on (RFC 9112; request smuggling, CWE-444).
//
// net/http is more tolerant than a proxy may be: it takes bare LF for a line end, joins folded lines, and lets
// Transfer-Encoding win over Content-Length. A Conn reads the client's bytes first. It hands a head on when it is whole and
// strict, and follows the body's framing to find where the next head begins. At the first violation it hands on bytes
// that net/http answers with 400 (in a body: fails with), and then the end of the stream, so that what follows is never
// read as a request.
package guard

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
)

// mode says what the next bytes are.
type mode uint8

const (
	head     mode = iota
	fixed         // a body of left bytes
	size          // a chunk's size line
	data          // left bytes of a chunk
	dataEnd       // CRLF after a chunk
	trailers      // field lines up to an empty one
	open          // not ours any more: an upgrade, or a head that net/http refuses by itself
	refused       // nothing more is read
)

// maxLine bounds the size line of a chunk with its extensions.
const maxLine = 4096

// slack is what net/http allows for beyond its limit of a head.
const slack = 4096

// Conn is a client's connection. Its Read is meant for one goroutine at a time, as net/http does it.
type Conn struct {
	net.Conn
	max  int // bytes of a head
	mode mode
	left int64
	in   []byte // read, and not looked at yet
	seen int    // bytes of in that hold no end of head and no violation
	out  []byte // may be handed on

	// hold keeps what follows a request that asks for an upgrade unjudged, until it is known whether it is HTTP: a client
	// may send the other protocol's first bytes early, while net/http listens for the end of the connection.
	hold atomic.Bool
}

type key struct{}

// NewContext returns ctx with the guard of its connection, for FromContext.
func NewContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// FromContext returns the guard of a request's connection, nil where it has none.
func FromContext(ctx context.Context) *Conn {
	c, _ := ctx.Value(key{}).(*Conn)
	return c
}

// Resume says that the request is answered and that HTTP follows. It may run beside a Read.
func (c *Conn) Resume() { c.hold.Store(false) }

// New returns c guarded. Heads above maxHead are handed on as they are, for net/http to answer 431 (maxHead is its MaxHeaderBytes).
func New(c net.Conn, maxHead int) *Conn { return &Conn{Conn: c, max: maxHead + slack} }

// Release ends the guard: what follows is no HTTP. It must not run beside a Read.
func (c *Conn) Release() { c.mode = open }

// CloseWrite ends the sending direction alone, where the connection can.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Conn.Close()
}

// Read reads what may be handed on.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(c.out) > 0 {
			n := copy(p, c.out)
			c.out = c.out[n:]
			return n, nil
		}
		if c.mode == refused {
			return 0, io.EOF
		}
		if len(c.in) == 0 {
			if n, err, ok := c.direct(p); ok {
				return n, err
			}
		} else if c.step() {
			continue
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

// direct reads a body's bytes without a copy.
func (c *Conn) direct(p []byte) (n int, err error, ok bool) {
	switch c.mode {
	case open:
		n, err = c.Conn.Read(p)
		return n, err, true
	case fixed, data:
		n, err = c.Conn.Read(p[:min(int64(len(p)), c.left)])
		c.pass(int64(n))
		return n, err, true
	}
	return 0, nil, false
}

// fill reads more into in. A time-out keeps what is there for the next Read.
func (c *Conn) fill() error {
	if len(c.in) == 0 {
		c.in = nil // an idle connection holds no buffer
	}
	var buf [4096]byte
	n, err := c.Conn.Read(buf[:])
	c.in = append(c.in, buf[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// step moves bytes from in to out; false: it needs more of them.
func (c *Conn) step() bool {
	switch c.mode {
	case head:
		return c.head()
	case fixed, data:
		n := min(int64(len(c.in)), c.left)
		c.give(int(n))
		c.pass(n)
		return true
	case size:
		return c.line(c.chunkSize)
	case dataEnd:
		return c.dataEnd()
	case trailers:
		return c.line(c.trailer)
	}
	c.give(len(c.in))
	return true
}

// pass counts body bytes and finds what comes after them.
func (c *Conn) pass(n int64) {
	c.left -= n
	if c.left > 0 {
		return
	}
	if c.mode == fixed {
		c.mode = head
	} else {
		c.mode = dataEnd
	}
}

// give hands the first n bytes of in on.
func (c *Conn) give(n int) {
	c.out, c.in, c.seen = c.in[:n:n], c.in[n:], 0
}

// refuse hands on what net/http takes for malformed wherever it stands, and ends.
func (c *Conn) refuse() bool {
	c.out, c.in, c.mode = []byte("?\r\n\r\n"), nil, refused
	return true
}

// head looks for a whole head and judges it.
func (c *Conn) head() bool {
	if c.hold.Load() {
		return len(c.in) > c.max && c.refuse()
	}
	if bytes.HasPrefix(c.in, []byte("\r\n")) { // an empty line before a request is ignored (RFC 9112, 2.2)
		c.give(2)
		c.out = nil
		return len(c.in) > 0
	}
	for i := c.seen; i < len(c.in); i++ {
		if i >= c.max {
			c.mode = open
			return true
		}
		if c.in[i] != '\n' {
			continue
		}
		if i == 0 || c.in[i-1] != '\r' {
			return c.refuse()
		}
		if i >= 3 && c.in[i-2] == '\n' {
			return c.judge(i + 1)
		}
	}
	c.seen = len(c.in)
	return false
}

func (c *Conn) judge(end int) bool {
	f, ok := parseHead(c.in[:end])
	if !ok {
		return c.refuse()
	}
	c.give(end)
	c.hold.Store(f.upgrade)
	switch {
	case f.unknown:
		c.mode = open // net/http answers 501 and closes
	case f.chunked:
		c.mode = size
	case f.length > 0:
		c.mode, c.left = fixed, f.length
	}
	return true
}

// line hands one line on if ok accepts it (without its end).
func (c *Conn) line(ok func([]byte) bool) bool {
	i := bytes.IndexByte(c.in, '\n')
	if i < 0 {
		return len(c.in) > maxLine && c.refuse()
	}
	if i == 0 || c.in[i-1] != '\r' || i > maxLine || !ok(c.in[:i-1]) {
		return c.refuse()
	}
	c.give(i + 1)
	return true
}

func (c *Conn) chunkSize(line []byte) bool {
	n, ok := parseChunkSize(line)
	if !ok {
		return false
	}
	c.mode, c.left = data, n
	if n == 0 {
		c.mode, c.left = trailers, int64(c.max)
	}
	return true
}

// trailer takes a field line after the last chunk; left bounds them all.
func (c *Conn) trailer(line []byte) bool {
	if len(line) == 0 {
		c.mode = head
		return true
	}
	c.left -= int64(len(line))
	_, _, ok := parseField(line)
	return ok && c.left > 0
}

func (c *Conn) dataEnd() bool {
	if len(c.in) < 2 && c.in[0] == '\r' {
		return false
	}
	if c.in[0] != '\r' || c.in[1] != '\n' {
		return c.refuse()
	}
	c.give(2)
	c.mode = size
	return true
}
