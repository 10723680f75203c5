package loop

import (
	"runtime/debug"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// turn serves c once: what it has sent is read and stepped through, and the answers are written.
//
// in is what there is to step through: the rest of c.held when that is not nil, else the rest of the loop's input buffer.
func (l *loop) turn(c *conn) {
	defer l.rescue(c)
	l.moved = 0
	if c.out != nil && l.resume(c) != sent {
		return
	}
	if !l.crowded { // else the clock, read twice, is 3 % of a request: one in many is timed
		l.meter.Batch()
	}
	in, on := c.held[c.off:], true
	for on {
		switch {
		case c.want == wantStep:
		case !c.has(readable) || l.moved >= session.TurnBytes:
			l.leave(c, in)
			return
		case c.want == wantBody:
			if in, on = l.fetchBody(c); !on {
				return
			}
		default:
			if in, on = l.fetch(c); !on {
				return
			}
		}
		in, on = l.step(c, in)
	}
}

// step calls the session once and does what it says. on tells whether the turn goes on, with rest.
func (l *loop) step(c *conn, in []byte) (rest []byte, on bool) {
	if c.sess == nil {
		l.begin(c, in[0])
	}
	n, next := c.sess.Step(in, &l.out)
	in = in[n:]
	switch next {
	case session.More:
		if len(in) > session.MaxHeld {
			panic(fault.New(fault.Internal, "loop: a session holds %d bytes of input", len(in)))
		}
		c.want = wantInput
		l.leave(c, in) // one read a turn
	case session.Body:
		if len(in) > 0 {
			panic(fault.New(fault.Internal, "loop: a session wants a body and left %d bytes of input", len(in)))
		}
		c.want = wantBody
		l.keep(c, nil)
		return nil, true
	case session.Flush:
		c.want = wantStep
		if l.moved < session.TurnBytes {
			if l.send(c) == sent {
				return in, true
			}
			if c.has(live) {
				l.keep(c, in)
			}
			break
		}
		l.leave(c, in)
	case session.Yield:
		c.want = wantStep
		l.note.Yields.Add(1)
		l.leave(c, in)
	case session.Detach:
		l.detach(c, in)
	case session.Abort:
		l.close(c, conns.Failed)
	default:
		c.set(ending)
		l.leave(c, nil)
	}
	return nil, false
}

// leave ends a turn: it keeps in, writes the answers, and sees to c's next turn.
func (l *loop) leave(c *conn, in []byte) {
	if !l.keep(c, in) {
		return
	}
	if l.delays(c) {
		l.delay(c)
		return
	}
	if l.send(c) != sent {
		return
	}
	switch {
	case c.has(ending):
		l.close(c, conns.Normal)
	case c.want == wantStep || c.has(readable):
		l.enqueue(c)
	case l.g.phase.Load() >= drained:
		l.close(c, conns.Shutdown)
	}
}

// keep saves what is left of the input, for the loop's buffer is every connection's. false: c is gone, for all are holding too much.
func (l *loop) keep(c *conn, in []byte) bool {
	switch {
	case c.held != nil && len(in) == 0:
		l.pool.put(c.held)
		c.held, c.off = nil, 0
	case c.held != nil:
		c.off = uint32(len(c.held) - len(in))
	case len(in) > 0:
		if !l.mayKeep(c, len(in)) {
			return false
		}
		c.held = append(l.pool.get(len(in)), in...)
	}
	return true
}

// mayKeep tells whether n bytes more may be kept, and closes c if not. What lies in l.out is for c, and goes with it.
func (l *loop) mayKeep(c *conn, n int) bool {
	if l.mayLend(n) {
		return true
	}
	l.g.buffersFull.Add(1)
	l.close(c, conns.Failed)
	return false
}

// mayLend tells whether the pool may lend a buffer of n bytes.
func (l *loop) mayLend(n int) bool {
	return n <= heldFree || l.pool.lent+int64(n) <= l.g.limits.Load().MostBuffers()/int64(len(l.g.loops))
}

// rescue ends c after a panic, wherever it came from: the others are well.
func (l *loop) rescue(c *conn) {
	p := recover()
	if p == nil {
		return
	}
	stack := debug.Stack()
	l.g.bug(p, stack)
	if c.has(live) {
		l.end(c, conns.Failed)
	}
}

// fetch reads once for a session that waits for input, and returns all that it has not consumed. false: the turn is over.
func (l *loop) fetch(c *conn) (in []byte, on bool) {
	old := len(c.held) - int(c.off)
	room := l.input
	switch {
	case old > len(l.input)/4: // a line too long to be copied for each read
		if !l.grow(c) {
			return nil, false
		}
		room = c.held[:cap(c.held)]
	case old > 0:
		copy(l.input, c.held[c.off:])
		l.keep(c, nil)
	}
	n, err := read(c.fd, room[old:])
	if !l.came(c, n, err, len(room)-old, room[:old]) {
		return nil, false
	}
	if c.held != nil {
		c.held = c.held[:old+n]
	}
	return room[:old+n], true
}

// grow makes room behind the held input.
func (l *loop) grow(c *conn) bool {
	old := c.held[c.off:]
	if cap(c.held)-len(old) < inputLen/4 {
		if !l.mayKeep(c, 2*cap(c.held)) {
			return false
		}
		b := append(l.pool.get(2*cap(c.held)), old...)
		l.pool.put(c.held)
		c.held, c.off = b, 0
		return true
	}
	if c.off > 0 {
		c.held, c.off = c.held[:copy(c.held, old)], 0
	}
	return true
}

// fetchBody reads once to where the session keeps a value, and what follows to the input buffer, so that neither is copied.
func (l *loop) fetchBody(c *conn) (in []byte, on bool) {
	body := c.sess.Body()
	if len(body) == 0 {
		panic(fault.New(fault.Internal, "loop: a session wants a body of no bytes"))
	}
	iov, room := l.iov[:1], min(len(body), session.TurnBytes)
	l.iov[0] = span(body[:room])
	if room == len(body) {
		l.iov[1] = span(l.input)
		iov, room = l.iov[:2], room+len(l.input)
	}
	n, err := readv(c.fd, iov)
	if !l.came(c, n, err, room, nil) {
		return nil, false
	}
	k := min(n, len(body))
	c.sess.Filled(k)
	c.want = wantStep
	return l.input[:n-k], true
}

// came takes note of the outcome of a read that had space for so many bytes. false: nothing came, and c was left with in, or is gone.
func (l *loop) came(c *conn, n int, err unix.Errno, space int, in []byte) bool {
	l.count.reads++
	if n > 0 {
		l.count.read += uint64(n)
		l.moved += n
		c.last = l.g.second.Load()
		if n < space && !c.has(hungUp) {
			c.clear(readable)
		}
		return true
	}
	c.clear(readable)
	switch {
	case err == unix.EAGAIN:
		c.clear(hungUp)
		l.leave(c, in)
	case err != 0:
		l.close(c, conns.Failed)
	default: // the client sends no more; what it asked for before is answered
		c.set(ending)
		l.leave(c, nil)
	}
	return false
}
