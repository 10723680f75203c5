package resp

import (
	"bytes"
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// unknownMax bounds what an error repeats of the name and of the arguments of an unknown command, bytes; as in Redis.
	unknownMax = 128
	errTooLong = "ERR argument is longer than 16384 bytes"
)

// name reads the first argument and decides how the request goes on.
func (c *conn) name(in []byte, out *session.Out, b *budget) (int, session.Next, bool) {
	length, n, bad := bulk(in, c.bulkMost(), !c.authed)
	if bad != "" {
		return c.protocolError(bad, out)
	}
	whole := n + length + 2
	if n == 0 || length <= argMax && len(in) < whole || len(in) < n+min(length, unknownMax) {
		return 0, session.More, false
	}
	b.commands--
	count := c.left
	c.left--
	name := in[n : n+min(length, argMax, len(in)-n)]
	if length <= argMax {
		n = whole
	} else {
		c.skip = length + 2 // dropped before the other arguments
	}
	c.judge(name, count, out)
	if c.skip > 0 {
		c.after, c.state = c.state, swallowing
	}
	if c.state == gathering && c.left == 0 {
		return c.run(nil, n, out)
	}
	return n, session.More, true
}

// judge looks the command up that a request of count arguments begins with.
func (c *conn) judge(name []byte, count int, out *session.Out) {
	c.cmd = c.svc.lookup(name)
	c.state = skipping
	switch {
	case c.cmd == nil:
		c.svc.counts.Unknown.Add(1)
		c.unknown = append(c.unknown[:0], "ERR unknown command '"...)
		c.unknown = append(append(c.unknown, upToNUL(name[:min(len(name), unknownMax)])...), "', with args beginning with: "...)
		c.klen = len(c.unknown)
	case !c.cmd.takes(count):
		out.Buf = redcon.AppendError(out.Buf, "ERR wrong number of arguments for '"+c.cmd.name+"' command")
	case !c.authed && !c.cmd.open:
		out.Buf = redcon.AppendError(out.Buf, "NOAUTH Authentication required.")
	case c.cmd.each != nil:
		c.peer.Meter.Begin()
		c.state, c.total, c.klen, c.fault, c.seen = mapping, 0, 0, "", 0
		if c.cmd.head != nil {
			c.cmd.head(c, count-1, out)
		}
	case count-1 > maxGather:
		out.Buf = redcon.AppendError(out.Buf, errSyntax)
	default:
		c.state, c.pos = gathering, 0
		c.spans, c.kept, c.keep = c.spans[:0], c.kept[:0], c.keep[:0]
	}
}

// bulkMost is the longest argument that is not refused as malformed.
func (c *conn) bulkMost() int64 { return max(bulkMax, c.env.Store.MaxItem()) }

// gather collects arguments in the input until the command can be carried out.
func (c *conn) gather(in []byte, out *session.Out, b *budget) (int, session.Next, bool) {
	for c.left > 0 {
		length, n, bad := bulk(in[c.pos:], c.bulkMost(), !c.authed)
		if bad != "" {
			return c.protocolError(bad, out)
		}
		if n == 0 {
			return 0, session.More, false
		}
		from, value := c.pos+n, c.cmd.value > 0 && c.cmd.value == len(c.spans)+1 && len(c.kept) == 0
		if length > argMax {
			if !value {
				return c.abandon(errTooLong, c.pos, out)
			}
			if len(in)-from < length+2 {
				return c.reserve(in, length, from, out)
			}
		}
		if len(in)-from < length+2 {
			return 0, session.More, false
		}
		c.spans = append(c.spans, span{from, from + length})
		c.pos = from + length + 2
		c.left--
	}
	b.bytes -= c.pos
	return c.run(in, c.pos, out)
}

