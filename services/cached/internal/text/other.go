package text

import (
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

const (
	replyNonNumeric  = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	replyOutOfMemory = "SERVER_ERROR out of memory\r\n"
	replyDelete      = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
	replyDelta       = "CLIENT_ERROR invalid numeric delta argument\r\n"
)

// otherCommand carries out a command whose line is all there is of it and is consumed already.
func (t *turn) otherCommand(name string) session.Next {
	switch name {
	case "incr":
		t.arith(ops.Arith{}, session.Incr)
	case "decr":
		t.arith(ops.Arith{Decr: true}, session.Decr)
	case "delete":
		t.delete()
	case "touch":
		t.touch()
	case "flush_all":
		t.flushAll()
	case "stats":
		t.meter.Begin()
		next := t.stats()
		t.meter.End(session.Stats)
		return next
	case "quit":
		return session.Close
	default:
		t.meter.Begin()
		next := t.adminCommand(name)
		t.meter.End(session.Other)
		return next
	}
	return going
}

// argsBetween answers ERROR unless the command has min to max words behind its name.
func (t *turn) argsBetween(min, max int) bool {
	if n := t.ntok - 1; n < min || n > max {
		t.reply(replyError)
		return false
	}
	return true
}

// keyFits answers an error unless word 1 is no longer than a key may be.
func (t *turn) keyFits() bool {
	if len(t.word(1)) > maxKey {
		t.reply(replyBadFormat)
		return false
	}
	return true
}

// arith is `incr|decr key delta [noreply]`.
func (t *turn) arith(a ops.Arith, cmd session.Cmd) {
	if !t.argsBetween(2, 3) {
		return
	}
	t.maybeNoreply()
	if !t.keyFits() {
		return
	}
	var ok bool
	if a.Delta, ok = ops.Uint(t.word(2)); !ok {
		t.reply(replyDelta)
		return
	}
	t.meter.Begin()
	r := t.store.Lock(t.word(1), t.now)
	t.lookedUp(&r)
	n, out := ops.AddDelta(&r, &a)
	switch out {
	case ops.Stored:
		t.stored(&r)
	case ops.NotFound:
		ops.MissedDelta(&r, a.Decr)
	}
	r.Unlock()
	switch out {
	case ops.Stored:
		t.stacked = true
		if !t.noreply {
			t.buf = append(appendUint(t.buf, n), crlf...)
		}
	case ops.NotFound:
		t.reply(replyNotFound)
	case ops.NonNumeric:
		t.reply(replyNonNumeric)
	default:
		t.reply(replyOutOfMemory)
	}
	t.meter.End(cmd)
}

// delete is `delete key [0] [noreply]`: old clients send a time, which must be 0.
func (t *turn) delete() {
	if !t.argsBetween(1, 3) {
		return
	}
	if t.ntok > 2 {
		zero := t.is(2, "0")
		t.maybeNoreply()
		if !(t.ntok == 3 && (zero || t.noreply) || t.ntok == 4 && zero && t.noreply) {
			t.reply(replyDelete)
			return
		}
	}
	if !t.keyFits() {
		return
	}
	key := t.word(1)
	if t.env.Prefixes.On() {
		t.env.Prefixes.Delete(key)
	}
	t.meter.Begin()
	r := t.store.Lock(key, t.now)
	t.lookedUp(&r)
	if r.Found() {
		t.sawDelete(&r, "delete")
	}
	gone := ops.Delete(&r)
	r.Unlock()
	if gone {
		t.deleted(key)
		t.reply("DELETED\r\n")
	} else {
		t.reply(replyNotFound)
	}
	t.meter.End(session.Delete)
}

// touch is `touch key exptime [noreply]`.
func (t *turn) touch() {
	if !t.argsBetween(2, 3) {
		return
	}
	t.maybeNoreply()
	if !t.keyFits() {
		return
	}
	exptime, ok := ops.Int32(t.word(2))
	if !ok {
		t.reply(replyExptime)
		return
	}
	t.meter.Begin()
	r := t.store.Lock(t.word(1), t.now)
	t.lookedUp(&r)
	hit := ops.Touch(&r, ops.Expires(int64(exptime), t.now, t.env.Started))
	if hit {
		r.Use()
	}
	r.Unlock()
	if hit {
		t.reply("TOUCHED\r\n")
	} else {
		t.reply(replyNotFound)
	}
	t.meter.End(session.Touch)
}

// flushAll is `flush_all [delay] [noreply]`.
func (t *turn) flushAll() {
	if !t.argsBetween(0, 2) {
		return
	}
	t.meter.Begin()
	defer t.meter.End(session.FlushAll)
	t.maybeNoreply()
	if t.note != nil {
		t.note.CmdFlush.Add(1)
	}
	if t.env.NoFlush {
		t.reply("CLIENT_ERROR flush_all not allowed\r\n")
		return
	}
	args := t.ntok - 1
	if t.noreply {
		args--
	}
	var delay int32
	if args > 0 {
		var ok bool
		if delay, ok = ops.Int32(t.word(1)); !ok {
			t.reply(replyExptime)
			return
		}
	}
	t.flush(int64(delay))
	t.reply(replyOK)
}

// flushSlack is by how many seconds memcached's clock begins before its start.
const flushSlack = 62

// flush drops all items after delay seconds, or at that Unix time. As in memcached what is there goes a second earlier, when only
// one is left; and an absolute time before the server's start flushes nothing.
func (t *turn) flush(delay int64) {
	at := t.now
	if delay > 0 {
		if at = ops.Expires(delay, t.now, t.env.Started-flushSlack); at == ops.Past {
			return
		}
	}
	if at <= t.now+1 {
		t.store.FlushAll(t.now, t.now)
	}
	if at > t.now {
		t.store.FlushAll(at, t.now)
	}
	if t.env.Flushed != nil {
		t.env.Flushed(max(at-t.now, 0))
	}
}
