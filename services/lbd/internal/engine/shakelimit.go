package engine

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/limit"
)

// shakeSources is how many sources of handshakes are told apart at once. When there are more, those that are new share buckets.
const shakeSources = 1 << 15

// shakeLimit bounds the TLS handshakes of each source.
type shakeLimit struct {
	mu   sync.Mutex
	keys *limit.Keyed // nil: no bound
	seed maphash.Seed
}

// SetHandshakeRate bounds the handshakes of one source (an IPv4 address, an IPv6 network of 64 bits) that clients begin: so many in a second,
// after a burst of so many. One too many is closed before any of its bytes is looked at. 0 of either: no bound.
func (e *Engine) SetHandshakeRate(perSecond, burst int) error {
	l := &e.shakes
	l.mu.Lock()
	defer l.mu.Unlock()
	if perSecond == 0 || burst == 0 {
		l.keys = nil
		return nil
	}
	rate, err := limit.NewRate(int64(perSecond), time.Second, int64(burst))
	if err != nil {
		return fault.Wrap(fault.Config, err, "engine: rate of handshakes")
	}
	if l.keys != nil {
		l.keys.SetRate(rate)
		return nil
	}
	l.seed = maphash.MakeSeed()
	l.keys, err = limit.NewKeyed(rate, shakeSources)
	return err
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
