package session

import (
	"context"
	"net"
	"sync/atomic"
)

// Topic is what watchers may listen to, a bit each.
type Topic uint32

// Topics of memcached's `watch`.
const (
	Fetchers Topic = 1 << iota
	Mutations
	Evictions
	ConnEvents
	Deletions
	RawCmds
	SysEvents
)

// Hub spreads log lines to the connections that watch. Wanted is read on the hot path: a single load while nobody watches.
type Hub struct {
	wanted atomic.Uint32
	// Send takes a line without time, number and line end; it must neither wait nor keep the line. Set once, before the first client.
	Send func(t Topic, line []byte)
	// Join makes a watcher of t; nil when there are as many as are allowed. Set once, as Send; nil: there is no watching.
	Join func(t Topic) Watcher
}

// Watcher is a connection's place among those who listen. It ends by Close, also where Run was never called.
type Watcher interface {
	// Run writes lines to conn until ctx ends or the client has gone; what the client sends is thrown away.
	Run(ctx context.Context, conn net.Conn)
	Close()
}

// Wanted reports whether anybody listens to t.
func (h *Hub) Wanted(t Topic) bool { return h.wanted.Load()&uint32(t) != 0 }

// Want sets the union of what watchers listen to.
func (h *Hub) Want(t Topic) { h.wanted.Store(uint32(t)) }
