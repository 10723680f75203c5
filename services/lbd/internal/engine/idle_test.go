package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/labtest"
)

// TestIdleBytes: what a connection without a request costs, after one request each. Nothing but the connections may grow meanwhile: what the
// test and its site keep for each would be counted, too, and by its growth in steps the figure would not be the same each time.
func TestIdleBytes(t *testing.T) {
	const n, most = 2000, 800 // HAProxy's is 1230 B, nginx's 570 B; here the client's own end is in the figure
	b := backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	s := &site{members: []netip.AddrPort{b}}
	r := start(t, s)
	r.SetLimit(n + 1)
	conns := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	one := func() {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
	}
	one()
	before := s.heap()
	for len(conns) < n {
		one()
	}
	per := (int64(s.heap()) - int64(before)) / int64(n-1)
	t.Logf("%d B for an idle connection, both ends in this process", per)
	if per > most {
		t.Errorf("%d B for an idle connection, want at most %d", per, most)
	}
}

// heap returns the bytes in use, without what the site has noted, which it forgets.
func (s *site) heap() uint64 {
	s.mu.Lock()
	s.records, s.results = nil, nil
	s.mu.Unlock()
	return heap()
}

// heap returns the bytes in use.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestIdleIsShared: a connection to a member that one loop has left idle serves the request of a client of another.
func TestIdleIsShared(t *testing.T) { overAll(t, testIdleIsShared) }

func testIdleIsShared(t *testing.T, o *over) {
	labtest.LeakCheck(t)
	b := o.backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	s := &site{members: []netip.AddrPort{b}}
	if o.back != nil {
		s.via = &Transport{TLS: named(o.back)}
	}
	e, err := New(Options{Workers: 2, Clients: 100, Limits: http1.DefaultLimits(), Header: 5 * time.Second, Idle: 5 * time.Second}, s)
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for i := range 2 {
		fd, addr := listen(t)
		addrs = append(addrs, addr)
		a := newAcceptor(e.workers[i], new(Listener), fd) // one socket for each worker
		a.of.Open(new(Opening))
		e.workers[i].loop.Post(a.open)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run() }()
	defer func() { e.Stop(); <-ended }()
	seen := map[string]bool{}
	for i := range 20 {
		c := client1(t)
		res, err := c.Get(fmt.Sprintf("http://%s/", addrs[i%2]))
		if err != nil {
			t.Fatal(err)
		}
		from, err := io.ReadAll(res.Body)
		if res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		seen[string(from)] = true
		// The answer is here before the connection is idle: the next request would otherwise make one of its own.
		labtest.Eventually(t, 5*time.Second, "an idle connection", func() error {
			if n := e.idle.Len(); n != 1 {
				return fmt.Errorf("%d are idle", n)
			}
			return nil
		})
		c.CloseIdleConnections()
	}
	if c := e.Counts(); len(seen) != 1 || c.Connected != 1 || c.Reused != 19 {
		t.Errorf("the member saw %d connections; %+v", len(seen), c)
	}
}
