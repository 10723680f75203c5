package engine

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/spool"
	"github.com/everup/everup/shared/labtest"
)

// patience bounds what ends long before on a machine that is not overloaded: the times of plans, but where a test is about them, and half of those
// of clients and members, which are to see what the engine does.
const patience = 20 * time.Second

// site is a Site of one pool.
type site struct {
	mu      sync.Mutex
	plan    func(r *Request, p *Plan)
	members []netip.AddrPort
	next    int
	records []Record
	results []pool.Result // of tries
	failed  int           // of them, those that make a member suspect
	retried int
	active  int
	done    chan struct{} // told of each record
	via     *Transport

	pick     func(*pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) // in place of round robin
	cancels  bool                                                      // what Cancel says
	released chan struct{}                                             // told of each release
}

func (s *site) Decide(r *Request, p *Plan) {
	s.mu.Lock()
	via := s.via
	s.mu.Unlock()
	*p = Plan{
		Pool: s, Connect: time.Second, Timeout: patience, Retries: 2, Read: patience, Write: patience,
		Tunnel: patience, Tell: true, Inform: InformUsual, Via: via,
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

func (s *site) Pick(_ time.Time, a *pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pick != nil {
		return s.pick(a)
	}
	for range s.members {
		at := s.members[s.next%len(s.members)]
		s.next++
		fresh := true
		for _, m := range a.Tried {
			fresh = fresh && m.Name() != at.String()
		}
		if fresh {
			return s.seat(at), nil, pool.Granted
		}
	}
	return pool.Choice{}, nil, pool.NoMember
}

// seat gives a seat at a member.
func (s *site) seat(at netip.AddrPort) pool.Choice {
	s.active++
	return pool.Choice{Seat: pool.Seat{Member: pool.NewMember(pool.ID(at.String()))}, Addr: at}
}

func (s *site) Cancel(*pool.Ticket) bool { return s.cancels }

func (s *site) Seated(seat pool.Seat, _ *pool.Ask) pool.Choice {
	return pool.Choice{Seat: seat, Addr: netip.MustParseAddrPort(seat.Member.Name())}
}

func (s *site) Report(_ time.Time, _ pool.Seat, r pool.Result) { s.result(r) }

func (s *site) Release(_ time.Time, _ pool.Seat, r pool.Result, reported bool) {
	if !reported {
		s.result(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	select {
	case s.released <- struct{}{}:
	default:
	}
}

func (s *site) result(r pool.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.results = append(s.results, r); r.Failure == pool.Connect || r.Failure == pool.Closed {
		s.failed++
	}
}

func (s *site) Retry(time.Time) bool { return true }

// rig is an engine that listens.
type rig struct {
	*Engine
	site   *site
	addr   string
	panics *atomic.Int64
	client *tls.Config // nil: plain
	begun  *begun
	broken chan string // connections of HTTP/2 that were ended, and why

	listener *Listener
}

// begun collects how connections have begun.
type begun struct {
	mu  sync.Mutex
	all []Begun
}

func (b *begun) add(one *Begun) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, *one)
}

// take returns what has come since it was last asked.
func (b *begun) take() []Begun {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

func start(t testing.TB, s *site) *rig { return startWith(t, s, new(Opening)) }

func startWith(t testing.TB, s *site, o *Opening) *rig { return startPatient(t, s, o, patience) }

// startPatient waits so long for a head.
func startPatient(t testing.TB, s *site, o *Opening, header time.Duration) *rig {
	t.Helper()
	return startAdmitting(t, s, o, header, nil)
}

func startAdmitting(t testing.TB, s *site, o *Opening, header time.Duration, a Admission) *rig {
	t.Helper()
	labtest.LeakCheck(t)
	panics, told, broken := new(atomic.Int64), new(begun), make(chan string, 100)
	encoders, spools := encoding.NewPool(64<<20), spool.New(t.TempDir(), spool.Limits{Memory: 64 << 20, Files: 64 << 20})
	e, err := New(Options{
		Panic: func(any) { panics.Add(1) }, Workers: 1, Clients: 1000, Limits: http1.DefaultLimits(), Header: header, Idle: patience,
		Begun: told.add, Admission: a, Encoders: encoders, Spools: spools,
		Broken: func(_ netip.AddrPort, why http2.Reason) {
			select {
			case broken <- why.String():
			default:
			}
		},
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	fd, addr := listen(t)
	l := e.Listen([]int{fd}, o)
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
		if n := len(e.workers[0].delayed); n != 0 || e.Waiting() != 0 {
			t.Errorf("%d requests are left that wait, counted are %d", n, e.Waiting())
		}
		if c := spools.Counts(); encoders.Counts().Lent != 0 || c.Spools != 0 || c.Memory != 0 || c.Files != 0 {
			t.Errorf("encoders %+v and spools %+v are left", encoders.Counts(), c)
		}
	})
	return &rig{Engine: e, site: s, addr: addr, panics: panics, begun: told, broken: broken, listener: l}
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
	return backendOver(t, nil, h)
}

// backendOver is backend that speaks TLS, unless config is nil.
func backendOver(t testing.TB, config *tls.Config, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if s.TLS = config; config != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// scripted runs a server that gives each connection to f.
func scripted(t testing.TB, f func(c net.Conn, r *bufio.Reader)) netip.AddrPort {
	t.Helper()
	return scriptedOver(t, nil, f)
}

// scriptedOver is scripted that speaks TLS, unless config is nil.
func scriptedOver(t testing.TB, config *tls.Config, f func(c net.Conn, r *bufio.Reader)) netip.AddrPort {
	t.Helper()
	return served(t, func(_ int, c net.Conn) {
		if config != nil {
			c = tls.Server(c, config)
			defer c.Close()
		}
		c.SetDeadline(time.Now().Add(2 * patience))
		f(c, bufio.NewReader(c))
	})
}

// served gives each connection to f, with its number from 0, in a goroutine of its own; it is closed when f returns.
func served(t testing.TB, f func(n int, c net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f(n, c)
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
	if r.client != nil {
		c = tls.Client(c, r.client)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return c, bufio.NewReader(c)
}
