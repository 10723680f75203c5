package resp

import (
	"context"
	"net"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// conn is the session of one connection.
type conn struct {
	svc    *Service
	env    *session.Env
	peer   *session.Peer
	client *client
	authed bool

	state  state
	inline []byte // an inline command in the form of an array: input before all other
	tail   bool   // the line end behind a long value is still to be written
	quit   bool

	cmd   *command // in hand
	left  int      // arguments still to come
	seen  int      // mapping: how many of them were foreseen
	pos   int      // gathering: bytes of input looked at
	spans []span   // gathering: arguments within those
	keep  []byte   // arguments from before a value that was received on its own
	kept  []span
	args  [][]byte

	pend    engine.Pending // value that is arriving or has
	skip    int            // bytes to drop
	after   state          // the state behind them
	unknown []byte         // the error that an unknown command is answered with, as far as it is known

	key   [engine.MaxKey]byte // MSET: the key whose value comes next
	klen  int
	total int64  // of what a command on many keys counts
	fault string // the first error of such a command
}

type span struct{ from, to int }

type state uint8

const (
	ready      state = iota // for a request
	naming                  // for its first argument
	gathering               // arguments, which stay in the input
	mapping                 // arguments, each carried out as it comes
	receiving               // a value, into pend
	ending                  // the line end behind it
	skipping                // arguments that are not wanted
	swallowing              // one of those
)

// budget is what is left of a turn.
type budget struct{ commands, bytes int }

// Step works through what has arrived; see session.Session.
func (c *conn) Step(in []byte, out *session.Out) (n int, next session.Next) {
	b := budget{session.Turn, session.TurnBytes}
	if c.tail {
		out.Buf, c.tail = append(out.Buf, "\r\n"...), false
	}
	for {
		src, before, fromLine := in[n:], len(out.Buf), len(c.inline) > 0
		if fromLine {
			src = c.inline
		}
		used, next, on := c.advance(src, out, &b)
		if fromLine {
			c.inline = c.inline[used:]
		} else {
			n += used
		}
		b.bytes -= len(out.Buf) - before
		switch {
		case !on:
			return n, next
		case out.Big.Len() > 0 || len(out.Buf) >= session.OutHigh:
			return n, session.Flush
		case c.state == ready && len(c.inline) == 0 && n == len(in):
			return n, session.More
		case b.commands <= 0 || b.bytes <= 0:
			return n, session.Yield
		}
	}
}

// advance takes one step in the state that c is in; on says that there may be more to do.
func (c *conn) advance(in []byte, out *session.Out, b *budget) (n int, next session.Next, on bool) {
	switch c.state {
	case naming:
		return c.name(in, out, b)
	case gathering:
		return c.gather(in, out, b)
	case mapping:
		return c.each(in, out, b)
	case receiving:
		return c.receive(in)
	case ending:
		return c.end(in, out, b)
	case skipping:
		return c.skipOne(in, out)
	case swallowing:
		return c.swallow(in)
	}
	return c.begin(in, out)
}

// begin reads how many arguments the request at the head of in has.
func (c *conn) begin(in []byte, out *session.Out) (int, session.Next, bool) {
	if len(in) == 0 {
		return 0, session.More, false
	}
	if in[0] != '*' {
		return c.beginInline(in, out)
	}
	count, n, bad := array(in, !c.authed)
	if bad != "" {
		return c.protocolError(bad, out)
	}
	if n == 0 {
		return 0, session.More, false
	}
	if count > 0 {
		c.left, c.state = count, naming
	}
	return n, session.More, true
}

// beginInline turns a line of words into an array.
func (c *conn) beginInline(in []byte, out *session.Out) (int, session.Next, bool) {
	s, n := line(in)
	if n == 0 {
		if len(in) > lineMax {
			return c.protocolError("too big inline request", out)
		}
		return 0, session.More, false
	}
	words, ok := split(s)
	if !ok {
		return c.protocolError("unbalanced quotes in request", out)
	}
	if len(words) > 0 {
		c.inline = redcon.AppendArray(nil, len(words))
		for _, w := range words {
			c.inline = redcon.AppendBulk(c.inline, w)
		}
	}
	return n, session.More, true
}

// protocolError answers and ends the connection: where the next request begins is not known.
func (c *conn) protocolError(m malformed, out *session.Out) (int, session.Next, bool) {
	c.svc.counts.ProtocolErrors.Add(1)
	out.Buf = redcon.AppendError(out.Buf, "ERR Protocol error: "+string(m))
	return 0, session.Close, false
}

// receive takes what has arrived of a value; the rest goes to Body.
func (c *conn) receive(in []byte) (n int, next session.Next, on bool) {
	for n < len(in) && c.pend.Left() > 0 {
		m := copy(c.pend.Buf(), in[n:])
		c.pend.Advance(m)
		n += m
	}
	if c.pend.Left() > 0 {
		return n, session.Body, false
	}
	c.state = ending
	return n, session.More, true
}

// Body is where the next bytes of the value go that is arriving.
func (c *conn) Body() []byte { return c.pend.Buf() }

// Filled says that n bytes of Body's memory are filled.
func (c *conn) Filled(n int) { c.pend.Advance(n) }

// Detached serves nothing: no command leaves the carrier.
func (c *conn) Detached(_ context.Context, _ net.Conn, rest []byte) (left []byte, back bool) {
	return rest, true
}

// State is memcached's name for what the connection does.
func (c *conn) State() string {
	switch c.state {
	case receiving:
		return "conn_nread"
	case swallowing, skipping:
		return "conn_swallow"
	case ready:
		return "conn_new_cmd"
	}
	return "conn_read"
}

// End lets go of what the connection holds.
func (c *conn) End() {
	c.pend.Release()
	c.svc.forget(c.peer.ID)
}
