// Package conns is what the carriers of cached (event loops, TLS) share about connections: one limit for all of them, and
// the listing for `stats conns`.
//
// A Gate is safe for concurrent use. It owns no goroutine; what it calls (Notify) runs in the goroutine whose connection
// made the change and must not wait.
package conns

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
)

// Refusal is memcached's last word to a connection beyond the limit.
const Refusal = "ERROR Too many open connections\r\n"

// RefusalRESP is Redis's.
const RefusalRESP = "-ERR max number of clients reached\r\n"

// RefusalIn is the last word in the protocol that a listener speaks.
func RefusalIn(p session.Protocol) string {
	if p == session.RESP {
		return RefusalRESP
	}
	return Refusal
}

// Gate admits connections up to a limit. At the limit it either refuses more, each with the Refusal (memcached's
// maxconns_fast, its default), or shuts: nothing is accepted until a connection ends, and the kernel's queue fills.
type Gate struct {
	limit           atomic.Int64
	fast            atomic.Bool
	shut            atomic.Bool
	current         atomic.Int64
	total, rejected atomic.Uint64
	ids             atomic.Int64

	mu      sync.Mutex // of what follows
	since   time.Time  // shut at
	times   uint64
	elapsed time.Duration
	notify  []func()
}

// NewGate returns a gate for limit connections.
func NewGate(limit int, fast bool) *Gate {
	g := &Gate{}
	g.limit.Store(int64(limit))
	g.fast.Store(fast)
	return g
}

// Notify has f called whenever the gate shuts or opens. Call it before the first connection.
func (g *Gate) Notify(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notify = append(g.notify, f)
}

// Enter counts a connection in, and gives it its number; false when there is no room: then the connection gets the Refusal.
func (g *Gate) Enter() (id int64, ok bool) {
	n, limit := g.current.Add(1), g.limit.Load()
	if n > limit {
		g.current.Add(-1)
		g.rejected.Add(1)
		g.settle()
		return 0, false
	}
	g.total.Add(1)
	if n == limit {
		g.settle()
	}
	return g.ids.Add(1), true
}

// Leave counts a connection out that Enter let in.
func (g *Gate) Leave() {
	g.current.Add(-1)
	if g.shut.Load() {
		g.settle()
	}
}

// Set changes the limit. Connections beyond a lower one stay.
func (g *Gate) Set(limit int, fast bool) {
	g.limit.Store(int64(limit))
	g.fast.Store(fast)
	g.settle()
}

// Open tells whether a carrier should accept.
func (g *Gate) Open() bool { return !g.shut.Load() }

// settle shuts or opens the gate as the count and the limit are now.
func (g *Gate) settle() {
	g.mu.Lock()
	shut := !g.fast.Load() && g.current.Load() >= g.limit.Load()
	if shut == g.shut.Load() {
		g.mu.Unlock()
		return
	}
	if g.shut.Store(shut); shut {
		g.since = time.Now()
		g.times++
	} else {
		g.elapsed += time.Since(g.since)
	}
	notify := g.notify
	g.mu.Unlock()
	for _, f := range notify {
		f()
	}
}

// Counts are the gate's numbers, for `stats` (the names there in brackets).
type Counts struct {
	Current, Limit  int64  // curr_connections, max_connections
	Total, Rejected uint64 // total_connections, rejected_connections
	Accepting       bool   // accepting_conns
	ShutTimes       uint64 // listen_disabled_num
	ShutFor         time.Duration
}

// Counts returns the numbers as they are now. ShutFor is time_in_listen_disabled_us.
func (g *Gate) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := Counts{
		Current: g.current.Load(), Limit: g.limit.Load(), Total: g.total.Load(), Rejected: g.rejected.Load(),
		Accepting: !g.shut.Load(), ShutTimes: g.times, ShutFor: g.elapsed,
	}
	if !c.Accepting {
		c.ShutFor += time.Since(g.since)
	}
	return c
}
