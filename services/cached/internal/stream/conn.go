package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
)

// conn is one TLS connection. Only serve's goroutine uses what is above mu.
type conn struct {
	s        *Server
	from     *Listener
	lane     *lane
	id       int64
	remote   string
	raw      net.Conn
	tls      *tls.Conn
	sess     session.Session
	out      session.Out
	in       input
	armed    bool // a deadline for reading is set
	departed bool
	why      conns.Reason

	mu     sync.Mutex // of what follows
	state  string
	heard  time.Time // the last input
	ending bool      // the deadline for reading is the server's last word
	stop   func()    // ends a detached session, while there is one
}

// Errors that end a connection; they are for serve alone.
var (
	errDone   = errors.New("done")
	errAbort  = errors.New("abort")
	errNoRoom = errors.New("no room for input")
)

// serve carries the connection to its end.
func (c *conn) serve() {
	defer c.s.leave(c)
	defer c.raw.Close()
	defer c.depart()
	c.tell(conns.Begun)
	defer func() {
		c.tell(func(id int64, t session.Transport, r string) []byte { return conns.Ended(id, t, r, c.why) })
	}()
	defer context.AfterFunc(c.s.ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })()
	defer c.release()
	defer c.rescue()
	if end := c.s.ending(); !end.IsZero() {
		c.endAt(end)
	}
	if c.handshake() != nil {
		c.s.handshakeErrors.Add(1)
		return
	}
	switch err := c.run(); {
	case c.s.ctx.Err() != nil:
		c.why = conns.Shutdown
		return // without a last word, which may take crypto/tls 5 s when the client does not read
	case errors.Is(err, io.EOF) || errors.Is(err, errDone):
		c.why = conns.Normal
	case c.isEnding():
		c.why = conns.Shutdown
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.why = conns.IdleTimeout
	}
	if c.why != conns.Failed {
		c.depart()
		c.tls.CloseWrite() // says that all was sent; who has gone does not mind
	}
}

// depart leaves the gate, before the client sees the end: it may come again at once.
func (c *conn) depart() {
	if !c.departed {
		c.departed = true
		c.s.gate.Leave()
	}
}

// handshake agrees on keys within the time for it.
func (c *conn) handshake() error {
	c.tls = tls.Server(c.raw, c.from.TLS)
	ctx, cancel := context.WithTimeout(c.s.ctx, c.s.limits.Load().HandshakeTime())
	defer cancel()
	return c.tls.HandshakeContext(ctx)
}

// run reads, steps and writes until the connection ends.
func (c *conn) run() error {
	if err := c.read(); err != nil {
		return err
	}
	c.sess = c.s.o.Factory(c.in.rest()[0], &session.Peer{
		ID: c.id, Remote: c.remote, Local: c.raw.LocalAddr().String(), Transport: session.TLS, Tag: c.from.Tag, Only: c.from.Only,
		Cert: clientName(c.tls.ConnectionState()), Env: c.s.o.Env, Meter: c.lane.meter, Note: &c.lane.note,
	})
	for {
		if err := c.obey(c.step()); err != nil {
			return err
		}
	}
}

// step calls the session once.
func (c *conn) step() session.Next {
	if c.out.Buf == nil {
		c.out.Buf = borrow(&c.s.outputs)
	}
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	c.lane.meter.Batch()
	n, next := c.sess.Step(c.in.rest(), &c.out)
	c.in.skip(n)
	if next == session.Yield {
		c.lane.note.Yields.Add(1)
	}
	c.setState(c.sess.State())
	return next
}

// obey does what the session needs.
func (c *conn) obey(next session.Next) error {
	if next == session.Abort {
		return errAbort
	}
	if err := c.flush(); err != nil {
		return err
	}
	switch next {
	case session.More:
		if len(c.in.rest()) > session.MaxHeld {
			panic(fault.New(fault.Internal, "stream: a session holds %d bytes of input", len(c.in.rest())))
		}
		if len(c.in.rest()) == 0 {
			giveBack(&c.s.outputs, c.out.Buf, outputCap)
			c.out.Buf = nil
		}
		return c.read()
	case session.Body:
		return c.readBody()
	case session.Flush:
		return nil
	case session.Yield:
		runtime.Gosched()
		return nil
	case session.Detach:
		return c.detach()
	}
	return errDone
}

// read waits for input and adds it to what is held.
func (c *conn) read() error {
	room, err := c.in.room(c.s)
	if err != nil {
		return err
	}
	n, err := c.readTo(room)
	c.in.came(n)
	return err
}

func (c *conn) readBody() error {
	body := c.sess.Body()
	if len(body) == 0 {
		panic(fault.New(fault.Internal, "stream: a session wants a body of no bytes"))
	}
	n, err := c.readTo(body)
	c.sess.Filled(n)
	return err
}

