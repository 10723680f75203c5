package binary

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// sawLookup tells watchers of a look-up of ref's key: each command begins with one.
func (c *conn) sawLookup(ref *engine.Ref) { watch.Looked(c.env, c.peer.ID, ref) }

// sawGet tells watchers of a read, and counts it by prefix.
func (c *conn) sawGet(ref *engine.Ref) {
	if c.env.Prefixes.On() {
		c.env.Prefixes.Get(ref.Key(), ref.Found())
	}
	c.sawLookup(ref)
}

// sawStore tells watchers how the store of length bytes ended.
func (c *conn) sawStore(ref *engine.Ref, s *ops.Store, length int, result ops.Outcome) {
	watch.Stored(c.env, c.peer.ID, ref, s, length, result)
}

// changed tells who subscribed that a key was stored or deleted.
func (c *conn) changed(ch *session.Change) {
	if c.env.Publish.Load() && c.env.Changed != nil {
		c.env.Changed(*ch)
	}
}
