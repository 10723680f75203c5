package resp

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// sawGet counts a read by prefix. Watchers were told when the key was locked.
func (c *conn) sawGet(ref *engine.Ref) {
	if c.env.Prefixes.On() {
		c.env.Prefixes.Get(ref.Key(), ref.Found())
	}
}

// sawStore tells watchers how the store of length bytes ended, and counts it by prefix.
func (c *conn) sawStore(ref *engine.Ref, s *ops.Store, length int, out ops.Outcome) {
	if c.env.Prefixes.On() {
		c.env.Prefixes.Set(ref.Key())
	}
	watch.Stored(c.env, c.peer.ID, ref, s, length, out)
}

// remove deletes ref's item, if there is one, and tells of it; it reports whether there was. The key must not be ref's memory.
func (c *conn) remove(ref *engine.Ref, key []byte) bool {
	if c.env.Prefixes.On() {
		c.env.Prefixes.Delete(key)
	}
	if ref.Found() {
		watch.Deleted(c.env, c.peer.ID, ref, c.cmd.name)
	}
	found := ops.Delete(ref)
	if found {
		c.changed(&session.Change{Deleted: true, Key: key})
	}
	return found
}

// stored tells who subscribed that ref has a new value.
func (c *conn) stored(ref *engine.Ref, key []byte) {
	if c.env.Publish.Load() {
		c.changed(&session.Change{Key: key, Flags: ref.Flags(), Expires: ref.Expires(), Size: ref.Len(), CAS: ref.CAS()})
	}
}

func (c *conn) changed(ch *session.Change) {
	if c.env.Publish.Load() && c.env.Changed != nil {
		c.env.Changed(*ch)
	}
}
