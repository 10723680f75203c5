package pool

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// idlePerBackend bounds the idle connections kept to one server.
const (
	idlePerBackend = 256
	idleBackend    = 30 * time.Second
	maxAnswerHead  = 256 << 10
	expectWait     = 2 * time.Second // for 100 Continue, before the body is sent all the same
)

// Backend holds the connections to one server. Those with the same address are one, over pools and reloads.
type Backend struct {
	addr   string
	reuse  *http.Transport // keeps connections
	single *http.Transport // one connection a request
	refs   int             // guarded by Backends.mu
}

// Backends are the servers in use, by address. Safe for concurrent use.
type Backends struct {
	mu  sync.Mutex
	all map[string]*Backend
}

// NewBackends returns an empty set.
func NewBackends() *Backends { return &Backends{all: map[string]*Backend{}} }

// Get returns the backend of addr and counts the use. Release gives it back.
func (s *Backends) Get(addr string) *Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.all[addr]
	if b == nil {
		b = &Backend{addr: addr, reuse: newTransport(false), single: newTransport(true)}
		s.all[addr] = b
	}
	b.refs++
	return b
}

// Release counts a use out. With the last one idle connections are closed; requests under way end as they would.
func (s *Backends) Release(b *Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refs--; b.refs == 0 {
		delete(s.all, b.addr)
		b.reuse.CloseIdleConnections()
	}
}

// Len is the number of backends in use.
func (s *Backends) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Do sends r. With fresh it is sent on a connection of its own: one that the server may be closing just now cannot lose it.
func (b *Backend) Do(r *http.Request, fresh bool) (*http.Response, error) {
	if fresh {
		return b.single.RoundTrip(r)
	}
	return b.reuse.RoundTrip(r)
}

// DialError is the error of a request whose connection could not be made: nothing of it was sent.
type DialError struct{ Err error }

// Error returns the cause's text.
func (e *DialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

func newTransport(single bool) *http.Transport {
	d := &net.Dialer{KeepAlive: 15 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialPatience(ctx))
			defer cancel()
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, &DialError{err}
			}
			return c, nil
		},
		DisableCompression:     true, // bodies are passed on as they are
		DisableKeepAlives:      single,
		MaxIdleConnsPerHost:    idlePerBackend,
		IdleConnTimeout:        idleBackend,
		ExpectContinueTimeout:  expectWait,
		MaxResponseHeaderBytes: maxAnswerHead,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

type patienceKey struct{}

// defaultPatience bounds a dial whose request says nothing.
const defaultPatience = 10 * time.Second

// WithConnect returns ctx with the longest time that a connection for its request may take.
func WithConnect(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

func dialPatience(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		return d
	}
	return defaultPatience
}