// reserve has the value received on its own whose bytes begin at in[from]; the arguments before it are kept.
func (c *conn) reserve(in []byte, length, from int, out *session.Out) (int, session.Next, bool) {
	key := in[c.spans[0].from:c.spans[0].to]
	if fault := c.hold(key, length); fault != "" {
		return c.abandon(fault, c.pos, out)
	}
	for _, s := range c.spans {
		c.kept = append(c.kept, span{len(c.keep), len(c.keep) + s.to - s.from})
		c.keep = append(c.keep, in[s.from:s.to]...)
	}
	c.spans, c.pos = c.spans[:0], 0
	c.left--
	c.state = receiving
	return from, session.More, true
}

// hold takes memory for a value of key; it returns an error to answer with, or "".
func (c *conn) hold(key []byte, length int) (fault string) {
	if !isKey(key) {
		return errKey
	}
	now := c.env.Clock.Now()
	err := c.env.Store.Reserve(&c.pend, key, length, 0, now)
	if err == nil {
		return ""
	}
	ref := c.env.Store.Lock(key, now)
	defer ref.Unlock()
	return c.refused(&ref, err)
}

// abandon answers fault and drops the arguments from in[n] on.
func (c *conn) abandon(fault string, n int, out *session.Out) (int, session.Next, bool) {
	out.Buf = redcon.AppendError(out.Buf, fault)
	c.state = skipping
	return n, session.More, true
}

// run carries out the command whose arguments are gathered; n bytes of input were its.
func (c *conn) run(in []byte, n int, out *session.Out) (int, session.Next, bool) {
	c.args = c.args[:0]
	for _, s := range c.kept {
		c.args = append(c.args, c.keep[s.from:s.to])
	}
	if len(c.kept) > 0 {
		c.args = append(c.args, nil) // the value is in pend
	}
	for _, s := range c.spans {
		c.args = append(c.args, in[s.from:s.to])
	}
	c.state = ready
	c.peer.Meter.Begin()
	c.cmd.run(c, c.args, out)
	c.done()
	c.pend.Release()
	if c.quit {
		return n, session.Close, false
	}
	return n, session.More, true
}

// done counts a command that was carried out.
func (c *conn) done() {
	c.peer.Meter.End(c.cmd.meter)
	c.svc.counts.Commands.Add(1)
	c.client.last.Store(c.env.Clock.Now())
	c.client.command.Store(c.cmd)
}

// end drops the line end behind a received value and goes on with the command.
func (c *conn) end(in []byte, out *session.Out, b *budget) (int, session.Next, bool) {
	if len(in) < 2 {
		return 0, session.More, false
	}
	if c.cmd.each != nil {
		c.state = mapping
		c.cmd.each(c, nil, true, out)
		c.pend.Release()
		return 2, session.More, true
	}
	c.state = gathering
	if c.left == 0 {
		return c.run(nil, 2, out)
	}
	return 2, session.More, true
}

// each carries a command out for its next argument.
func (c *conn) each(in []byte, out *session.Out, b *budget) (int, session.Next, bool) {
	if c.left == 0 {
		c.state = ready
		if c.cmd.tail != nil {
			c.cmd.tail(c, out)
		}
		c.done()
		return 0, session.More, true
	}
	if c.seen <= 0 && !c.cmd.pairs {
		c.seen = c.foresee(in)
	}
	length, n, bad := bulk(in, c.bulkMost(), !c.authed)
	if bad != "" {
		return c.protocolError(bad, out)
	}
	whole := n + length + 2
	switch {
	case n == 0:
		return 0, session.More, false
	case len(in) >= whole:
		c.left--
		c.seen--
		b.commands--
		b.bytes -= length
		c.cmd.each(c, in[n:n+length], true, out)
		return whole, session.More, true
	case length <= argMax:
		return 0, session.More, false
	}
	c.left--
	if c.cmd.pairs && c.klen > 0 {
		fault := c.hold(c.key[:c.klen], length)
		if fault == "" {
			c.state = receiving
			return n, session.More, true
		}
		c.blame(fault)
	}
	c.cmd.each(c, nil, false, out)
	c.skip, c.state, c.after = length+2, swallowing, mapping
	return n, session.More, true
}

