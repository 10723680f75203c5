package binary

import (
	"encoding/binary"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// get answers Get and GetK.
func (c *conn) get(out *session.Out, b *budget) {
	r := &c.req
	ref := c.env.Store.Lock(r.key, c.env.Clock.Now())
	c.sawGet(&ref)
	ref.Count(engine.CmdGet)
	if !ref.Found() {
		ref.Count(engine.GetMisses)
		ref.Unlock()
		c.miss(out)
		return
	}
	ref.Count(engine.GetHits)
	ref.Use()
	c.item(&ref, out, b)
	ref.Unlock()
}

// touch answers Touch, GAT and GATK.
func (c *conn) touch(out *session.Out, b *budget) {
	r := &c.req
	now := c.env.Clock.Now()
	expires := c.expires(binary.BigEndian.Uint32(r.ext), now)
	ref := c.env.Store.Lock(r.key, now)
	c.sawGet(&ref)
	if !ops.Touch(&ref, expires) {
		ref.Unlock()
		c.miss(out)
		return
	}
	if r.base == opTouch {
		out.Buf = appendHeader(out.Buf, r, statusOK, 4, 0, 4, ref.CAS())
		out.Buf = binary.BigEndian.AppendUint32(out.Buf, ref.Flags())
	} else {
		ref.Use()
		c.item(&ref, out, b)
	}
	ref.Unlock()
}

// expires translates an expiry time, which this protocol takes as unsigned.
func (c *conn) expires(e uint32, now int64) int64 { return ops.Expires(int64(e), now, c.env.Started) }

// item answers with ref's item, a long value by pinning it.
func (c *conn) item(ref *engine.Ref, out *session.Out, b *budget) {
	r, size := &c.req, ref.Len()
	var key []byte
	if r.base == opGetK || r.base == opGATK {
		key = r.key
	}
	out.Buf = appendHeader(out.Buf, r, statusOK, 4, len(key), 4+len(key)+size, ref.CAS())
	out.Buf = binary.BigEndian.AppendUint32(out.Buf, ref.Flags())
	out.Buf = append(out.Buf, key...)
	if size > engine.PinAbove {
		out.Big = ref.Pin()
		return
	}
	out.Buf = ref.AppendValue(out.Buf)
	b.bytes -= size
}

// miss answers a read that found nothing: with the key alone for those that return keys.
func (c *conn) miss(out *session.Out) {
	r := &c.req
	switch {
	case r.quiet:
	case r.base == opGetK || r.base == opGATK:
		out.Buf = append(appendHeader(out.Buf, r, statusNotFound, 0, len(r.key), len(r.key), 0), r.key...)
	default:
		out.Buf = appendError(out.Buf, r, statusNotFound)
	}
}