// readTo reads something, in the time for it. An error comes only when nothing else did.
func (c *conn) readTo(b []byte) (int, error) {
	if err := c.setReadDeadline(); err != nil {
		return 0, err
	}
	n, err := c.tls.Read(b)
	c.lane.note.ReadSyscalls.Add(1)
	if n > 0 {
		c.lane.note.BytesRead.Add(uint64(n))
		c.mu.Lock()
		c.heard = time.Now()
		c.mu.Unlock()
		return n, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.isEnding() {
		c.lane.note.IdleKicks.Add(1)
	}
	return 0, err
}

// flush writes what the last Step left.
func (c *conn) flush() error {
	if err := c.write(c.out.Buf); err != nil {
		return err
	}
	c.out.Buf = c.out.Buf[:0]
	for c.out.Big.Len() > 0 {
		piece := c.out.Big.Next()
		if err := c.write(piece); err != nil {
			return err
		}
		c.out.Big.Advance(len(piece))
	}
	c.out.Big.Unpin()
	return nil
}

// writeChunk is what one write deadline is for.
const writeChunk = 64 << 10

func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		chunk := b[:min(len(b), writeChunk)]
		c.setWriteDeadline(c.s.limits.Load().Write)
		n, err := c.tls.Write(chunk)
		c.lane.note.WriteCalls.Add(1)
		c.lane.note.BytesWritten.Add(uint64(n))
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && c.s.ctx.Err() == nil {
				c.lane.note.SlowReaders.Add(1)
			}
			return errAbort
		}
		b = b[n:]
	}
	return nil
}

// detach lets the session serve the connection itself.
func (c *conn) detach() error {
	ctx, cancel := context.WithCancel(c.s.ctx)
	defer cancel()
	c.raw.SetDeadline(time.Time{}) // fails only on a closed one, which its use tells
	timed := &conns.Timed{Conn: c.tls, Limits: c.s.limits.Load}
	defer context.AfterFunc(ctx, timed.Stop)()
	c.mu.Lock()
	if c.stop = cancel; c.ending {
		cancel()
	}
	c.mu.Unlock()
	rest := append([]byte(nil), c.in.rest()...)
	c.in.skip(len(rest))
	left, back := c.sess.Detached(ctx, timed, rest)
	c.mu.Lock()
	c.stop = nil
	c.mu.Unlock()
	if !back || ctx.Err() != nil {
		return errDone
	}
	c.armed = true // whatever the session did
	c.setState(c.sess.State())
	return c.in.put(left, c.s)
}

// endAt makes reading end at t, and what a detached session does.
func (c *conn) endAt(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	c.raw.SetReadDeadline(t)
	if c.stop != nil {
		c.stop()
	}
}

func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

func (c *conn) setReadDeadline() error {
	var t time.Time
	if d := c.s.limits.Load().Idle; d > 0 {
		t = time.Now().Add(d)
	}
	if t.IsZero() && !c.armed {
		return nil
	}
	c.armed = !t.IsZero()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return nil // it is set
	}
	return c.deadline(c.raw.SetReadDeadline, t)
}

func (c *conn) setWriteDeadline(d time.Duration) {
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	c.deadline(c.raw.SetWriteDeadline, t)
}

// deadline sets one, unless the server is cut: then the one in the past must stay.
func (c *conn) deadline(set func(time.Time) error, t time.Time) error {
	err := set(t)
	if c.s.ctx.Err() != nil {
		return c.raw.SetDeadline(time.Unix(1, 0))
	}
	return err
}

func (c *conn) setState(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

func (c *conn) info() conns.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return conns.Info{
		ID: c.id, Transport: session.TLS, Remote: c.remote, Local: c.raw.LocalAddr().String(), State: c.state,
		Idle: int64(time.Since(c.heard) / time.Second),
	}
}

// release gives back what the connection holds.
func (c *conn) release() {
	defer c.rescue()
	c.out.Big.Unpin()
	giveBack(&c.s.outputs, c.out.Buf, outputCap)
	c.in.release(c.s)
	if c.sess != nil {
		c.sess.End()
	}
}

func (c *conn) rescue() {
	p := recover()
	if p == nil {
		return
	}
	c.s.bugs.Add(1)
	if c.s.o.Hooks.Bug != nil {
		c.s.o.Hooks.Bug(p, debug.Stack())
	}
}

func (c *conn) tell(line func(int64, session.Transport, string) []byte) {
	if e := c.s.o.Env; e != nil && e.Watch.Wanted(session.ConnEvents) && e.Watch.Send != nil {
		e.Watch.Send(session.ConnEvents, line(c.id, session.TLS, c.remote))
	}
}
