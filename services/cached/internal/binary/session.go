package binary

import (
	"context"
	"net"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// StatSource makes the lines of a group of statistics: "" for the general ones, or what follows the text protocol's stats command
// ("settings", "items", "detail dump", "reset" …). Actions return no lines; "detail dump" returns one, whose value is the dump. ok
// is false for a group that does not exist.
type StatSource func(sub string) (pairs []session.Pair, ok bool)

// Options are what the protocol needs besides the Env.
type Options struct {
	Version string     // what the version command answers
	Stats   StatSource // nil: every group is unknown
}

// waitWhole is the length up to which a packet is waited for, unconsumed, instead of reserving memory for its value.
const waitWhole = 2048

// conn is the session of one connection.
type conn struct {
	peer  *session.Peer
	env   *session.Env
	note  *session.LoopCount
	o     *Options
	state state

	req  request // in hand, while state is not ready
	skip int64   // bytes of a body to drop, while swallowing

	store ops.Store // what the value that is arriving is for
	pend  engine.Pending
	key   [maxKey]byte

	pairs []session.Pair // statistics still to be told, while telling

	authed, started bool // SASL: authenticated; a mechanism was begun
}

type state uint8

const (
	ready      state = iota // for a header
	receiving               // a value, into pend
	swallowing              // a body that is not wanted
	telling                 // statistics
)

// New returns the session of a new connection. o must not change any more.
func New(peer *session.Peer, o *Options) session.Session {
	note := peer.Note
	if note == nil {
		note = new(session.LoopCount)
	}
	return &conn{peer: peer, env: peer.Env, note: note, o: o}
}

// budget is what is left of a turn.
type budget struct{ commands, bytes int }

// Step works through what has arrived; see session.Session.
func (c *conn) Step(in []byte, out *session.Out) (n int, next session.Next) {
	b := budget{session.Turn, session.TurnBytes}
	seen := 0
	for {
		if c.state == ready && n >= seen {
			seen = n + c.foresee(in[n:])
		}
		used, next, on := c.advance(in[n:], out, &b)
		n += used
		switch {
		case !on:
			return n, next
		case out.Big.Len() > 0 || len(out.Buf) >= session.OutHigh:
			return n, session.Flush
		case c.state == ready && n == len(in):
			return n, session.More
		case b.commands <= 0 || b.bytes <= 0:
			return n, session.Yield
		}
	}
}

// advance takes one step in the state that c is in; on says that there may be more to do.
func (c *conn) advance(in []byte, out *session.Out, b *budget) (n int, next session.Next, on bool) {
	switch c.state {
	case receiving:
		return c.receive(in, out, b)
	case swallowing:
		return c.swallow(in)
	case telling:
		c.tell(out, b)
		return 0, session.More, true
	}
	return c.packet(in, out, b)
}

// packet begins the packet at the head of in.
func (c *conn) packet(in []byte, out *session.Out, b *budget) (n int, next session.Next, on bool) {
	if len(in) < headerLen {
		if len(in) > 0 && in[0] != Request {
			return c.refuse(0, out)
		}
		return 0, session.More, false
	}
	r := &c.req
	v, whole, body := decode(in, r)
	switch {
	case v == noRequest:
		return c.refuse(0, out)
	case v == inconsistent:
		return c.refuse(statusUnknown, out)
	case c.env.SASL && !c.allowed():
		return c.refuse(statusAuth, out)
	case v == misfit:
		return c.refuse(statusInvalid, out)
	case v == unserved:
		out.Buf = appendError(out.Buf, r, statusUnknown)
		c.drop(body)
		b.commands--
		return headerLen, session.More, true
	case !whole:
		return 0, session.More, false
	}
	b.commands--
	return c.serve(in, out, b)
}

// refuse answers s, unless it is 0, and ends the connection: what follows may be no header.
func (c *conn) refuse(s status, out *session.Out) (int, session.Next, bool) {
	c.note.ProtocolErrors.Add(1)
	if s == 0 {
		return 0, session.Close, false
	}
	out.Buf = appendError(out.Buf, &c.req, s)
	return 0, session.Close, false
}

// serve carries out the packet at the head of in, whose header, extras and key are there and right.
func (c *conn) serve(in []byte, out *session.Out, b *budget) (n int, next session.Next, on bool) {
	r := &c.req
	n = headerLen + len(r.ext) + len(r.key)
	switch r.base {
	case opSet, opAdd, opReplace, opAppend, opPrepend:
		return c.storing(in, n, out, b)
	case opSASLAuth, opSASLStep:
		return c.authenticating(in, n, out)
	case opStat:
		c.stat(out, b)
		return n, session.More, true
	case opQuit:
		if !r.quiet {
			out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 0, 0)
		}
		return n, session.Close, false
	}
	c.peer.Meter.Begin()
	c.peer.Meter.End(c.simple(out, b))
	return n, session.More, true
}

// simple carries out a command without a value and tells which it was.
func (c *conn) simple(out *session.Out, b *budget) session.Cmd {
	switch r := &c.req; r.base {
	case opGet, opGetK:
		c.get(out, b)
		return session.Get
	case opGAT, opGATK:
		c.touch(out, b)
		return session.Gat
	case opTouch:
		c.touch(out, b)
		return session.Touch
	case opDelete:
		c.delete(out)
		return session.Delete
	case opIncr:
		c.arith(out)
		return session.Incr
	case opDecr:
		c.arith(out)
		return session.Decr
	case opFlush:
		c.flush(out)
		return session.FlushAll
	case opVersion:
		out.Buf = append(appendHeader(out.Buf, r, statusOK, 0, 0, len(c.o.Version), 0), c.o.Version...)
	case opVerbosity:
		c.verbosity(out)
	case opSASLList:
		c.mechanisms(out)
	default: // no-op
		out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 0, 0)
	}
	return session.Other
}

// drop has the next n bytes of input skipped.
func (c *conn) drop(n int64) {
	if n > 0 {
		c.skip, c.state = n, swallowing
	}
}

// swallow skips what has arrived of an unwanted body.
func (c *conn) swallow(in []byte) (n int, next session.Next, on bool) {
	n = int(min(c.skip, int64(len(in))))
	if c.skip -= int64(n); c.skip > 0 {
		return n, session.More, false
	}
	c.state = ready
	return n, session.More, true
}

// Body is where the next bytes of the value go that is arriving.
func (c *conn) Body() []byte { return c.pend.Buf() }

// Filled says that n bytes of Body's memory are filled.
func (c *conn) Filled(n int) { c.pend.Advance(n) }

// Detached serves nothing: no binary command leaves the loop.
func (c *conn) Detached(_ context.Context, _ net.Conn, rest []byte) (left []byte, back bool) {
	return rest, true
}

// State is memcached's name for what the connection does.
func (c *conn) State() string {
	switch c.state {
	case receiving:
		return "conn_nread"
	case swallowing:
		return "conn_swallow"
	case telling:
		return "conn_mwrite"
	}
	return "conn_new_cmd"
}

// End lets go of a value that has not arrived in full.
func (c *conn) End() {
	c.pend.Release()
	c.pairs = nil
}
