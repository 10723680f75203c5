package binary

import (
	"encoding/binary"
	"strings"

	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// flush answers Flush: everything is dropped, now or at the time given.
func (c *conn) flush(out *session.Out) {
	r := &c.req
	if c.env.NoFlush {
		out.Buf = appendError(out.Buf, r, statusAuth)
		return
	}
	var exptime uint32
	if len(r.ext) == 4 {
		exptime = binary.BigEndian.Uint32(r.ext)
	}
	c.note.CmdFlush.Add(1)
	c.flushAt(int64(exptime))
	if !r.quiet {
		out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 0, 0)
	}
}

// startSlack is by how many seconds memcached's clock begins before its start.
const startSlack = 62

// flushAt drops all items at the time that exptime gives, 0 for now. As in memcached what is there goes a second earlier, when only one is
// left; and an absolute time before the server's start flushes nothing.
func (c *conn) flushAt(exptime int64) {
	now := c.env.Clock.Now()
	at := now
	if exptime > 0 {
		if at = ops.Expires(exptime, now, c.env.Started-startSlack); at == ops.Past {
			return
		}
	}
	if at <= now+1 {
		c.env.Store.FlushAll(now, now)
	}
	if at > now {
		c.env.Store.FlushAll(at, now)
	}
	if c.env.Flushed != nil {
		c.env.Flushed(max(at-now, 0))
	}
}

// verbosity answers Verbosity.
func (c *conn) verbosity(out *session.Out) {
	if c.env.Verbosity != nil {
		c.env.Verbosity(int(binary.BigEndian.Uint32(c.req.ext)))
	}
	out.Buf = appendHeader(out.Buf, &c.req, statusOK, 0, 0, 0, 0)
}

// stat begins the answer to Stat: a packet for each line and an empty one at the end.
func (c *conn) stat(out *session.Out, b *budget) {
	c.peer.Meter.Begin()
	pairs, ok := []session.Pair(nil), false
	if c.o.Stats != nil {
		pairs, ok = c.o.Stats(group(string(c.req.key)))
	}
	if !ok {
		out.Buf = appendError(out.Buf, &c.req, statusNotFound)
	} else {
		c.pairs, c.state = pairs, telling
		c.tell(out, b)
	}
	c.peer.Meter.End(session.Stats)
}

// group is the group of statistics that key asks for: memcached compares only the beginning of some.
func group(key string) string {
	for _, name := range []string{"reset", "settings", "detail dump", "detail on", "detail off"} {
		if strings.HasPrefix(key, name) {
			return name
		}
	}
	return key
}

// tell goes on with the lines of statistics until there are none left or enough are waiting to be written.
func (c *conn) tell(out *session.Out, b *budget) {
	r := &c.req
	for len(out.Buf) < session.OutHigh {
		if len(c.pairs) == 0 {
			out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 0, 0)
			c.state, c.pairs = ready, nil
			return
		}
		p := &c.pairs[0]
		out.Buf = appendHeader(out.Buf, r, statusOK, 0, len(p.Name), len(p.Name)+len(p.Value), 0)
		out.Buf = append(append(out.Buf, p.Name...), p.Value...)
		b.bytes -= len(p.Name) + len(p.Value)
		c.pairs = c.pairs[1:]
	}
}
