package udp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/limit"
)

// Counts are a server's counters. What is received is answered, silent (quiet commands) or dropped for one of the reasons.
type Counts struct {
	Received, Sent, Answered atomic.Uint64 // datagrams received, sent; requests that were answered
	Short                    atomic.Uint64 // dropped: no frame, or nothing behind it
	Fragmented               atomic.Uint64 // dropped: a request of several datagrams
	Truncated                atomic.Uint64 // dropped: longer than a datagram can be taken
	Denied                   atomic.Uint64 // dropped: strangers are not served
	Limited                  atomic.Uint64 // dropped: the network asks too often
	Refused                  atomic.Uint64 // dropped: not what strangers may ask
	TooLarge                 atomic.Uint64 // answers larger than a stranger's request, replaced or dropped
	Oversize                 atomic.Uint64 // answers beyond MaxAnswer
	Cookies                  atomic.Uint64 // cookies given
	SendErrors               atomic.Uint64 // datagrams that the kernel would not send
}

// Server is what the loops on one port share. Safe for concurrent use.
type Server struct {
	o      Options
	jar    jar
	counts Counts
	origin time.Time
	seed   maphash.Seed

	mu    sync.Mutex
	limit *limit.Keyed
}

// NewServer checks o and returns a server without loops.
func NewServer(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	k, err := o.limiter()
	if err != nil {
		return nil, err
	}
	if o.Secret == nil {
		o.Secret = make([]byte, 32)
		if _, err := rand.Read(o.Secret); err != nil {
			return nil, fmt.Errorf("udp: secret of the cookies: %w", err)
		}
	}
	return &Server{o: o, jar: jar{o.Secret}, limit: k, origin: time.Now(), seed: maphash.MakeSeed()}, nil
}

// Counts returns the counters, which go on counting.
func (s *Server) Counts() *Counts { return &s.counts }

// trusts reports whether addr is served in full.
func (s *Server) trusts(addr netip.Addr) bool {
	for _, p := range s.o.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// allow takes one token of addr's network.
func (s *Server) allow(addr netip.Addr, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok, _ := s.limit.Allow(s.key(addr), now, 1)
	return ok
}

// charge takes tokens of addr's network, whether they are there or not.
func (s *Server) charge(addr netip.Addr, now, tokens int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.Charge(s.key(addr), now, tokens)
}

func (s *Server) key(addr netip.Addr) uint64 { return maphash.Comparable(s.seed, network(addr)) }

// Serve answers what conn receives until ctx ends, and closes conn. meter and note are those of the loop, not shared with another, or nil.
// The error is nil after the end of ctx, otherwise that of conn.
func (s *Server) Serve(ctx context.Context, conn *net.UDPConn, meter *session.Meter, note *session.LoopCount) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if meter == nil {
		meter = session.NewMeter()
	}
	if note == nil {
		note = new(session.LoopCount)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("udp: %s: %w", conn.LocalAddr(), err)
	}
	l := newLoop(s, raw, &session.Peer{
		Remote: "udp", Local: conn.LocalAddr().String(), Transport: session.UDP, Env: s.o.Env, Meter: meter, Note: note,
	})
	defer l.h.end()
	for {
		err := l.turn()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("udp: %s: %w", conn.LocalAddr(), err)
		}
	}
}
