package binary

import (
	"encoding/binary"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// dontCreate is the expiry by which an incr or decr says that a missing item is an error.
const dontCreate = 0xffffffff

// arith answers Incr and Decr.
func (c *conn) arith(out *session.Out) {
	r := &c.req
	now := c.env.Clock.Now()
	a := ops.Arith{Decr: r.base == opDecr, Delta: binary.BigEndian.Uint64(r.ext), Compare: r.cas}
	ref := c.env.Store.Lock(r.key, now)
	c.sawLookup(&ref)
	n, result := ops.AddDelta(&ref, &a)
	text := noMemoryAdding
	if result == ops.NotFound {
		if exptime := binary.BigEndian.Uint32(r.ext[16:]); exptime == dontCreate {
			ops.MissedDelta(&ref, a.Decr)
		} else {
			n, text = binary.BigEndian.Uint64(r.ext[8:]), noMemoryCreating
			result = c.create(&ref, n, c.expires(exptime, now))
		}
	}
	var change session.Change
	if result == ops.Stored {
		change = session.Change{Key: r.key, Flags: ref.Flags(), Expires: ref.Expires(), Size: ref.Len(), CAS: ref.CAS()}
	}
	ref.Unlock()
	switch result {
	case ops.Stored:
		c.changed(&change)
		if !r.quiet {
			out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 8, change.CAS)
			out.Buf = binary.BigEndian.AppendUint64(out.Buf, n)
		}
	case ops.NotFound:
		out.Buf = appendError(out.Buf, r, statusNotFound)
	case ops.Exists:
		out.Buf = appendError(out.Buf, r, statusExists)
	case ops.NonNumeric:
		out.Buf = appendError(out.Buf, r, statusNonNumeric)
	default:
		out.Buf = appendErrorText(out.Buf, r, statusOutOfMemory, text)
	}
}

// create stores the initial value of a counter, which memcached does not count as a store command.
func (c *conn) create(ref *engine.Ref, n uint64, expires int64) ops.Outcome {
	var buf [20]byte
	text := strconv.AppendUint(buf[:0], n, 10)
	s := ops.Store{Mode: ops.Add, Value: engine.Value{Expires: expires}}
	c.sawLookup(ref) // memcached looks again
	result := ops.Of(ref.Put(s.Value, text))
	c.sawStore(ref, &s, len(text), result)
	return result
}

// delete answers Delete.
func (c *conn) delete(out *session.Out) {
	r := &c.req
	if c.env.Prefixes.On() {
		c.env.Prefixes.Delete(r.key)
	}
	ref := c.env.Store.Lock(r.key, c.env.Clock.Now())
	c.sawLookup(&ref)
	s := statusOK
	switch {
	case ref.Found() && r.cas != 0 && r.cas != ref.CAS():
		s = statusExists
	case ref.Found():
		watch.Deleted(c.env, c.peer.ID, &ref, "delete")
		ops.Delete(&ref)
	default:
		ops.Delete(&ref) // counts the miss
		s = statusNotFound
	}
	ref.Unlock()
	if s != statusOK {
		out.Buf = appendError(out.Buf, r, s)
		return
	}
	c.changed(&session.Change{Key: r.key, Deleted: true})
	if !r.quiet {
		out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 0, 0)
	}
}
