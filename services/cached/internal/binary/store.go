package binary

import (
	"encoding/binary"

	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// storing begins a store command, whose value follows at in[n:] and may not have arrived.
func (c *conn) storing(in []byte, n int, out *session.Out, b *budget) (int, session.Next, bool) {
	r := &c.req
	now := c.env.Clock.Now()
	c.plan(now)
	length := int(r.value)
	if len(in)-n < length && n+length <= waitWhole {
		return 0, session.More, false
	}
	if c.env.Prefixes.On() {
		c.env.Prefixes.Set(r.key)
	}
	if !ops.Fits(c.env.Store, len(r.key), length, c.store.Value.Flags, !c.env.NoCAS) {
		c.cannotStore(ops.TooLarge, now, out)
		return n, session.More, true
	}
	if len(in)-n >= length {
		c.peer.Meter.Begin()
		cmd := c.stored(in[n:n+length], now, out)
		c.peer.Meter.End(cmd)
		b.bytes -= length
		return n + length, session.More, true
	}
	if err := c.env.Store.Reserve(&c.pend, r.key, length, c.store.Value.Flags, now); err != nil {
		c.cannotStore(ops.Of(err), now, out)
		return n, session.More, true
	}
	r.key = c.key[:copy(c.key[:], r.key)] // the input will not be there any more
	r.ext = nil
	c.state = receiving
	return n, session.More, true
}

// plan fills c.store from the request.
func (c *conn) plan(now int64) {
	r := &c.req
	c.store = ops.Store{Mode: mode(r.base), Compare: r.cas}
	if len(r.ext) == 8 {
		c.store.Value.Flags = binary.BigEndian.Uint32(r.ext)
		c.store.Value.Expires = c.expires(binary.BigEndian.Uint32(r.ext[4:]), now)
	}
	if c.env.NoCAS {
		c.store.Compare = 0
	}
	if c.store.Compare != 0 && len(r.ext) == 8 {
		c.store.Mode = ops.CAS
	}
}

func mode(op uint8) ops.Mode {
	switch op {
	case opAdd:
		return ops.Add
	case opReplace:
		return ops.Replace
	case opAppend:
		return ops.Append
	case opPrepend:
		return ops.Prepend
	}
	return ops.Set
}

var cmdOf = [...]session.Cmd{
	ops.Set: session.Set, ops.Add: session.Add, ops.Replace: session.Replace,
	ops.Append: session.Append, ops.Prepend: session.Prepend, ops.CAS: session.Cas,
}

// receive takes what has arrived of a value; the rest goes to Body.
func (c *conn) receive(in []byte, out *session.Out, b *budget) (n int, next session.Next, on bool) {
	for n < len(in) && c.pend.Left() > 0 {
		m := copy(c.pend.Buf(), in[n:])
		c.pend.Advance(m)
		n += m
	}
	b.bytes -= n
	if c.pend.Left() > 0 {
		return n, session.Body, false
	}
	c.state = ready
	c.peer.Meter.Begin()
	cmd := c.stored(nil, c.env.Clock.Now(), out)
	c.peer.Meter.End(cmd)
	return n, session.More, true
}

// stored carries out the store command with data, or with what pend holds, and answers.
func (c *conn) stored(data []byte, now int64, out *session.Out) session.Cmd {
	r := &c.req
	ref := c.env.Store.Lock(r.key, now)
	c.sawLookup(&ref)
	var result ops.Outcome
	if c.pend.Held() {
		result = ops.Commit(&ref, &c.store, &c.pend)
	} else {
		result = ops.Put(&ref, &c.store, data)
	}
	var change session.Change
	if result == ops.Stored {
		change = session.Change{Key: r.key, Flags: ref.Flags(), Expires: ref.Expires(), Size: ref.Len(), CAS: ref.CAS()}
	} else if result == ops.NoMemory {
		ops.Refused(&ref, result, r.base == opSet)
	}
	c.sawStore(&ref, &c.store, int(r.value), result)
	ref.Unlock()
	if result == ops.Stored {
		c.changed(&change)
	}
	c.answerStore(result, change.CAS, out)
	return cmdOf[c.store.Mode]
}

func (c *conn) answerStore(result ops.Outcome, cas uint64, out *session.Out) {
	r := &c.req
	s := statusNotStored
	switch result {
	case ops.Stored:
		if !r.quiet {
			out.Buf = appendHeader(out.Buf, r, statusOK, 0, 0, 0, cas)
		}
		return
	case ops.Exists:
		s = statusExists
	case ops.NotFound:
		s = statusNotFound
	case ops.NoMemory:
		out.Buf = appendErrorText(out.Buf, r, statusOutOfMemory, noMemoryStoring)
		return
	default:
		switch c.store.Mode {
		case ops.Add:
			s = statusExists
		case ops.Replace:
			s = statusNotFound
		}
	}
	out.Buf = appendError(out.Buf, r, s)
}

const (
	noMemoryStoring  = "Out of memory allocating item"
	noMemoryAdding   = "Out of memory incrementing value"
	noMemoryCreating = "Out of memory allocating new item"
)

// cannotStore answers that there is no room for the value, drops it when it arrives, and for Set the old one too.
func (c *conn) cannotStore(result ops.Outcome, now int64, out *session.Out) {
	r := &c.req
	ref := c.env.Store.Lock(r.key, now)
	c.sawStore(&ref, &c.store, int(r.value), result)
	if r.base == opSet {
		c.sawLookup(&ref)
	}
	ops.Refused(&ref, result, r.base == opSet)
	ref.Unlock()
	if result == ops.TooLarge {
		out.Buf = appendError(out.Buf, r, statusTooLarge)
	} else {
		out.Buf = appendErrorText(out.Buf, r, statusOutOfMemory, noMemoryStoring)
	}
	c.note.ValuesSwallowed.Add(1)
	c.drop(r.value)
}
