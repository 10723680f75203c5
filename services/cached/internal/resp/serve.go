package resp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
)

const (
	readBuffer = 16 << 10
	// keepBuffer is the capacity up to which a connection's buffers are kept when they are empty.
	keepBuffer = 64 << 10
	// acceptPause is the wait after an Accept that failed, for want of file descriptors for example.
	acceptPause = 100 * time.Millisecond
)

// Serve accepts connections of ln until ctx ends, each served by a goroutine of its own. It closes ln and all connections then, and returns when the last
// goroutine has ended: nil after the end of ctx, otherwise the error of ln. A connection beyond Options.Clients is told so and closed.
func (s *Service) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer func() {
		if stop() {
			_ = ln.Close()
		}
	}()
	for {
		nc, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("resp: accept on %s: %w", ln.Addr(), err)
		case err != nil:
			s.counts.AcceptErrors.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		if s.Connected() >= s.o.Clients {
			s.turnAway(nc)
			continue
		}
		c := s.newCarrier(nc)
		conns.Go(func() { c.serve(ctx) })
	}
}

// turnAway closes a connection for which there is no room. It does not wait: the text fits into the socket's buffer.
func (s *Service) turnAway(nc net.Conn) {
	s.counts.Rejected.Add(1)
	_ = nc.SetWriteDeadline(time.Now().Add(acceptPause))
	_, _ = io.WriteString(nc, "-ERR max number of clients reached\r\n")
	_ = nc.Close()
}

// carrier moves the bytes of one connection.
type carrier struct {
	svc *Service
	nc  net.Conn
	s   session.Session
	in  []byte // of buf: read and not consumed
	buf []byte
	out session.Out
}

func (s *Service) newCarrier(nc net.Conn) *carrier {
	p := &session.Peer{Remote: addr(nc.RemoteAddr()), Local: addr(nc.LocalAddr()), Env: s.o.Env}
	if _, unix := nc.(*net.UnixConn); unix {
		p.Transport = session.Unix
	}
	return &carrier{svc: s, nc: nc, s: s.Session(p)}
}

func addr(a net.Addr) string {
	if a == nil || a.Network() == "unix" {
		return "unix"
	}
	return a.String()
}

// serve carries bytes until the client or the session closes, or ctx ends.
func (c *carrier) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = c.nc.Close() })
	defer func() {
		stop()
		_ = c.nc.Close()
		c.out.Big.Unpin()
		c.s.End()
	}()
	for {
		n, next := c.s.Step(c.in, &c.out)
		c.in = c.in[n:]
		if !c.write() {
			return
		}
		switch next {
		case session.Close, session.Abort:
			return
		case session.More:
			if !c.read() {
				return
			}
		case session.Body:
			if !c.body() {
				return
			}
		}
	}
}

// read waits for more input behind what is left.
func (c *carrier) read() bool {
	switch {
	case len(c.in) == 0:
		if cap(c.buf) == 0 || cap(c.buf) > keepBuffer {
			c.buf = make([]byte, readBuffer)
		}
		c.in = c.buf[:0]
	case cap(c.in)-len(c.in) < readBuffer/4:
		if len(c.in)+readBuffer/4 > cap(c.buf) {
			c.buf = make([]byte, 2*cap(c.buf))
		}
		c.in = c.buf[:copy(c.buf[:cap(c.buf)], c.in)]
	}
	n, ok := c.receive(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	return ok
}

// body reads into the memory of a value.
func (c *carrier) body() bool {
	n, ok := c.receive(c.s.Body())
	c.s.Filled(n)
	return ok
}

func (c *carrier) receive(b []byte) (n int, ok bool) {
	if idle := c.svc.o.Idle; idle > 0 {
		_ = c.nc.SetReadDeadline(time.Now().Add(idle)) // fails only on a closed connection, and then so does Read
	}
	n, err := c.nc.Read(b)
	c.svc.counts.BytesRead.Add(uint64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.svc.counts.IdleKicks.Add(1)
	}
	return n, err == nil
}

// write sends what the session has answered, the long value behind it too.
func (c *carrier) write() bool {
	if len(c.out.Buf) == 0 && c.out.Big.Len() == 0 {
		return true
	}
	if !c.send(c.out.Buf) {
		return false
	}
	if cap(c.out.Buf) > 2*keepBuffer {
		c.out.Buf = nil
	}
	c.out.Buf = c.out.Buf[:0]
	for c.out.Big.Len() > 0 {
		p := c.out.Big.Next()
		if !c.send(p) {
			return false
		}
		c.out.Big.Advance(len(p))
	}
	c.out.Big.Unpin()
	return true
}

// sendPiece is how much must be taken within one WriteTimeout, bytes.
const sendPiece = 256 << 10

func (c *carrier) send(b []byte) bool {
	for len(b) > 0 {
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.svc.o.WriteTimeout))
		n, err := c.nc.Write(b[:min(len(b), sendPiece)])
		c.svc.counts.BytesWritten.Add(uint64(n))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.svc.counts.SlowReaders.Add(1)
		}
		if err != nil {
			return false
		}
		b = b[n:]
	}
	return true
}
