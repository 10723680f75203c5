package text

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// arriving is a write whose value is on its way into the engine's memory. A client keeps its first for all that follow.
type arriving struct {
	write
	noreply bool
	pending engine.Pending
	mem     [maxKey + maxOpaque]byte // of key and opaque, whose line is consumed
}

// arrive takes memory for the value of w and what has come of it.
func (t *turn) arrive(w *write) session.Next {
	if t.value == nil {
		t.client.value = new(arriving)
	}
	v := t.value
	t.countPrefix(w)
	if err := t.store.Reserve(&v.pending, w.key, w.length, w.store.Value.Flags, t.now); err != nil {
		t.skip(w.length+2, t.refuse(w, ops.Of(err)))
		return going
	}
	v.write, v.noreply = *w, t.noreply
	n := copy(v.mem[:], w.key)
	v.key = v.mem[:n:n]
	m := copy(v.mem[n:], w.echo.opaque)
	v.echo.opaque = v.mem[n : n+m]
	t.enter(body)
	return going
}

// body takes what the input has of a value; the rest comes by Body and Filled.
func (t *turn) body() session.Next {
	p := &t.value.pending
	for p.Left() > 0 {
		if t.pos == len(t.in) {
			return session.Body
		}
		if t.bytes <= 0 {
			return session.Yield
		}
		n := copy(p.Buf(), t.in[t.pos:])
		p.Advance(n)
		t.pos += n
		t.bytes -= n
	}
	t.enter(bodyEnd)
	return going
}

// bodyEnd takes the line end behind a value and stores it.
func (t *turn) bodyEnd() session.Next {
	if len(t.in)-t.pos < 2 {
		return session.More
	}
	ends := lineEnds(t.in, t.pos)
	t.pos += 2
	t.enter(command)
	v := t.value
	t.noreply = v.noreply
	if !ends {
		v.pending.Release()
		t.badChunk(&v.write)
		return going
	}
	t.meter.Begin()
	r := t.store.Lock(v.key, t.now)
	t.lookedUp(&r)
	if v.vivify && !r.Found() {
		v.store.Mode, v.store.Value.Expires = ops.Set, v.create
	}
	t.finish(&v.write, &r, ops.Commit(&r, &v.store, &v.pending))
	t.meter.End(v.cmd)
	return going
}

// Body implements session.Session.
func (c *client) Body() []byte { return c.value.pending.Buf() }

// Filled implements session.Session.
func (c *client) Filled(n int) { c.value.pending.Advance(n) }
