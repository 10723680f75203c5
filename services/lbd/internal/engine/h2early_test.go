package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/labtest"
)

// TestH2Early: an answer that comes before the request is whole ends the stream without an error, as RFC 9113 section 8.1 has it, whoever gives
// it. What of the request was on its way harms nobody.
func TestH2Early(t *testing.T) {
	plain := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		if req.URL.Path == "/close" {
			return
		}
		io.Copy(io.Discard, r)
	})
	framed := scriptedH2(t, func(m *h2Script, what string, id uint32) {
		if what != "head" {
			return
		}
		m.answer(id, 403, false)
		m.WriteData(id, true, []byte("no"))
		if m.path[id] == "/close" {
			m.WriteRSTStream(id, http2.ErrCodeNo)
		}
	})
	for _, tt := range []struct {
		name   string
		member netip.AddrPort
		via    *Transport
		buffer *Buffering
	}{
		{"HTTP/1", plain, nil, nil}, {"HTTP/2", framed, &Transport{HTTP2: true}, nil},
		{"HTTP/1 buffered", plain, nil, &Buffering{16 << 10, 1 << 20}}, {"HTTP/2 buffered", framed, &Transport{HTTP2: true}, &Buffering{16 << 10, 1 << 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{members: []netip.AddrPort{tt.member}, via: tt.via, done: make(chan struct{}, 100)}
			s.plan = func(r *Request, p *Plan) {
				p.BufferResponse = tt.buffer
				if string(r.Text(r.Head.Target.Path)) == "/own" {
					*p = Plan{Status: 403, Reason: "denied", Type: "text/plain", Body: "no", Write: time.Second}
				}
			}
			r := new(over).startH2(t, s)
			h := r.rawH2(t)
			for _, path := range []string{"/stay", "/close", "/own"} {
				for range 20 {
					id := h.post(path)
					h.upload(id, make([]byte, 20_000), false)
					h.expect(fmt.Sprintf("head %d :status=403…", id), fmt.Sprintf(`data %d end "no"`, id), fmt.Sprintf("reset %d NO_ERROR", id))
					for range 100 { // it does not know yet
						h.WriteData(id, false, make([]byte, 100))
					}
					h.WriteData(id, true, nil)
					h.room[0] -= 10_000
					h.seen()
				}
			}
			r.turned(t)
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, rec := range s.records {
				if rec.Status != 403 || rec.Reason != NoReason && rec.Reason != "denied" {
					t.Errorf("%+v", rec)
				}
			}
		})
	}
}

// TestH2Windows does what ends streams within their content more often than a connection's window allows if any of it were lost. The last
// request is served as the first, and the connection's window is what it was, but for what is not worth telling yet.
func TestH2Windows(t *testing.T) { backAll(t, testH2Windows) }

func testH2Windows(t *testing.T, m mix) {
	const uploads = 200
	// reset: the client ends the stream itself.
	f := func(path string, reset bool, plan func(p *Plan), fields ...string) {
		t.Helper()
		t.Run(strings.TrimPrefix(path, "/"), func(t *testing.T) {
			stuck := make(chan struct{})
			member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/stuck":
					select {
					case <-r.Context().Done():
					case <-stuck:
					}
				case "/early":
					w.Header().Set("Connection", "close") // else it reads what is to come first
					w.WriteHeader(403)
				default:
					told(w, r)
				}
			})
			defer close(stuck)
			s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10), cancels: true}
			s.plan = func(q *Request, p *Plan) {
				if string(q.Text(q.Head.Target.Path)) != "/good" && plan != nil {
					plan(p)
				}
			}
			if path == "/queue" {
				s.pick = func(a *pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) {
					if a.Priority == 1 {
						return pool.Choice{}, &pool.Ticket{}, pool.Queued
					}
					return s.seat(member), nil, pool.Granted
				}
			}
			r := m.start(t, s)
			r.SetTarpits(uploads)
			h := r.rawH2(t)
			data := noisy(65535)
			ended := map[uint32]bool{}
			step := func() {
				t.Helper()
				got := h.step()
				if strings.HasPrefix(got, "goaway") || got == "closed" {
					t.Fatalf("%s after %d streams", got, h.next/2)
				}
				var id uint32
				if _, err := fmt.Sscanf(got, "reset %d", &id); err == nil {
					ended[id] = true
				}
			}
			for range uploads {
				id := h.post(path, fields...)
				for left := data; len(left) > 0; {
					n := min(16384, len(left), h.room[0])
					if n == 0 {
						step()
						continue
					}
					h.WriteData(id, false, left[:n])
					h.room[0] -= n
					left = left[n:]
				}
				if reset {
					h.WriteRSTStream(id, http2.ErrCodeCancel)
				}
				for !reset && !ended[id] {
					step()
				}
			}
			id := h.post("/good")
			h.upload(id, noisy(200_000), true)
			for got := ""; got != fmt.Sprintf("head %d", id); got = strings.Join(strings.Fields(got + " x x")[:2], " ") {
				if got = h.frame(); got == "closed" || strings.HasPrefix(got, "goaway") {
					t.Fatal(got)
				}
			}
			if got, _ := h.content(id, true); !strings.HasPrefix(string(got), "POST 200000 of ") {
				t.Errorf("%q", got)
			}
			h.seen()
			if whole := int(r.workers[0].h2.options.ConnWindow); h.room[0] <= whole/2 {
				t.Errorf("a window of %d is left of %d", h.room[0], whole)
			}
		})
	}
	f("/stuck", true, nil)
	f("/gather", true, func(p *Plan) { p.BufferRequest = &Buffering{16 << 10, 1 << 20} })
	f("/queue", true, func(p *Plan) { p.Ask.Priority, p.Wait = 1, time.Hour })
	f("/delay", true, func(p *Plan) { p.Delay = time.Hour })
	f("/early", false, nil)
	f("/own", false, func(p *Plan) { p.Pool, p.Status = nil, 403 })
	f("/drop", false, func(p *Plan) { p.Drop = true })
	f("/large", false, func(p *Plan) { p.BufferRequest = &Buffering{16 << 10, 30_000} })
	f("/limit", false, func(p *Plan) { p.MaxBody = 30_000 })
	f("/malformed", false, nil, "content-length", "20000")
}

