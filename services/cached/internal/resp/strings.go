package resp

import (
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

const (
	errSyntax   = "ERR syntax error"
	errInteger  = "ERR value is not an integer or out of range"
	errKey      = "ERR a key must have 1 to 250 bytes"
	errTooLarge = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errNoMemory = "OOM command not allowed when used memory > 'maxmemory'."
)

// lock locks key and looks it up.
func (c *conn) lock(key []byte) engine.Ref {
	ref := c.env.Store.Lock(key, c.env.Clock.Now())
	watch.Looked(c.env, c.peer.ID, &ref)
	return ref
}

// get answers GET.
func (c *conn) get(args [][]byte, out *session.Out) {
	if !isKey(args[0]) {
		out.Buf = redcon.AppendError(out.Buf, errKey)
		return
	}
	c.read(args[0], out)
}

// read answers with key's value, or null.
func (c *conn) read(key []byte, out *session.Out) {
	ref := c.lock(key)
	defer ref.Unlock()
	c.sawGet(&ref)
	ref.Count(engine.CmdGet)
	if !ref.Found() {
		ref.Count(engine.GetMisses)
		out.Buf = redcon.AppendNull(out.Buf)
		return
	}
	ref.Count(engine.GetHits)
	ref.Use()
	c.value(&ref, out)
}

// value answers with ref's value; a long one is pinned, and its line end follows in the next step.
func (c *conn) value(ref *engine.Ref, out *session.Out) {
	size := ref.Len()
	out.Buf = append(strconv.AppendInt(append(out.Buf, '$'), int64(size), 10), "\r\n"...)
	if size > engine.PinAbove {
		out.Big, c.tail = ref.Pin(), true
		return
	}
	out.Buf = append(ref.AppendValue(out.Buf), "\r\n"...)
}

func (c *conn) mgetHead(args int, out *session.Out) { out.Buf = redcon.AppendArray(out.Buf, args) }

func (c *conn) mgetEach(key []byte, ok bool, out *session.Out) {
	if !ok || !isKey(key) {
		out.Buf = redcon.AppendNull(out.Buf)
		return
	}
	c.read(key, out)
}

// strlen answers STRLEN.
func (c *conn) strlen(args [][]byte, out *session.Out) {
	if !isKey(args[0]) {
		out.Buf = redcon.AppendError(out.Buf, errKey)
		return
	}
	ref := c.lock(args[0])
	n := 0
	if ref.Found() {
		n = ref.Len()
	}
	ref.Unlock()
	out.Buf = redcon.AppendInt(out.Buf, int64(n))
}

// getdel answers GETDEL.
func (c *conn) getdel(args [][]byte, out *session.Out) {
	if !isKey(args[0]) {
		out.Buf = redcon.AppendError(out.Buf, errKey)
		return
	}
	ref := c.lock(args[0])
	defer ref.Unlock()
	c.sawGet(&ref)
	if ref.Found() {
		c.value(&ref, out)
	} else {
		out.Buf = redcon.AppendNull(out.Buf)
	}
	c.remove(&ref, args[0])
}

// getex answers GETEX. As in Redis the time is judged only when there is an item.
func (c *conn) getex(args [][]byte, out *session.Out) {
	var o options
	fault := o.parse(args[1:], optExpiry|optPersist)
	if fault == "" && !isKey(args[0]) {
		fault = errKey
	}
	if fault != "" {
		out.Buf = redcon.AppendError(out.Buf, fault)
		return
	}
	ref := c.lock(args[0])
	defer ref.Unlock()
	c.sawGet(&ref)
	ref.Count(engine.CmdGet)
	if !ref.Found() {
		ref.Count(engine.GetMisses)
		out.Buf = redcon.AppendNull(out.Buf)
		return
	}
	if fault := c.time("getex", &o); fault != "" {
		out.Buf = redcon.AppendError(out.Buf, fault)
		return
	}
	ref.Count(engine.GetHits)
	ref.Use()
	c.value(&ref, out)
	switch {
	case o.persist:
		ops.Touch(&ref, engine.Never)
	case o.timed && c.past(o.expires):
		c.drop(&ref, args[0])
	case o.timed:
		ops.Touch(&ref, o.expires)
	}
}

// drop deletes ref's item, if there is one, because its time has passed.
func (c *conn) drop(ref *engine.Ref, key []byte) {
	if ref.Found() {
		c.remove(ref, key)
	}
}

// past reports whether an expiry has passed.
func (c *conn) past(expires int64) bool { return expires*1000 <= c.svc.o.UnixMilli() }

// set answers SET.
func (c *conn) set(args [][]byte, out *session.Out) {
	var o options
	fault := o.parse(args[2:], optExpiry|optSet)
	if fault == "" {
		fault = c.time("set", &o)
	}
	if fault != "" {
		out.Buf = redcon.AppendError(out.Buf, fault)
		return
	}
	c.store(args[0], args[1], &o, out)
}

// setnx answers SETNX.
func (c *conn) setnx(args [][]byte, out *session.Out) {
	c.store(args[0], args[1], &options{nx: true, count: true}, out)
}

func (c *conn) setex(args [][]byte, out *session.Out)  { c.storeFor("setex", args, 1000, out) }
func (c *conn) psetex(args [][]byte, out *session.Out) { c.storeFor("psetex", args, 1, out) }

// storeFor answers SETEX and PSETEX, whose time has the given unit in milliseconds.
func (c *conn) storeFor(name string, args [][]byte, unit int64, out *session.Out) {
	expires, fault := c.expiry(name, args[1], unit, c.svc.o.UnixMilli())
	if fault != "" {
		out.Buf = redcon.AppendError(out.Buf, fault)
		return
	}
	c.store(args[0], args[2], &options{timed: true, expires: expires}, out)
}

// getset answers GETSET.
func (c *conn) getset(args [][]byte, out *session.Out) {
	c.store(args[0], args[1], &options{get: true}, out)
}

// store carries out a SET of any kind; the data are in pend when it holds any. It answers too.
func (c *conn) store(key, data []byte, o *options, out *session.Out) {
	mark := len(out.Buf)
	if !isKey(key) {
		out.Buf = redcon.AppendError(out.Buf, errKey)
		return
	}
	ref := c.lock(key)
	defer ref.Unlock()
	if !c.pend.Held() && !ops.Fits(c.env.Store, len(key), len(data), 0, !c.env.NoCAS) {
		out.Buf = redcon.AppendError(out.Buf, c.refused(&ref, engine.ErrTooLarge))
		return
	}
	found := ref.Found()
	if o.get {
		if found {
			c.value(&ref, out)
		} else {
			out.Buf = redcon.AppendNull(out.Buf)
		}
	}
	if o.nx && found || o.xx && !found {
		o.refuse(out)
		return
	}
	if o.timed && c.past(o.expires) {
		c.drop(&ref, key)
		o.agree(out)
		return
	}
	s := ops.Store{Mode: ops.Set, Value: engine.Value{Expires: o.expires}}
	if o.keep && found {
		s.Value.Expires = ref.Expires()
	}
	if result := c.put(&ref, &s, data); result != ops.Stored {
		out.Big.Unpin()
		c.tail = false
		out.Buf = redcon.AppendError(out.Buf[:mark], c.refusedFor(&ref, result))
		return
	}
	c.stored(&ref, key)
	o.agree(out)
}

// put stores data, or what pend holds.
func (c *conn) put(ref *engine.Ref, s *ops.Store, data []byte) (out ops.Outcome) {
	if c.pend.Held() {
		out = ops.Commit(ref, s, &c.pend)
	} else {
		out = ops.Put(ref, s, data)
	}
	c.sawStore(ref, s, len(data), out)
	return out
}

// refused counts a value for which there is no room and returns the error to answer. The old value stays, unlike with memcached's set.
func (c *conn) refused(ref *engine.Ref, err error) (fault string) {
	return c.refusedFor(ref, ops.Of(err))
}

func (c *conn) refusedFor(ref *engine.Ref, out ops.Outcome) (fault string) {
	if ops.Refused(ref, out, false) == ops.TooLarge {
		return errTooLarge
	}
	return errNoMemory
}

// msetEach takes a key, or the value for the key before.
func (c *conn) msetEach(arg []byte, ok bool, out *session.Out) {
	if c.left%2 == 1 { // a key: its value is still to come
		if c.klen = 0; ok && isKey(arg) {
			c.klen = copy(c.key[:], arg)
		}
		return
	}
	switch {
	case c.klen == 0:
		c.blame(errKey)
	case ok:
		ref := c.lock(c.key[:c.klen])
		s := ops.Store{Mode: ops.Set}
		if result := c.put(&ref, &s, arg); result != ops.Stored {
			c.blame(c.refusedFor(&ref, result))
		} else {
			c.stored(&ref, c.key[:c.klen])
		}
		ref.Unlock()
	}
	c.klen = 0
}

func (c *conn) msetTail(out *session.Out) {
	if c.fault != "" {
		out.Buf = redcon.AppendError(out.Buf, c.fault)
		return
	}
	out.Buf = redcon.AppendOK(out.Buf)
}

// appendTo answers APPEND.
func (c *conn) appendTo(args [][]byte, out *session.Out) {
	key := args[0]
	if !isKey(key) {
		out.Buf = redcon.AppendError(out.Buf, errKey)
		return
	}
	ref := c.lock(key)
	defer ref.Unlock()
	s := ops.Store{Mode: ops.Set}
	if ref.Found() {
		s.Mode = ops.Append
	}
	switch result := c.put(&ref, &s, args[1]); result {
	case ops.Stored:
		c.stored(&ref, key)
		out.Buf = redcon.AppendInt(out.Buf, int64(ref.Len()))
	case ops.NoMemory:
		out.Buf = redcon.AppendError(out.Buf, c.refusedFor(&ref, result))
	default: // an append that would be too large counts as not stored
		out.Buf = redcon.AppendError(out.Buf, c.refusedFor(&ref, ops.TooLarge))
	}
}
