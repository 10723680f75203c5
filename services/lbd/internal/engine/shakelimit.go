package engine

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/services/lbd/internal/tlsconn"
	"github.com/everup/everup/shared/limit"
)

// shakeSources is how many sources of handshakes are told apart at once. When there are more, those that are new share buckets.
const shakeSources = 1 << 15

// usualHandshakes bounds those under way in a worker.
const usualHandshakes = 1000

// SetHandshakes bounds the TLS handshakes under way at once in each worker, with clients and members; further ones are refused
// (tlsconn.Busy). It is 1000 before.
func (e *Engine) SetHandshakes(n int) { e.maxShakes.Store(int64(n)) }

// shaking returns what a handshake of the worker's begins with.
func (w *worker) shaking() *tlsconn.Env {
	w.tls.Handshakes = int(w.e.maxShakes.Load())
	return w.tls
}

// shakeLimit bounds the TLS handshakes of each source.
type shakeLimit struct {
	mu   sync.Mutex
	keys *limit.Keyed // nil: no bound
	seed maphash.Seed
}

// SetHandshakeRate bounds the handshakes that a source, which is an IPv4 address or an IPv6 network of 64 bits, may begin. One too many is
// closed before any of its bytes is looked at. The zero Rate: no bound.
func (e *Engine) SetHandshakeRate(r limit.Rate) {
	l := &e.shakes
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.Burst() == 0:
		l.keys = nil
	case l.keys != nil:
		l.keys.SetRate(r)
	default:
		l.seed = maphash.MakeSeed()
		l.keys, _ = limit.NewKeyed(r, shakeSources) // fails for other numbers of sources
	}
}

// allows reports whether a source may begin one more handshake, and counts it.
func (e *Engine) allows(from netip.Addr) bool {
	l := &e.shakes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		return true
	}
	ok, _ := l.keys.Allow(l.key(from), time.Now().UnixNano(), 1)
	return ok
}

// key is a source's. Who chooses his address cannot choose it.
func (l *shakeLimit) key(a netip.Addr) uint64 {
	if a = a.Unmap(); !a.Is4() {
		b := a.As16()
		return maphash.Bytes(l.seed, b[:8])
	}
	b := a.As4()
	return maphash.Bytes(l.seed, b[:])
}
