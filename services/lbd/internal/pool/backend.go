package pool

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Backend is one server's address. Those with the same name are one, over pools and reloads.
type Backend struct {
	name string
	refs int // guarded by Backends.mu
	at   atomic.Pointer[netip.AddrPort]
	end  context.CancelFunc // of the resolver; nil: the name is an address
}

// Addr returns where the server is; not valid if its name has not been resolved yet.
func (b *Backend) Addr() netip.AddrPort {
	if a := b.at.Load(); a != nil {
		return *a
	}
	return netip.AddrPort{}
}

const (
	resolveEvery = 10 * time.Second
	resolveAgain = time.Second // after a failure
	resolveLimit = 3 * time.Second
)

// Backends are the servers in use, by name. Safe for concurrent use. A name that is no address is resolved in the background, by a
// goroutine each, again and again: while that fails the last answer counts.
type Backends struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu  sync.Mutex
	all map[string]*Backend
}

// NewBackends returns an empty set. Close it.
func NewBackends() *Backends {
	s := &Backends{all: map[string]*Backend{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Get returns the backend of host:port and counts the use. Release gives it back.
func (s *Backends) Get(name string) *Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.all[name]
	if b == nil {
		b = &Backend{name: name}
		s.all[name] = b
		if a, err := netip.ParseAddrPort(name); err == nil {
			a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
			b.at.Store(&a)
		} else if s.ctx.Err() == nil {
			ctx, cancel := context.WithCancel(s.ctx)
			b.end = cancel
			s.wg.Go(func() { b.resolve(ctx) })
		}
	}
	b.refs++
	return b
}

// Release counts a use out.
func (s *Backends) Release(b *Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refs--; b.refs > 0 {
		return
	}
	delete(s.all, b.name)
	if b.end != nil {
		b.end()
	}
}

// Len is the number of backends in use.
func (s *Backends) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Close ends resolving and waits for it.
func (s *Backends) Close() {
	s.cancel()
	s.wg.Wait()
}

// resolve keeps the address until ctx ends.
func (b *Backend) resolve(ctx context.Context) {
	host, port := splitHostPort(b.name)
	for {
		wait := resolveEvery
		if a, ok := lookup(ctx, host); ok {
			at := netip.AddrPortFrom(a, port)
			b.at.Store(&at)
		} else {
			wait = resolveAgain
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// lookup returns the first address of a host, of IPv4 if it has one.
func lookup(ctx context.Context, host string) (netip.Addr, bool) {
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(all) == 0 {
		return netip.Addr{}, false
	}
	for _, a := range all {
		if a.Unmap().Is4() {
			return a.Unmap(), true
		}
	}
	return all[0], true
}
