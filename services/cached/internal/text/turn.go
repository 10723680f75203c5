package text

import (
	"bytes"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// turn is one Step: the client, the input that is worked through and the answers that grow.
type turn struct {
	*client
	in  []byte
	pos int // of the first byte of in that is not consumed
	buf []byte
	big engine.Pinned // sent behind buf

	now     int64
	keys    int  // budget: look-ups and commands left
	bytes   int  // budget: bytes of values left
	noreply bool // of the command at hand
	stacked bool // answers wait in buf that memcached would not have flushed yet

	tok  [maxTokens]span
	ntok int
	line []byte // the command at hand, without its end

	coming coming
	seen   int // position in the input up to which commands were foreseen
}

// going is what a part of a turn returns when the turn goes on.
const going = session.Next(255)

// Step implements session.Session.
func (c *client) Step(in []byte, out *session.Out) (int, session.Next) {
	// The table of commands makes a turn escape: one for each Step would be the garbage of a busy server.
	t, _ := c.env.Scratch.Get().(*turn)
	if t == nil {
		t = new(turn)
	}
	t.client, t.in, t.pos, t.buf, t.big = c, in, 0, out.Buf, engine.Pinned{}
	t.now, t.keys, t.bytes = c.env.Clock.Now(), session.Turn, session.TurnBytes
	t.noreply, t.stacked, t.ntok = false, false, 0
	t.coming.clear()
	t.seen = 0
	next := t.run()
	out.Buf, out.Big = t.buf, t.big
	n := t.pos
	t.client, t.in, t.buf, t.line, t.big = nil, nil, nil, nil, engine.Pinned{}
	c.env.Scratch.Put(t)
	return n, next
}

func (t *turn) run() session.Next {
	for {
		if len(t.buf) >= session.OutHigh {
			return session.Flush
		}
		next := going
		switch t.at() {
		case command:
			if t.pos == len(t.in) {
				return session.More
			}
			if t.keys <= 0 || t.bytes <= 0 {
				return session.Yield
			}
			t.keys--
			if t.pos >= t.seen {
				t.foresee()
			}
			next = t.command()
		case keys:
			next = t.lookups()
		case body:
			next = t.body()
		case bodyEnd:
			next = t.bodyEnd()
		case swallow:
			next = t.swallow()
		case login:
			next = t.login()
		case loginBody:
			next = t.loginBody()
		case detached:
			t.enter(command)
		}
		if next != going {
			return next
		}
	}
}

// command carries out the command at pos, if it is there in full.
func (t *turn) command() session.Next {
	rest := t.in[t.pos:]
	t.noreply = false
	if next, ok := t.quick(rest); ok {
		return next
	}
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		return t.unfinished(rest)
	}
	next := t.words(rest, end)
	t.ntok, t.line = 0, nil
	return next
}

// swallow skips the value of a command that was refused.
func (t *turn) swallow() session.Next {
	n := min(t.left, int64(len(t.in)-t.pos))
	t.pos += int(n)
	t.left -= n
	if t.left > 0 {
		return session.More
	}
	t.replyError(t.owed)
	t.owed = ""
	t.enter(command)
	return going
}

// skip swallows the next n bytes, of which not all may be there yet, and then answers text, unless there is to be no reply: a
// client that has not sent a value does not read yet.
func (t *turn) skip(n int, text string) {
	if t.note != nil {
		t.note.ValuesSwallowed.Add(1)
	}
	if t.noreply {
		text = ""
	}
	t.left, t.owed = int64(n), text
	t.enter(swallow)
}
