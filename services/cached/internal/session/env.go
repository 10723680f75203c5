package session

import (
	"sync"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/prefix"
)

// Clock is the coarse time all sessions use: memcached's, which ticks once a second. The daemon sets it; tests set any time.
type Clock struct{ unix atomic.Int64 }

// Now is the time in Unix seconds.
func (c *Clock) Now() int64 { return c.unix.Load() }

// Set changes the time.
func (c *Clock) Set(unix int64) { c.unix.Store(unix) }

// Pair is one line of statistics.
type Pair struct{ Name, Value string }

// Env is what all sessions of a daemon share. The functions may be nil in tests: then the command answers as a memcached that
// was built without it.
type Env struct {
	Store   *engine.Store
	Clock   *Clock
	Started int64 // Unix seconds; an absolute expiry at or before it has passed

	NoFlush   bool                // -F
	NoDump    bool                // -X
	NoWatch   bool                // -W
	NoCAS     bool                // -C
	Shutdown  func(graceful bool) // nil without -A: not enabled
	Verbosity func(level int)
	// Limit changes the memory limit in bytes, for cache_memlimit.
	Limit func(bytes int64) error
	// Certs reads the certificates again, for refresh_certs.
	Certs func() error
	// General are the lines of `stats` that are about the process and its connections, not about items: in
	// memcached's order the session merges them by name.
	General func() []Pair
	// Settings are the lines of `stats settings`.
	Settings func() []Pair
	// Conns are the lines of `stats conns`.
	Conns func() []Pair
	// Reset sets the process's own counters to zero, for `stats reset`.
	Reset func()
	// Flushed and Changed report events: a flush after delay seconds; a key stored or deleted by a client (only when Publish
	// is set). They must not wait; Changed must copy what it keeps.
	Flushed func(delay int64)
	Changed func(c Change)
	Publish atomic.Bool

	// Password checks a user's password for SASL PLAIN and for the text protocol's `set` login; nil: no authentication.
	Password func(user, password []byte, peer *Peer) bool
	// SASL demands authentication on binary connections (-S); TextAuth on text connections (-Y).
	SASL, TextAuth bool

	Prefixes   prefix.Table // for `stats detail`
	CrawlerOff atomic.Bool  // `lru_crawler disable`: no crawl and no dump until it is enabled again

	Scratch sync.Pool   // of what a session needs during a Step and not between two
	Watch   Hub         // where watchers listen
	Dump    atomic.Bool // a dump of keys is running: one at a time
}

// Change is one key stored or deleted by a client.
type Change struct {
	Deleted bool
	Key     []byte
	Flags   uint32
	Expires int64 // Unix seconds, 0 never
	Size    int   // bytes of the value
	CAS     uint64
}

// LoopCount are counts of one carrier's loop, written by it alone and read by anybody.
type LoopCount struct {
	BytesRead, BytesWritten  atomic.Uint64
	CmdFlush                 atomic.Uint64
	AuthCmds, AuthErrors     atomic.Uint64
	Yields                   atomic.Uint64
	ProtocolErrors           atomic.Uint64
	ValuesSwallowed          atomic.Uint64
	SlowReaders, IdleKicks   atomic.Uint64
	ReadSyscalls, WriteCalls atomic.Uint64
	Waits                    atomic.Uint64
}

// Reset sets the counts that memcached's `stats reset` sets to zero.
func (n *LoopCount) Reset() {
	for _, c := range []*atomic.Uint64{&n.BytesRead, &n.BytesWritten, &n.CmdFlush, &n.AuthCmds, &n.AuthErrors, &n.Yields, &n.IdleKicks} {
		c.Store(0)
	}
}