// TestH2WindowsBehind: likewise for answers that are not wanted any more, on a connection to a member.
func TestH2WindowsBehind(t *testing.T) {
	for _, buffered := range []bool{false, true} {
		var asked atomic.Int64
		member := backendH2(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/good" {
				w.Write(noisy(1 << 20))
				return
			}
			asked.Add(1)
			w.Write(make([]byte, 65535))
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
		if buffered {
			s.plan = absorbing(16<<10, 1<<20)
		}
		r := mix{front: true, back: true}.start(t, s)
		h := r.rawH2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for range 200 {
			id := h.get("/")
			h.expect(fmt.Sprintf("head %d :status=200…", id))
			h.WriteRSTStream(id, http2.ErrCodeCancel)
			if rec := s.last(t); rec.Reason != ClientGone {
				t.Fatalf("%+v", rec)
			}
		}
		id := h.get("/good")
		h.expect(fmt.Sprintf("head %d :status=200…", id))
		h.WriteWindowUpdate(id, 50_000)
		if got, _ := h.content(id, true); !bytes.Equal(got, noisy(1<<20)) {
			t.Errorf("%d bytes", len(got))
		}
		if n := r.Counts().Connected; n != 1 {
			t.Errorf("%d connections to the member", n)
		}
	}
}

// TestH2InterimWaits: an interim answer that the client's connection has no room for does not end up in the head of the answer.
func TestH2InterimWaits(t *testing.T) {
	early := make(chan struct{})
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			<-early
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
		}
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 1)}
	s.plan = func(_ *Request, p *Plan) { p.Retries = 0 }
	r := mix{front: true}.start(t, s)
	h := r.rawH2(t)
	h.get("/")
	h.seen()
	h.seen() // SETTINGS are acknowledged, too: nothing more comes from this side
	// More waits for the client than it has room for: frames of no known type, which the socket does not take.
	w := r.workers[0]
	var conn *h2conn
	w.loop.Post(func() {
		for conn = range w.h2.conns {
			conn.prepare()
			for conn.core.Pending() <= maxHeads {
				conn.core.Out = append(conn.core.Out, 0, 0x40, 0, 0x77, 0, 0, 0, 0, 0)
				conn.core.Out = append(conn.core.Out, make([]byte, 0x4000)...)
			}
			conn.writable = false
		}
	})
	r.turned(t)
	close(early)
	labtest.Eventually(t, soon, "the request is answered", func() error {
		ended := make(chan bool, 1)
		w.loop.Post(func() {
			x := conn.streams.x
			ended <- x.phase == own && x.c.(*h2stream).stalled
		})
		if !next(t, ended) {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	w.loop.Post(func() {
		conn.writable = true
		conn.later()
	})
	got := h.frame()
	for strings.HasPrefix(got, "[FrameHeader ") {
		got = h.frame()
	}
	if !strings.HasPrefix(got, "head 1 :status=502 ") || strings.Contains(got, "link") || strings.Count(got, ":status") != 1 {
		t.Error(got)
	}
}
