package engine

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/labtest"
)

// h2Script is a connection of a member whose frames the test writes itself.
type h2Script struct {
	*http2.Framer
	n    int // of the member's connections, from 0
	c    net.Conn
	path map[uint32]string
	got  map[uint32]int // bytes of content
	buf  bytes.Buffer
	enc  *hpack.Encoder
}

// scriptedH2 runs a member that calls f for what comes: "head", "end" and "reset" of a stream. It opens the windows for content.
func scriptedH2(t testing.TB, f func(m *h2Script, what string, id uint32), settings ...http2.Setting) netip.AddrPort {
	t.Helper()
	return served(t, func(n int, c net.Conn) {
		m := &h2Script{Framer: http2.NewFramer(c, c), n: n, c: c, path: map[uint32]string{}, got: map[uint32]int{}}
		m.enc = hpack.NewEncoder(&m.buf)
		m.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		m.run(f, settings)
	})
}

func (m *h2Script) run(f func(m *h2Script, what string, id uint32), settings []http2.Setting) {
	m.c.SetDeadline(time.Now().Add(10 * time.Second))
	io.ReadFull(m.c, make([]byte, len(http2.ClientPreface)))
	m.WriteSettings(settings...)
	for {
		fr, err := m.ReadFrame()
		if err != nil {
			return
		}
		id, end := fr.Header().StreamID, false
		switch fr := fr.(type) {
		case *http2.MetaHeadersFrame:
			end = fr.StreamEnded()
			m.path[id] = fr.PseudoValue("path")
			f(m, "head", id)
		case *http2.DataFrame:
			end = fr.StreamEnded()
			if n := uint32(len(fr.Data())); n > 0 {
				m.got[id] += int(n)
				m.WriteWindowUpdate(0, n)
				m.WriteWindowUpdate(id, n)
			}
		case *http2.RSTStreamFrame:
			f(m, "reset", id)
		}
		if end {
			f(m, "end", id)
		}
	}
}

// answer answers a stream.
func (m *h2Script) answer(id uint32, status int, end bool) {
	m.buf.Reset()
	m.enc.WriteField(hpack.HeaderField{Name: ":status", Value: fmt.Sprint(status)})
	m.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: m.buf.Bytes(), EndHeaders: true, EndStream: end})
}

// failures are what the pool was told of tries.
func (s *site) failures() (f []pool.Failure) {
	for _, r := range s.results {
		f = append(f, r.Failure)
	}
	return f
}

// TestH2RefusedAgain: a request that a member has not looked at goes to another, with its content, whatever its method, as long as all of that is
// there. Nothing is said against the member.
func TestH2RefusedAgain(t *testing.T) {
	bothFronts(t, func(t *testing.T, m mix) {
		f := func(method string, n int, gathered bool, code int, retries ...pool.Failure) {
			t.Helper()
			refuses := scriptedH2(t, func(m *h2Script, what string, id uint32) {
				if what == "end" {
					m.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				}
			})
			s := &site{members: []netip.AddrPort{refuses, backendH2(t, nil, told)}, done: make(chan struct{}, 10)}
			if gathered {
				s.plan = gathers(16<<10, 1<<20)
			}
			r := m.start(t, s)
			data := noisy(n)
			req, _ := http.NewRequest(method, "http://"+r.addr, bytes.NewReader(data))
			res, err := m.client(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if want := fmt.Sprintf("%s %d of %d, %08x <nil>", method, n, n, crc32.ChecksumIEEE(data)); res.StatusCode != code || code == 200 && !strings.HasPrefix(string(got), want) {
				t.Errorf("%s of %d bytes: %d %q", method, n, res.StatusCode, got)
			}
			s.nobodyIsSeated(t)
			s.mu.Lock()
			defer s.mu.Unlock()
			if d := cmp.Diff(retries, s.failures()); d != "" {
				t.Errorf("%s of %d bytes: failures -want +got\n%s", method, n, d)
			}
		}
		f("GET", 0, false, 200, pool.None, pool.None)
		f("POST", 0, false, 200, pool.None, pool.None)
		f("PUT", 10_000, false, 200, pool.None, pool.None)
		f("PUT", 60_000, false, 200, pool.None, pool.None)
		f("POST", 10_000, false, 200, pool.None, pool.None)
		f("PUT", 300_000, false, 502, pool.None) // it is not there any more
		f("POST", 300_000, false, 502, pool.None)
		f("POST", 10_000, true, 200, pool.None, pool.None)
		f("POST", 300_000, true, 200, pool.None, pool.None)
	})
}

// bothFronts runs a test with each protocol in front of HTTP/2.
func bothFronts(t *testing.T, f func(t *testing.T, m mix)) {
	t.Run("behind", func(t *testing.T) { f(t, mix{back: true}) })
	t.Run("both", func(t *testing.T) { f(t, mix{front: true, back: true}) })
}

// TestH2GoneAgain: what a member has not looked at before it ended a connection goes over another one, to the same member, and is no further
// try. What it has looked at is answered. Where the first requests of a connection are not looked at it is.
func TestH2GoneAgain(t *testing.T) {
	bothFronts(t, func(t *testing.T, m mix) {
		for _, method := range []string{"GET", "POST"} {
			var first []uint32
			member := scriptedH2(t, func(m *h2Script, what string, id uint32) {
				switch {
				case what != "end":
				case m.n == 0 && m.path[id] != "/warm":
					if first = append(first, id); len(first) == 3 {
						m.WriteGoAway(first[0], http2.ErrCodeNo, nil)
						m.answer(first[0], 201, true)
					}
				case m.n == 0:
					m.answer(id, 200, true)
				default:
					m.answer(id, 202, true)
				}
			})
			s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
			r := m.start(t, s)
			c := m.client(t)
			ask := func(method, path string) int {
				req, _ := http.NewRequest(method, "http://"+r.addr+path, nil)
				res, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return 0
				}
				res.Body.Close()
				return res.StatusCode
			}
			ask("GET", "/warm")
			codes := make(chan int)
			for range 3 {
				go func() { codes <- ask(method, "/") }()
			}
			got := map[int]int{}
			for range 3 {
				got[next(t, codes)]++
			}
			if d := cmp.Diff(map[int]int{201: 1, 202: 2}, got); d != "" {
				t.Errorf("%s: -want +got\n%s", method, d)
			}
			s.nobodyIsSeated(t)
			s.mu.Lock()
			if s.retried != 0 || s.failed != 0 || r.Counts().Connected != 2 {
				t.Errorf("%s: %d retries, %d failures, %+v", method, s.retried, s.failed, r.Counts())
			}
			s.mu.Unlock()
		}
	})
}

