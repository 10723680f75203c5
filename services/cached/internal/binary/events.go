package binary

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// sawLookup tells watchers of a look-up of ref's key: each command begins with one.
func (c *conn) sawLookup(ref *engine.Ref) {
	if !c.env.Watch.Wanted(session.Fetchers) {
		return
	}
	e := watch.Get{Key: ref.Key(), Conn: c.peer.ID}
	if ref.Found() {
		e.Found, e.Class, e.Size = true, ref.Class(), ref.Len()
	}
	c.env.Watch.Send(session.Fetchers, e.Append(nil))
}

// sawGet tells watchers of a read, and counts it by prefix.
func (c *conn) sawGet(ref *engine.Ref) {
	if c.env.Prefixes.On() {
		c.env.Prefixes.Get(ref.Key(), ref.Found())
	}
	c.sawLookup(ref)
}

// sawStore tells watchers how the store of length bytes ended.
func (c *conn) sawStore(ref *engine.Ref, s *ops.Store, length int, result ops.Outcome) {
	if !c.env.Watch.Wanted(session.Mutations) {
		return
	}
	e := watch.Store{Key: ref.Key(), Status: result, Mode: s.Mode, Conn: c.peer.ID}
	expires := s.Value.Expires
	switch result {
	case ops.TooLarge, ops.NoMemory: // there was never an item
	case ops.Stored:
		e.Size, e.Class, expires = ref.Len(), ref.Class(), ref.Expires()
	default:
		e.Size = length
		e.Class = engine.ClassOf(engine.ItemSize(len(ref.Key()), length, s.Value.Flags, !c.env.NoCAS))
	}
	if expires != engine.Never {
		e.TTL = expires - c.env.Clock.Now()
	}
	c.env.Watch.Send(session.Mutations, e.Append(nil))
}

// sawDelete tells watchers of a delete, before the item is gone.
func (c *conn) sawDelete(ref *engine.Ref) {
	if !c.env.Watch.Wanted(session.Deletions) {
		return
	}
	e := watch.Delete{Key: ref.Key(), Command: "delete", Class: ref.Class(), Size: ref.Len(), Conn: c.peer.ID}
	c.env.Watch.Send(session.Deletions, e.Append(nil))
}

// changed tells who subscribed that a key was stored or deleted.
func (c *conn) changed(ch *session.Change) {
	if c.env.Publish.Load() && c.env.Changed != nil {
		c.env.Changed(*ch)
	}
}
