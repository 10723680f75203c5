package resp

import (
	"crypto/subtle"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
)

// Options say how the protocol is served.
type Options struct {
	Env     *session.Env
	Version string // of cached
	// Password, when not empty, is what the user "default" authenticates with; other users are asked for at Env.Password. With Auth set,
	// Env.Password alone decides. With neither nobody needs to authenticate.
	Password string
	Auth     bool
	Policy   string // what CONFIG GET maxmemory-policy says; empty: allkeys-lru
	Port     int    // what INFO says as tcp_port

	Clients int           // most connections at once, as INFO and CONFIG GET say; 0: 10 000
	Idle    time.Duration // after which a silent connection is closed, as CONFIG GET says
	// Traffic are the carrier's counts, for INFO; nil: zeros.
	Traffic func() Traffic

	// UnixMilli is the time in milliseconds, which expiry times count from; nil: the system's.
	UnixMilli func() int64
}

// Traffic are counts of the carrier.
type Traffic struct{ Accepted, Rejected, BytesRead, BytesWritten uint64 }

// Counts are the service's counters.
type Counts struct {
	Accepted                          atomic.Uint64 // connections that got a session
	Commands, Unknown, ProtocolErrors atomic.Uint64
	AuthErrors                        atomic.Uint64
}

// Service is what all connections share. Safe for concurrent use.
type Service struct {
	o      Options
	table  map[string]*command
	counts Counts
	nextID atomic.Int64

	mu      sync.Mutex
	clients map[int64]*client
}

// client is what other connections may know of one.
type client struct {
	id            int64
	remote, local string
	since         int64        // Unix seconds
	last          atomic.Int64 // Unix seconds of the last command
	name          atomic.Pointer[string]
	command       atomic.Pointer[command]
}

// NewService returns a service without connections.
func NewService(o Options) *Service {
	if o.Clients <= 0 {
		o.Clients = 10_000
	}
	if o.Traffic == nil {
		o.Traffic = func() Traffic { return Traffic{} }
	}
	if o.Policy == "" {
		o.Policy = "allkeys-lru"
	}
	if o.UnixMilli == nil {
		o.UnixMilli = func() int64 { return time.Now().UnixMilli() }
	}
	return &Service{o: o, table: newTable(), clients: map[int64]*client{}}
}

// Counts returns the counters, which go on counting.
func (s *Service) Counts() *Counts { return &s.counts }

// Connected is the number of connections.
func (s *Service) Connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// Session returns the session of a new connection, which any carrier may drive. A Peer without a number gets one of the service's own.
func (s *Service) Session(p *session.Peer) session.Session {
	if p.ID == 0 {
		p.ID = s.nextID.Add(1)
	}
	s.counts.Accepted.Add(1)
	now := s.o.Env.Clock.Now()
	cl := &client{id: p.ID, remote: p.Remote, local: p.Local, since: now}
	cl.last.Store(now)
	s.mu.Lock()
	s.clients[p.ID] = cl
	s.mu.Unlock()
	return &conn{svc: s, env: s.o.Env, peer: p, client: cl, authed: !s.guarded()}
}

func (s *Service) forget(id int64) {
	s.mu.Lock()
	delete(s.clients, id)
	s.mu.Unlock()
}

// guarded reports whether clients must authenticate.
func (s *Service) guarded() bool { return s.o.Password != "" || s.o.Auth }

// admits judges a password, in a time that does not depend on how much of it is right.
func (s *Service) admits(user, password []byte, p *session.Peer) bool {
	if s.o.Password != "" && string(user) == defaultUser {
		return subtle.ConstantTimeCompare([]byte(s.o.Password), password) == 1
	}
	return s.o.Env.Password != nil && s.o.Env.Password(user, password, p)
}

const defaultUser = "default"
