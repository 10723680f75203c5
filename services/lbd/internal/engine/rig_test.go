package engine

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/labtest"
)

// site is a Site of one pool.
type site struct {
	mu      sync.Mutex
	plan    func(r *Request, p *Plan)
	members []netip.AddrPort
	next    int
	records []Record
	failed  int
	retried int
	active  int
	done    chan struct{} // told of each record
}

func (s *site) Decide(r *Request, p *Plan) {
	*p = Plan{
		Pool: s, Connect: time.Second, Timeout: 5 * time.Second, Retries: 2, Read: 5 * time.Second, Write: 5 * time.Second,
		Tunnel: 5 * time.Second, Tell: true, Forwarded: true,
	}
	if s.plan != nil {
		s.plan(r, p)
	}
}

func (s *site) Done(r *Record) {
	s.mu.Lock()
	rec := *r
	rec.Request = Request{}
	s.records = append(s.records, rec)
	s.mu.Unlock()
	select {
	case s.done <- struct{}{}:
	default:
	}
}

func (s *site) Retried(string, Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retried++
}

func (s *site) Name() string { return "web" }

func (s *site) Pick(_ time.Time, tried []string) (Choice, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.members {
		a := s.members[s.next%len(s.members)]
		s.next++
		fresh := true
		for _, t := range tried {
			fresh = fresh && t != a.String()
		}
		if fresh {
			s.active++
			return Choice{Member: a.String(), Addr: a}, true
		}
	}
	return Choice{}, false
}

func (s *site) Release(string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
}

func (s *site) Failed(string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
}

func (s *site) Retry(time.Time) bool { return true }

// rig is an engine that listens.
type rig struct {
	*Engine
	site   *site
	addr   string
	panics *atomic.Int64
}

func start(t testing.TB, s *site) *rig {
	t.Helper()
	labtest.LeakCheck(t)
	panics := new(atomic.Int64)
	e, err := New(Options{Panic: func(any) { panics.Add(1) }, Workers: 1, Clients: 1000, Limits: http1.DefaultLimits(), Header: 5 * time.Second, Idle: 5 * time.Second}, s)
	if err != nil {
		t.Fatal(err)
	}
	fd, addr := listen(t)
	e.Listen([]int{fd})
	ended := make(chan error, 1)
	go func() { ended <- e.Run() }()
	t.Cleanup(func() {
		e.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if n, m := e.Open(); n != 0 || m != 0 || s.active != 0 {
			t.Errorf("%d clients, %d tunnels and %d choices are left", n, m, s.active)
		}
	})
	return &rig{e, s, addr, panics}
}

func listen(t testing.TB) (fd int, addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return fd, l.Addr().String()
}

// backend runs an HTTP server until the test ends.
func backend(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// scripted runs a server that gives each connection to f.
func scripted(t testing.TB, f func(c net.Conn, r *bufio.Reader)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				f(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// dial connects to the engine.
func (r *rig) dial(t testing.TB) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c, bufio.NewReader(c)
}
