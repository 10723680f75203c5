package watch

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// Looked tells watchers of a look-up of r's key by the connection conn.
func Looked(env *session.Env, conn int64, r *engine.Ref) {
	if !env.Watch.Wanted(session.Fetchers) {
		return
	}
	e := Get{Key: r.Key(), Conn: conn}
	if r.Found() {
		e.Found, e.Class, e.Size = true, r.Class(), r.Len()
	}
	env.Watch.Send(session.Fetchers, e.Append(nil))
}

// Stored tells watchers how the store s of length bytes ended.
func Stored(env *session.Env, conn int64, r *engine.Ref, s *ops.Store, length int, out ops.Outcome) {
	if !env.Watch.Wanted(session.Mutations) {
		return
	}
	e := Store{Key: r.Key(), Status: out, Mode: s.Mode, Conn: conn}
	expires := s.Value.Expires
	switch out {
	case ops.TooLarge, ops.NoMemory: // there was never an item
	case ops.Stored:
		e.Size, e.Class, expires = r.Len(), r.Class(), r.Expires()
	default:
		e.Size = length
		e.Class = engine.ClassOf(engine.ItemSize(len(r.Key()), length, s.Value.Flags, !env.NoCAS))
	}
	if expires != engine.Never {
		e.TTL = expires - env.Clock.Now()
	}
	env.Watch.Send(session.Mutations, e.Append(nil))
}

// Deleted tells watchers of a delete by the command cmd, before the item is gone.
func Deleted(env *session.Env, conn int64, r *engine.Ref, cmd string) {
	if !env.Watch.Wanted(session.Deletions) {
		return
	}
	e := Delete{Key: r.Key(), Command: cmd, Class: r.Class(), Size: r.Len(), Conn: conn}
	env.Watch.Send(session.Deletions, e.Append(nil))
}
