package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/logx"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// Serve serves on unix (always) and tcp (nil: none) until ctx ends. Then it closes the listeners, ends the streams, lets
// calls under way finish for 5 s and cuts off the rest. It returns nil when all ended in time, fault.Timeout when
// some handler had to be left behind, and a listener's error at once if one fails. It may be called once.
func (s *Server) Serve(ctx context.Context, unix, tcp net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx)) // calls under way outlive ctx by 5 s
	defer cancel()
	servers := []*http.Server{s.httpServer(base, http.HandlerFunc(s.serveUnix))}
	listeners := []net.Listener{unix}
	if tcp != nil {
		servers = append(servers, s.httpServer(base, s.tcpHandler()))
		listeners = append(listeners, tcp)
	}
	failed := make(chan error, len(servers))
	var wg sync.WaitGroup
	for i, srv := range servers {
		wg.Go(func() {
			if err := srv.Serve(limitConns(listeners[i], maxConns)); !errors.Is(err, http.ErrServerClosed) {
				failed <- fault.Wrap(fault.Unavailable, err, "admin: serve %s", listeners[i].Addr())
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopErr := s.stop(servers, cancel)
	wg.Wait()
	return errors.Join(err, stopErr)
}

func (s *Server) stop(servers []*http.Server, cancel context.CancelFunc) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	end := time.Now().Add(stopTimeout)
	ctx, done := context.WithDeadline(context.Background(), end)
	defer done()
	var wg sync.WaitGroup
	for _, srv := range servers {
		wg.Go(func() {
			if srv.Shutdown(ctx) != nil {
				srv.Close()
			}
		})
	}
	wg.Wait()
	cancel()
	return s.waitHandlers(end.Add(time.Second))
}

// waitHandlers waits for the handlers: it takes all places, which also keeps new calls out meanwhile. end is a second
// after the calls were cancelled, for those that just learn it.
func (s *Server) waitHandlers(end time.Time) error {
	ctx, done := context.WithDeadline(context.Background(), end)
	defer done()
	for _, places := range []slots{s.slots, s.probes} {
		for range cap(places) {
			select {
			case places <- struct{}{}:
				defer places.free()
			case <-ctx.Done():
				return fault.New(fault.Timeout, "admin: a handler does not end")
			}
		}
	}
	return nil
}

// httpServer returns a server that no slow client can hold on to: header in 5 s, whole request in 60 s, idle 60 s.
// The time to take an answer is set with each answer.
func (s *Server) httpServer(base context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:                      h,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext:                  connContext,
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  60 * time.Second,
		IdleTimeout:                  60 * time.Second,
		MaxHeaderBytes:               16 << 10,
		ErrorLog:                     logx.Std(s.log, zerolog.DebugLevel),
		DisableGeneralOptionsHandler: true,
	}
}

func (s *Server) serveUnix(w http.ResponseWriter, hr *http.Request) {
	if strings.HasPrefix(hr.URL.Path, "/debug/") {
		s.dispatch(s.debug, w, hr)
		return
	}
	s.dispatch(s.api, w, hr)
}

// connContext names the caller of a unix connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if lc, ok := c.(*limitedConn); ok {
		c = lc.Conn
	}
	if uc, ok := c.(*net.UnixConn); ok {
		return withCaller(ctx, caller{by: peerName(uc)})
	}
	return withCaller(ctx, caller{by: "http " + c.RemoteAddr().String(), readOnly: true})
}

// peerName names the process at the other end by its uid (SO_PEERCRED, unix(7)).
func peerName(c *net.UnixConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return ""
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return ""
	}
	if cred.Uid == 0 {
		return "root"
	}
	return "uid " + strconv.FormatUint(uint64(cred.Uid), 10)
}

// limitListener takes at most n connections at once; more wait in the kernel's queue.
type limitListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limitConns(l net.Listener, n int) net.Listener {
	return &limitListener{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: c, free: sync.OnceFunc(func() { <-l.places })}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free func()
}

func (c *limitedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
