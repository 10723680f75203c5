package text

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// watched reports whether look-ups are to be told of to anybody: two loads in the usual case of nobody.
func (t *turn) watched() bool {
	return t.env.Watch.Wanted(session.Fetchers) || t.env.Prefixes.On()
}

// sawLookup tells watchers, and with prefix set the counts by prefix, of a look-up of r's key.
func (t *turn) sawLookup(r *engine.Ref, prefix bool) {
	if prefix && t.env.Prefixes.On() {
		t.env.Prefixes.Get(r.Key(), r.Found())
	}
	if !t.env.Watch.Wanted(session.Fetchers) {
		return
	}
	e := watch.Get{Key: r.Key(), Conn: t.peer.ID}
	if r.Found() {
		e.Found, e.Class, e.Size = true, r.Class(), r.Len()
	}
	t.env.Watch.Send(session.Fetchers, e.Append(nil))
}

// sawStore tells watchers of a store: found is what was there before, out how it ended.
func (t *turn) sawStore(r *engine.Ref, w *write, out ops.Outcome) {
	if !t.env.Watch.Wanted(session.Mutations) {
		return
	}
	e := watch.Store{Key: r.Key(), Status: out, Mode: w.store.Mode, Conn: t.peer.ID, Size: w.length}
	if out == ops.TooLarge || out == ops.NoMemory {
		e.Size = 0
	} else {
		e.Class = engine.ClassOf(engine.ItemSize(len(w.key), w.length, w.store.Value.Flags, !t.env.NoCAS))
	}
	expires := w.store.Value.Expires
	if out == ops.Stored && r.Found() {
		expires, e.Size, e.Class = r.Expires(), r.Len(), r.Class()
	}
	if expires != engine.Never {
		e.TTL = expires - t.now
	}
	t.env.Watch.Send(session.Mutations, e.Append(nil))
}

// sawDelete tells watchers of a delete, before the item is gone.
func (t *turn) sawDelete(r *engine.Ref, cmd string) {
	if !t.env.Watch.Wanted(session.Deletions) {
		return
	}
	e := watch.Delete{Key: r.Key(), Command: cmd, Class: r.Class(), Size: r.Len(), Conn: t.peer.ID}
	t.env.Watch.Send(session.Deletions, e.Append(nil))
}

// stored publishes the item that r has.
func (t *turn) stored(r *engine.Ref) {
	if !t.env.Publish.Load() || t.env.Changed == nil {
		return
	}
	t.env.Changed(session.Change{Key: r.Key(), Flags: r.Flags(), Expires: r.Expires(), Size: r.Len(), CAS: r.CAS()})
}

// deleted publishes that key has gone.
func (t *turn) deleted(key []byte) {
	if t.env.Publish.Load() && t.env.Changed != nil {
		t.env.Changed(session.Change{Deleted: true, Key: key})
	}
}