// blame notes the first error of a command on many keys.
func (c *conn) blame(fault string) {
	if c.fault == "" {
		c.fault = fault
	}
}

// skipOne drops the next unwanted argument; after the last one the answer is complete.
func (c *conn) skipOne(in []byte, out *session.Out) (int, session.Next, bool) {
	if c.left == 0 {
		c.state = ready
		if c.cmd == nil {
			out.Buf = redcon.AppendError(out.Buf, string(c.unknown))
		}
		return 0, session.More, true
	}
	length, n, bad := bulk(in, c.bulkMost(), !c.authed)
	if bad != "" {
		return c.protocolError(bad, out)
	}
	begin := 0 // bytes that the error repeats
	if c.cmd == nil {
		begin = min(length, max(unknownMax-(len(c.unknown)-c.klen), 0))
	}
	if n == 0 || len(in) < n+begin {
		return 0, session.More, false
	}
	if c.cmd == nil && len(c.unknown)-c.klen < unknownMax {
		c.unknown = append(append(append(c.unknown, '\''), upToNUL(in[n:n+begin])...), "' "...)
	}
	c.left--
	c.skip, c.state, c.after = length+2, swallowing, skipping
	return n, session.More, true
}

// swallow drops bytes, then goes on as noted.
func (c *conn) swallow(in []byte) (int, session.Next, bool) {
	n := min(c.skip, len(in))
	if c.skip -= n; c.skip > 0 {
		return n, session.More, false
	}
	c.state = c.after
	return n, session.More, true
}

// upToNUL is b up to its first NUL, where C's strings end.
func upToNUL(b []byte) []byte {
	s, _, _ := bytes.Cut(b, []byte{0})
	return s
}

// split parts an inline command into words, which may be quoted as Redis allows: 'a\'b' and "a\n\x00".
func split(s []byte) (words [][]byte, ok bool) {
	for {
		for len(s) > 0 && isSpace(s[0]) {
			s = s[1:]
		}
		if len(s) == 0 {
			return words, true
		}
		var w []byte
		if w, s, ok = word(s); !ok {
			return nil, false
		}
		words = append(words, w)
	}
}

// word takes one word off s.
func word(s []byte) (w, rest []byte, ok bool) {
	w = []byte{}
	var quote byte
	for len(s) > 0 {
		ch := s[0]
		switch {
		case quote == 0 && isSpace(ch):
			return w, s, true
		case quote == 0 && (ch == '"' || ch == '\''):
			quote = ch
		case quote != 0 && ch == quote:
			s = s[1:]
			return w, s, len(s) == 0 || isSpace(s[0])
		case quote != 0 && ch == '\\' && len(s) > 1:
			var n int
			ch, n = escaped(s[1:], quote)
			w, s = append(w, ch), s[n:]
		default:
			w = append(w, ch)
		}
		s = s[1:]
	}
	return w, nil, quote == 0
}

// escaped reads what follows a backslash within quotes; n is how many bytes of it count.
func escaped(s []byte, quote byte) (ch byte, n int) {
	if quote == '\'' {
		if s[0] == '\'' {
			return '\'', 1
		}
		return '\\', 0
	}
	if s[0] == 'x' && len(s) > 2 {
		if v, err := strconv.ParseUint(string(s[1:3]), 16, 8); err == nil {
			return byte(v), 3
		}
	}
	switch s[0] {
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'b':
		return '\b', 1
	case 'a':
		return '\a', 1
	}
	return s[0], 1
}

func isSpace(c byte) bool { return c == ' ' || c-'\t' <= '\r'-'\t' }

// isKey reports whether an item may have the key k.
func isKey(k []byte) bool { return len(k) > 0 && len(k) <= engine.MaxKey }