// TestH2GoneBeforeAnswers: likewise where nothing was answered before. A member that serves one request by each connection serves all, without a
// further try.
func TestH2GoneBeforeAnswers(t *testing.T) {
	const all = 3
	ended := make([]int, all) // by connection
	member := scriptedH2(t, func(m *h2Script, what string, id uint32) {
		if what != "end" || m.n >= all {
			return
		}
		if ended[m.n]++; ended[m.n] == all-m.n {
			m.WriteGoAway(1, http2.ErrCodeNo, nil)
			m.answer(1, 200, true)
		}
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
	s.plan = func(_ *Request, p *Plan) { p.Retries = 0 }
	r := mix{front: true, back: true}.start(t, s)
	h := r.rawH2(t)
	for range all {
		h.request(true, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a")
	}
	for range all {
		if got := h.frame(); !strings.HasSuffix(got, " end :status=200") {
			t.Fatal(got)
		}
	}
	if n := r.Counts().Connected; n != all {
		t.Errorf("%d connections", n)
	}
}

// TestH2GoneAtOnce: a member that ends each connection before it has looked at anything is not asked for ever.
func TestH2GoneAtOnce(t *testing.T) {
	member := scriptedH2(t, func(m *h2Script, what string, id uint32) {
		if what == "end" {
			m.WriteGoAway(0, http2.ErrCodeNo, nil)
		}
	})
	s := &site{done: make(chan struct{}, 10)}
	s.pick = func(a *pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) { return s.seat(member), nil, pool.Granted }
	r := mix{front: true, back: true}.start(t, s)
	h := r.rawH2(t)
	h.get("/")
	h.expect("head 1 :status=502…", "data 1 end…")
	if rec := s.last(t); rec.Retries != 2 {
		t.Errorf("%+v", rec)
	}
}

// TestH2FewStreams: requests that come while a connection is made to a member that takes few at once are not all given to it: the rest
// has connections of its own.
func TestH2FewStreams(t *testing.T) {
	var mu sync.Mutex
	var held []func()
	most := map[int]int{}
	came := make(chan struct{}, 10)
	member := scriptedH2(t, func(m *h2Script, what string, id uint32) {
		mu.Lock()
		defer mu.Unlock()
		if what == "end" {
			most[m.n]++
			held = append(held, func() { m.answer(id, 200, true) })
			came <- struct{}{}
		}
	}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
	r := mix{front: true, back: true}.start(t, s)
	h := r.rawH2(t)
	var together bytes.Buffer // they come in one turn, before the connection is made
	h.Framer = http2.NewFramer(&together, h.c)
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for range 6 {
		h.get("/")
	}
	together.WriteTo(h.c)
	for range 6 {
		next(t, came)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, answer := range held {
		answer()
	}
	for range 6 {
		if got := h.frame(); !strings.HasSuffix(got, "end :status=200") {
			t.Fatal(got)
		}
	}
	for n, k := range most {
		if k > 2 {
			t.Errorf("connection %d was given %d streams", n, k)
		}
	}
	if s.retried != 0 {
		t.Errorf("%d retries", s.retried)
	}
}

// TestH2RetryOn: an answer that is to be retried costs its stream only, and the request's content goes to the next member.
func TestH2RetryOn(t *testing.T) {
	mixAll(t, func(t *testing.T, m mix) {
		for _, gathered := range []bool{false, true} {
			var asked []string
			busy := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.RemoteAddr)
				n, _ := io.Copy(io.Discard, r.Body)
				w.Header().Set("X-Had", fmt.Sprint(n))
				w.WriteHeader(503)
				io.WriteString(w, "busy")
			})
			s := &site{members: []netip.AddrPort{busy, m.backend(t, told)}, done: make(chan struct{}, 10)}
			s.plan = func(_ *Request, p *Plan) {
				p.RetryOn.Add(503)
				if gathered {
					p.BufferRequest = &Buffering{16 << 10, 1 << 20}
				}
			}
			r := m.start(t, s)
			c := m.client(t)
			f := func(method string, n, code int, want string) {
				t.Helper()
				s.mu.Lock()
				s.next = 0
				s.mu.Unlock()
				req, _ := http.NewRequest(method, "http://"+r.addr, bytes.NewReader(noisy(n)))
				res, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != code || !strings.HasPrefix(string(got), want) {
					t.Errorf("%s of %d bytes, gathered %v: %d %q", method, n, gathered, res.StatusCode, got)
				}
			}
			f("GET", 0, 200, "GET 0 of 0")
			f("PUT", 50_000, 200, "PUT 50000 of 50000")
			f("POST", 100, 503, "busy")
			if gathered {
				f("PUT", 300_000, 200, "PUT 300000 of 300000")
			}
			if m.back && asked[0] != asked[len(asked)-1] {
				t.Errorf("its connection was not used again: %q", asked)
			}
		}
	})
}

// TestH2HeadsInOrder: a stream begins when its head is sent, so that one which was to be opened first and is sent later does not break the
// order of their numbers.
func TestH2HeadsInOrder(t *testing.T) {
	ids := make(chan uint32, 10)
	member := scriptedH2(t, func(m *h2Script, what string, id uint32) {
		if what == "head" {
			ids <- id
		}
		if what == "end" && m.path[id] == "/" {
			m.answer(id, 200, true)
		}
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
	r := mix{front: true, back: true}.start(t, s)
	h := r.rawH2(t)
	h.get("/") // there is a connection
	h.expect("head 1 end :status=200")
	next(t, ids)
	w := r.workers[0]
	ended := make(chan error, 1)
	w.loop.Post(func() {
		var calls [2]*h2call
		var xs [2]*exchange
		for i := range calls {
			x := w.take(nil)
			x.in.w = copy(x.in.b, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
			x.req.ParseRequest(x.in.bytes(), &r.o.Limits)
			x.choice.Addr, x.plan.Via = member, s.via
			b, err := w.reachH2(x, idleKey{addr: member, via: s.via}, false)
			if err == nil {
				err = b.opened()
			}
			if err != nil {
				ended <- err
				return
			}
			calls[i], xs[i] = b.(*h2call), x
		}
		for _, i := range []int{1, 0} {
			x := xs[i]
			if n, err := calls[i].write(x.requestHead(nil, true), nil, nil); n == 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		ended <- nil
		w.loop.Post(func() {
			for i, c := range calls {
				c.close()
				w.give(xs[i])
			}
		})
	})
	if err := next(t, ended); err != nil {
		t.Fatal(err)
	}
	if a, b := next(t, ids), next(t, ids); a != 3 || b != 5 {
		t.Errorf("streams %d and %d", a, b)
	}
	h.get("/")
	h.expect("head 3 end :status=200")
	if n := r.Counts().Connected; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestH2LateConnection: a connection to a member that is not there in time is given up, and no later request waits for it.
func TestH2LateConnection(t *testing.T) {
	certs := labtest.NewCerts(t)
	server := certs.Server()
	server.NextProtos = []string{"h2"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			io.Copy(io.Discard, c) // and never a word of TLS
		}
	}()
	s := &site{via: &Transport{HTTP2: true, TLS: named(certs)}, members: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}, done: make(chan struct{}, 10)}
	s.plan = func(_ *Request, p *Plan) { p.Connect, p.Retries = 50*time.Millisecond, 0 }
	r := new(over).startH2(t, s)
	h := r.rawH2(t)
	h.get("/")
	h.expect("head 1 :status=503…", "data 1 end…")
	next(t, closed)
	left := make(chan int)
	r.workers[0].loop.Post(func() { left <- len(r.workers[0].h2.ups) })
	if n := next(t, left); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
