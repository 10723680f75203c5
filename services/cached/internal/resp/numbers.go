package resp

import (
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

const errOverflow = "ERR increment or decrement would overflow"

func (c *conn) incr(args [][]byte, out *session.Out) { c.add(args[0], 1, out) }
func (c *conn) decr(args [][]byte, out *session.Out) { c.add(args[0], -1, out) }

// incrby answers INCRBY.
func (c *conn) incrby(args [][]byte, out *session.Out) {
	n, ok := integer(args[1])
	if !ok {
		out.Buf = redcon.AppendError(out.Buf, errInteger)
		return
	}
	c.add(args[0], n, out)
}

// decrby answers DECRBY.
func (c *conn) decrby(args [][]byte, out *session.Out) {
	n, ok := integer(args[1])
	switch {
	case !ok:
		out.Buf = redcon.AppendError(out.Buf, errInteger)
	case n == -1<<63:
		out.Buf = redcon.AppendError(out.Buf, "ERR decrement would overflow")
	default:
		c.add(args[0], -n, out)
	}
}

// add adds delta to key's number; a missing one is 0. Flags and expiry stay.
func (c *conn) add(key []byte, delta int64, out *session.Out) {
	if !isKey(key) {
		out.Buf = redcon.AppendError(out.Buf, errKey)
		return
	}
	ref := c.lock(key)
	defer ref.Unlock()
	v := engine.Value{}
	var n int64
	if ref.Found() {
		v = engine.Value{Flags: ref.Flags(), Expires: ref.Expires()}
		var ok bool
		if n, ok = number(&ref); !ok {
			out.Buf = redcon.AppendError(out.Buf, errInteger)
			return
		}
	}
	found := ref.Found()
	c.countDelta(&ref, delta)
	if delta > 0 && n > 1<<63-1-delta || delta < 0 && n < -1<<63-delta {
		out.Buf = redcon.AppendError(out.Buf, errOverflow)
		return
	}
	n += delta
	var buf [20]byte
	if err := ref.Put(v, strconv.AppendInt(buf[:0], n, 10)); err != nil {
		out.Buf = redcon.AppendError(out.Buf, c.refusedFor(&ref, ops.Of(err)))
		return
	}
	if !found { // memcached tells of no store where there was a number
		watch.Stored(c.env, c.peer.ID, &ref, &ops.Store{Mode: ops.Add}, ref.Len(), ops.Stored)
	}
	c.stored(&ref, key)
	out.Buf = redcon.AppendInt(out.Buf, n)
}

func (c *conn) countDelta(ref *engine.Ref, delta int64) {
	switch found := ref.Found(); {
	case found && delta < 0:
		ref.Count(engine.DecrHits)
	case found:
		ref.Count(engine.IncrHits)
	case delta < 0:
		ref.Count(engine.DecrMisses)
	default:
		ref.Count(engine.IncrMisses)
	}
}

// number reads ref's value as a number.
func number(ref *engine.Ref) (int64, bool) {
	if ref.Len() > 20 {
		return 0, false
	}
	return integer(ref.Value())
}
