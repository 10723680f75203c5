// Package httpserve runs an http.Server so that its end loses no request.
//
// Shutdown of net/http closes a connection whose first request it is just reading: the client, which has connected well,
// sees an end without an answer. While sockets are handed to another process that keeps accepting, there is no need for
// that. This package first stops accepting, answers what has come, telling clients to close, and only then shuts down.
package httpserve

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// newGrace is how long a connection that has sent nothing yet is waited for in a shutdown.
const newGrace = 5 * time.Second

// Server is an http.Server with a drain.
type Server struct {
	srv     *http.Server
	serving sync.WaitGroup
	changed chan struct{} // holds a token after a change of conns

	mu        sync.Mutex
	stopping  bool
	listeners []net.Listener
	conns     map[net.Conn]http.ConnState // those not idle, closed or hijacked
}

// New returns a server around srv, which must not be used directly any more. It takes over srv.ConnState and calls what
// was there.
func New(srv *http.Server) *Server {
	s := &Server{srv: srv, changed: make(chan struct{}, 1), conns: make(map[net.Conn]http.ConnState)}
	next := srv.ConnState
	srv.ConnState = func(c net.Conn, st http.ConnState) {
		s.track(c, st)
		if next != nil {
			next(c, st)
		}
	}
	return s
}

func (s *Server) track(c net.Conn, st http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st == http.StateNew || st == http.StateActive {
		s.conns[c] = st
	} else {
		delete(s.conns, c)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Serve serves what l accepts until Shutdown or Close; it returns nil then. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if !s.add(l) {
		return l.Close()
	}
	defer s.serving.Done()
	err := s.srv.Serve(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.serving.Add(1)
	s.listeners = append(s.listeners, l)
	return true
}

// Shutdown closes the listeners, lets requests under way end until ctx ends, and then closes every connection.
// Connections that have sent nothing yet get 5 s of that. It returns ctx's error where requests were cut off.
// Hijacked connections are their handlers' to end.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	s.serving.Wait() // every accepted connection is in conns now
	s.srv.SetKeepAlivesEnabled(false)
	err := s.wait(ctx)
	if err == nil {
		err = s.srv.Shutdown(ctx)
	}
	return errors.Join(err, s.srv.Close())
}

// Close closes the listeners and every connection at once.
func (s *Server) Close() error {
	s.stop()
	err := s.srv.Close()
	s.serving.Wait()
	return err
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for _, l := range s.listeners {
		l.Close() // Serve returns; an error means that it is closed already
	}
	s.listeners = nil
}

// wait returns when no connection has a request under way, or may bring one.
func (s *Server) wait(ctx context.Context) error {
	grace := time.NewTimer(newGrace)
	defer grace.Stop()
	for fresh := true; s.busy(fresh); {
		select {
		case <-s.changed:
		case <-grace.C:
			fresh = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// busy tells whether a connection is active, or new where those count.
func (s *Server) busy(fresh bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.conns {
		if st == http.StateActive || fresh {
			return true
		}
	}
	return false
}
