package text

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// maxLength is the longest value that a line may announce.
	maxLength = 1<<31 - 1 - 2
	// heldValue is the length up to which a value is left in the input until it is there in full.
	heldValue = 4 << 10
)

// write is a command that stores a value: one of the set family, or ms.
type write struct {
	key    []byte
	length int
	store  ops.Store
	cmd    session.Cmd
	drop   bool // a refusal deletes the old value
	meta   bool // ms: answered by code and echo
	echo   echo
	create int64 // of an ms append with N: expiry of the item that a miss creates
	vivify bool
}

// write takes the value of w, whose command line is header bytes long from pos on, and stores it when it is there in full.
func (t *turn) write(w *write, header int) session.Next {
	from, total := t.pos+header, w.length+2
	if !ops.Fits(t.store, len(w.key), w.length, w.store.Value.Flags, !t.env.NoCAS) {
		t.pos = from
		t.countPrefix(w)
		t.skip(total, t.refuse(w, ops.TooLarge))
		return going
	}
	if len(t.in)-from < total {
		if total <= heldValue {
			return session.More
		}
		t.pos = from
		return t.arrive(w)
	}
	t.pos = from + total
	t.bytes -= w.length
	t.countPrefix(w)
	if !lineEnds(t.in, from+w.length) {
		t.badChunk(w)
		return going
	}
	t.meter.Begin()
	r := t.store.Lock(w.key, t.now)
	t.lookedUp(&r)
	out := ops.Put(&r, &w.store, t.in[from:from+w.length])
	if out == ops.NotStored && w.vivify && !r.Found() {
		out = t.vivify(&r, w, t.in[from:from+w.length])
	}
	t.finish(w, &r, out)
	t.meter.End(w.cmd)
	return going
}

// countPrefix counts w, which was accepted, by its prefix; ms is not counted.
func (t *turn) countPrefix(w *write) {
	if !w.meta && t.env.Prefixes.On() {
		t.env.Prefixes.Set(w.key)
	}
}

// finish answers w, which ended as out, and unlocks r.
func (t *turn) finish(w *write, r *engine.Ref, out ops.Outcome) {
	if out == ops.TooLarge || out == ops.NoMemory {
		r.Unlock()
		t.reply(t.refuse(w, out))
		return
	}
	t.sawStore(r, w, out)
	var cas uint64
	if out == ops.Stored {
		cas = r.CAS()
		t.stored(r)
	}
	r.Unlock()
	if w.meta {
		t.metaStored(w, out, cas)
		return
	}
	switch out {
	case ops.Stored:
		t.reply("STORED\r\n")
	case ops.Exists:
		t.reply("EXISTS\r\n")
	case ops.NotFound:
		t.reply(replyNotFound)
	default:
		t.reply("NOT_STORED\r\n")
	}
}

// refuse counts a value that there is no room for and returns what to answer.
func (t *turn) refuse(w *write, out ops.Outcome) string {
	r := t.store.Lock(w.key, t.now)
	t.sawStore(&r, w, ops.Refused(&r, out, w.drop))
	r.Unlock()
	text := replyTooLarge
	if out == ops.NoMemory {
		text = replyNoMemory
		if engine.ItemSize(len(w.key), w.length, w.store.Value.Flags, !t.env.NoCAS) > engine.LargestChunk {
			text = replyReading // memcached takes the memory of a large item piece by piece, while it reads
		}
	}
	if w.meta {
		t.noreply = false
	}
	return text
}

// badChunk answers a value that does not end where it was said to.
func (t *turn) badChunk(w *write) {
	r := t.store.Lock(w.key, t.now)
	r.Count(engine.CmdSet)
	r.Unlock()
	if w.meta {
		t.noreply = false
	}
	t.reply(replyBadChunk)
}

// lookedUp tells watchers of the look-up that a store or delete begins with.
func (t *turn) lookedUp(r *engine.Ref) {
	if t.watched() {
		t.sawLookup(r, false)
	}
}
