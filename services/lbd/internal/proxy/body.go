package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxKept is the largest body that is kept for another try.
const maxKept = 64 << 10

// What can go wrong with a client's body.
var (
	errTooLarge = errors.New("the request's body is larger than the pool takes")
	errSlow     = errors.New("the request's body did not come in time")
	errBadBody  = errors.New("the request's body broke off or is malformed")
)

// body is a request's body on its way to the attempts. Only one attempt at a time reads what was not kept.
type body struct {
	src      io.Reader
	rc       *http.ResponseController
	patience time.Duration
	limit    int64 // 0: none
	none     bool  // the request has no body
	expects  bool  // the client waits for 100 Continue before it sends the body
	kept     []byte
	whole    bool // kept is all of it

	touched atomic.Bool // an attempt read from src
	got     atomic.Int64
	eof     atomic.Bool
	failed  atomic.Pointer[error] // one of the above

	mu   sync.Mutex
	over bool // the exchange has ended: deadlines are net/http's again
}

func newBody(r *http.Request, rc *http.ResponseController, patience time.Duration) *body {
	b := &body{src: r.Body, rc: rc, patience: patience, none: r.Body == nil || r.Body == http.NoBody}
	b.expects = r.Header.Get("Expect") != ""
	if b.none {
		b.eof.Store(true)
		return b
	}
	b.deadline(time.Now().Add(patience)) // net/http may read it as well, to throw it away
	return b
}

// peek reads the first piece of a body, so that one that is malformed from its start reaches no member.
func (b *body) peek() error {
	if b.none {
		return nil
	}
	buf := make([]byte, 4096)
	n, err := b.readClient(buf)
	b.kept, b.whole = buf[:n], err == io.EOF
	if err == io.EOF {
		err = nil
	}
	return err
}

// keep reads a small body so that the request can be tried again. A larger one is passed on as it comes.
func (b *body) keep(length int64) error {
	if length > maxKept {
		return b.peek()
	}
	if b.none {
		return nil
	}
	buf := make([]byte, 0, max(512, length+1))
	for len(buf) <= maxKept {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := b.readClient(buf[len(buf):min(cap(buf), maxKept+1)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			b.kept, b.whole = buf, true
			return nil
		}
		if err != nil {
			return err
		}
	}
	b.kept = buf
	return nil
}

// again reports whether one more attempt can send the body.
func (b *body) again() bool { return b.none || b.whole || !b.touched.Load() }

// finished reports whether the client has sent all of it.
func (b *body) finished() bool { return b.eof.Load() }

// received is the number of bytes read from the client.
func (b *body) received() int64 { return b.got.Load() }

// err returns what went wrong on the client's side, if anything.
func (b *body) err() error {
	if p := b.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// reader returns the body for an attempt, nil where there is none. Its Close does nothing: the body belongs to the
// exchange.
func (b *body) reader() io.ReadCloser {
	switch {
	case b.none:
		return nil
	case b.whole:
		return io.NopCloser(bytes.NewReader(b.kept))
	case len(b.kept) > 0:
		return io.NopCloser(io.MultiReader(bytes.NewReader(b.kept), readFunc(b.stream)))
	}
	return io.NopCloser(readFunc(b.stream))
}

func (b *body) stream(p []byte) (int, error) {
	b.touched.Store(true)
	return b.readClient(p)
}

// readClient reads the next bytes, each piece within the patience.
func (b *body) readClient(p []byte) (int, error) {
	if b.eof.Load() {
		return 0, io.EOF
	}
	b.deadline(time.Now().Add(b.patience))
	n, err := b.src.Read(p)
	total := b.got.Add(int64(n))
	switch {
	case b.limit > 0 && total > b.limit:
		return 0, b.fail(errTooLarge)
	case err == io.EOF:
		b.eof.Store(true)
		b.deadline(time.Time{}) // net/http watches the connection from now on: that must not time out
		return n, io.EOF
	case err != nil:
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return n, b.fail(errSlow)
		}
		return n, b.fail(errBadBody)
	}
	return n, nil
}

func (b *body) fail(err error) error {
	b.failed.CompareAndSwap(nil, &err)
	return err
}

// linger is how long net/http may throw away the rest of a body after its answer, so that a client still sending it gets to
// read the answer before the connection is reset.
const linger = 2 * time.Second

// end gives the connection back to net/http, which closes it where the body was not read to its end. A read that still waits
// is woken, and a client that waits for 100 Continue is not waited for.
func (b *body) end() {
	switch {
	case b.eof.Load():
	case b.touched.Load() || b.expects:
		b.deadline(time.Now().Add(-time.Second))
	default:
		b.deadline(time.Now().Add(linger))
	}
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
}

func (b *body) deadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.rc.SetReadDeadline(t)
	}
}

type readFunc func(p []byte) (int, error)

// Read calls f.
func (f readFunc) Read(p []byte) (int, error) { return f(p) }
