package engine

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/spool"
)

// gathers is a plan that buffers requests.
func gathers(memory, most int64) func(*Request, *Plan) {
	return func(_ *Request, p *Plan) { p.BufferRequest = &Buffering{memory, most} }
}

// absorbing is a plan that buffers answers.
func absorbing(memory, most int64) func(*Request, *Plan) {
	return func(_ *Request, p *Plan) { p.BufferResponse = &Buffering{memory, most} }
}

// A slow upload holds no member: none is asked before all of it is there.
func TestGatherWhole(t *testing.T) {
	var asked atomic.Int64
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %d %v %x %v", r.Method, len(body), r.ContentLength, err, body[:min(2, len(body))], r.Trailer)
	})
	r := start(t, &site{members: []netip.AddrPort{b}, plan: gathers(32<<10, 1<<20)})
	ping := client1(t)
	for _, n := range []int{1, 10_000, 40_000, 300_000} {
		c, br := r.dial(t)
		data := bytes.Repeat([]byte("z"), n)
		send := func(head, body string) {
			t.Helper()
			before := asked.Load()
			half := len(head) + n/2
			all := head + body
			if _, err := io.WriteString(c, all[:half]); err != nil {
				t.Fatal(err)
			}
			// The loop has seen the half once it has answered what came later.
			res, err := ping.Get("http://" + r.addr)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if got := asked.Load() - before; got != 1 {
				t.Errorf("%d members were asked, besides the ping's", got-1)
			}
			if _, err := io.WriteString(c, all[half:]); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(want string) {
			t.Helper()
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
		z := fmt.Sprintf("%x", data[:min(2, n)])
		send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n), string(data))
		expect(fmt.Sprintf("POST %d %d <nil> %s map[]", n, n, z))
		// In chunks its length is known now, and a pipelined request behind it is not lost.
		chunks := fmt.Sprintf("1\r\nz\r\n%x\r\n%s\r\n0\r\n\r\n", n, data)
		send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", chunks+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		expect(fmt.Sprintf("PUT %d %d <nil> 7a7a map[]", n+1, n+1))
		expect("GET 0 0 <nil>  map[]")
		// Trailers can only follow chunks.
		chunks = fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Sum: 5\r\n\r\n", n, data)
		send("PUT / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n", chunks)
		expect(fmt.Sprintf("PUT %d -1 <nil> %s map[X-Sum:[5]]", n, z))
	}
	// Nothing at all, in chunks.
	c, br := r.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(res.Body); string(got) != "POST 0 0 <nil>  map[]" {
		t.Errorf("%q", got)
	}
}

// A request that is there as a whole can be sent again as a whole.
func TestGatherRetry(t *testing.T) {
	data := strings.Repeat("0123456789", 50_000)
	var first atomic.Int64
	bad := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		n, _ := io.Copy(io.Discard, req.Body)
		first.Store(n)
	})
	good := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, string(body) == data)
	})
	s := &site{members: []netip.AddrPort{bad, good}, plan: gathers(64<<10, 1<<20)}
	r := start(t, s)
	req, _ := http.NewRequest("PUT", "http://"+r.addr, strings.NewReader(data))
	res, err := client1(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(got) != "true" || first.Load() != int64(len(data)) || s.retried != 1 {
		t.Errorf("%q after %d bytes and %d retries", got, first.Load(), s.retried)
	}
}

func TestGatherRefuses(t *testing.T) {
	asked := 0
	b := backend(t, func(http.ResponseWriter, *http.Request) { asked++ })
	plan := gathers(16<<10, 50_000)
	r := start(t, &site{members: []netip.AddrPort{b}, plan: plan})
	f := func(raw, want string) {
		t.Helper()
		c, br := r.dial(t)
		go io.WriteString(c, raw) // the end comes before all is taken
		got, _ := io.ReadAll(br)
		line, rest, _ := strings.Cut(string(got), "\r\n")
		if line+" "+between(rest, "X-Everup-Reason: ", "\r\n") != want {
			t.Errorf("%.60q: %.200q", raw, got)
		}
	}
	f("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50001\r\n\r\n", "HTTP/1.1 413 Content Too Large body-too-large")
	f("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nc351\r\n"+strings.Repeat("a", 0xc351)+"\r\n0\r\n\r\n", "HTTP/1.1 413 Content Too Large body-too-large")
	f("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellox", "HTTP/1.1 400 Bad Request bad-body")
	// No room on the disk, nor in memory.
	r.o.Spools.SetLimits(spool.Limits{Memory: 16 << 10, Files: 10_000})
	f("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n"+strings.Repeat("a", 30000), "HTTP/1.1 503 Service Unavailable no-room")
	if c := r.o.Spools.Counts(); asked != 0 || c.Full != 1 || c.Limited != 1 {
		t.Errorf("asked %d, %+v", asked, c)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// Who waits to be told to send gets told by lbd, and the member is not asked.
func TestGatherContinue(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q", body, r.Header.Get("Expect"))
	})
	r := start(t, &site{members: []netip.AddrPort{b}, plan: gathers(16<<10, 50_000)})
	c, br := r.dial(t)
	const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	io.WriteString(c, head)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 100 {
		t.Fatal(res, err)
	}
	io.WriteString(c, "hello")
	expect := func() {
		t.Helper()
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(got) != `hello ""` {
			t.Errorf("%d %q", res.StatusCode, got)
		}
	}
	expect()
	io.WriteString(c, head+"hello") // it did not wait, and is told nothing
	expect()
	io.WriteString(c, strings.Replace(head, ": 5", ": 50001", 1))
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 413 {
		t.Error(res, err)
	}
}

// A client that goes away while its request is gathered leaves nothing behind, and one that is too slow is told.
func TestGatherEnds(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	s := &site{members: []netip.AddrPort{b}, done: make(chan struct{}, 1), plan: func(_ *Request, p *Plan) {
		p.BufferRequest = &Buffering{16 << 10, 1 << 20}
		p.Read = 20 * time.Millisecond
	}}
	r := start(t, s)
	const part = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
	c, _ := r.dial(t)
	io.WriteString(c, part+strings.Repeat("a", 70_000))
	c.Close()
	<-s.done
	c, br := r.dial(t)
	io.WriteString(c, part+"some")
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 408 {
		t.Error(res, err)
	}
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, b := s.records[0], s.records[1]; a.Reason != ClientGone || a.Received != 70_000 || b.Reason != ClientSlow || b.Received != 4 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// slowClient asks and reads nothing; its kernel takes little.
func slowClient(t testing.TB, r *rig, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, br := r.dial(t)
	under := c
	if t, ok := c.(*tls.Conn); ok {
		under = t.NetConn()
	}
	under.(*net.TCPConn).SetReadBuffer(128 << 10)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c, br
}

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// A member is free once it has answered, whatever the client does.
func TestAbsorb(t *testing.T) {
	data := rows(16 << 20) // more than kernels keep for a connection
	for name, header := range map[string]http.Header{
		"length": {"Content-Length": {fmt.Sprint(len(data))}, "Content-Type": {"application/octet-stream"}}, "chunks": {"Content-Type": {"application/octet-stream"}},
		"compressed": {"Content-Type": {"text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := backend(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range header {
					w.Header()[k] = v
				}
				w.Write(data)
			})
			codes := compresses(t)
			s := &site{members: []netip.AddrPort{b}, released: make(chan struct{}, 1), plan: func(q *Request, p *Plan) {
				codes(q, p)
				fast := *p.Compress
				fast.Level = encoding.Fast
				p.Compress = &fast
				p.BufferResponse = &Buffering{64 << 10, 32 << 20}
			}}
			r := start(t, s)
			want := "identity"
			if name == "compressed" {
				want = "zstd"
				data = noisy(16 << 20)
			}
			_, br := slowClient(t, r, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: zstd\r\n\r\n")
			<-s.released // the client has read nothing yet
			if c := r.o.Spools.Counts(); c.Spools != 1 || c.InFiles != 1 || c.Memory > 64<<10 || r.o.Encoders.Counts().Lent != 0 {
				t.Errorf("%+v", c)
			}
			// And its connection serves the next.
			next := client1(t)
			next.Transport.(*http.Transport).DisableCompression = true
			res, err := next.Get("http://" + r.addr + "/next")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if c := r.Counts(); c.Connected != 1 || c.Reused != 1 {
				t.Errorf("%+v", c)
			}
			if res, err = http.ReadResponse(br, nil); err != nil {
				t.Fatal(err)
			}
			if got := decoded(t, want, res.Body); !bytes.Equal(got, data) {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}

// noisy is text that compresses by half only.
func noisy(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = "0123456789abcdef"[x>>28]
	}
	return b
}

// Where there is no more room the member waits for the client.
func TestAbsorbBounds(t *testing.T) {
	data := noisy(16 << 20)
	f := func(name string, most int64, l spool.Limits) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			b := backend(t, func(w http.ResponseWriter, r *http.Request) { w.Write(data) })
			s := &site{members: []netip.AddrPort{b}, released: make(chan struct{}, 1), plan: absorbing(32<<10, most)}
			r := start(t, s)
			r.o.Spools.SetLimits(l)
			_, br := slowClient(t, r, plainGet)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			buf := make([]byte, 64<<10)
			for err == nil {
				var n int
				n, err = res.Body.Read(buf)
				got = append(got, buf[:n]...)
				if c := r.o.Spools.Counts(); c.Memory > 32<<10 || c.Files > min(most, l.Files) {
					t.Fatalf("%+v", c)
				}
			}
			if err != io.EOF || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if c := r.o.Spools.Counts(); c.Limited+c.Full == 0 {
				t.Errorf("no bound was met: %+v", c)
			}
		})
	}
	f("one's own", 1<<20, spool.Limits{Memory: 64 << 20, Files: 64 << 20})
	f("memory alone", 32<<10, spool.Limits{Memory: 64 << 20, Files: 64 << 20})
	f("of all", 64<<20, spool.Limits{Memory: 64 << 20, Files: 1 << 20})
	f("none", 64<<20, spool.Limits{})
}

// What never ends, or says that it is not to be buffered, is passed on as the client takes it.
func TestNotAbsorbed(t *testing.T) {
	for _, header := range []http.Header{{"Content-Type": {"Text/Event-Stream; charset=utf-8"}}, {"X-Accel-Buffering": {"no"}}} {
		wrote, gone := make(chan struct{}), make(chan struct{})
		b := backend(t, func(w http.ResponseWriter, r *http.Request) {
			defer close(gone)
			for k, v := range header {
				w.Header()[k] = v
			}
			close(wrote)
			chunk := noisy(1 << 20)
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
		r := start(t, &site{members: []netip.AddrPort{b}, plan: absorbing(64<<10, 64<<20)})
		c, br := slowClient(t, r, plainGet)
		<-wrote
		if _, err := io.CopyN(io.Discard, br, 8<<20); err != nil {
			t.Fatal(err)
		}
		if c := r.o.Spools.Counts(); c.Spools != 0 || c.Opened != 0 {
			t.Errorf("%v: %+v", header, c)
		}
		c.Close()
		<-gone
	}
}

// A client that takes nothing for too long is cut off although its answer keeps coming, and its spool is closed.
func TestAbsorbSlow(t *testing.T) {
	for _, length := range []string{"", "1000000000000"} {
		t.Run("length "+length, func(t *testing.T) { absorbSlow(t, length) })
	}
}

func absorbSlow(t *testing.T, length string) {
	const ahead, piece = 16 << 20, 200 // more than kernels keep for a connection; so little that no bound is met
	stores := make(chan *spool.Store, 1)
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		store := <-stores
		data := noisy(ahead)
		w.Write(data)
		for r.Context().Err() == nil { // each piece follows when the one before is stored
			before := stored(store)
			w.Write(data[:piece])
			w.(http.Flusher).Flush()
			for stored(store) == before && r.Context().Err() == nil {
				runtime.Gosched()
			}
		}
	})
	s := &site{members: []netip.AddrPort{b}, done: make(chan struct{}, 1), plan: func(_ *Request, p *Plan) {
		p.BufferResponse = &Buffering{64 << 10, 1 << 30}
		p.Write = 300 * time.Millisecond
	}}
	r := start(t, s)
	stores <- r.o.Spools
	slowClient(t, r, plainGet)
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.records[0]; rec.Reason != ClientSlow {
		t.Errorf("%+v", rec)
	}
	// Where the store is full the member waits, and the answer does not keep coming.
	if c := r.o.Spools.Counts(); c.Opened != 1 || c.Full != 0 || c.Limited != 0 || c.Failed != 0 {
		t.Errorf("%+v", c)
	}
}

// stored is how many bytes a store holds.
func stored(s *spool.Store) int64 {
	c := s.Counts()
	return c.Memory + c.Files
}

// A member that falls silent is late although the client is slow as well: its own time counts.
func TestAbsorbLateMember(t *testing.T) {
	b := scripted(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"))
		c.Write(noisy(16 << 20))
		r.ReadByte() // until it is closed
	})
	s := &site{members: []netip.AddrPort{b}, done: make(chan struct{}, 1), plan: func(_ *Request, p *Plan) {
		p.BufferResponse = &Buffering{64 << 10, 64 << 20}
		p.Timeout, p.Write = 300*time.Millisecond, 20*time.Second
	}}
	r := start(t, s)
	slowClient(t, r, plainGet)
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.records[0]; rec.Reason != Truncated {
		t.Errorf("%+v", rec)
	}
}

// What is buffered and compressed is the same over TLS on either side, where nothing goes from descriptor to descriptor.
func TestContentOver(t *testing.T) {
	data := noisy(12 << 20)
	overAll(t, func(t *testing.T, o *over) {
		b := o.backend(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if r.Method == "PUT" && !bytes.Equal(body, data) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			w.Header().Set("Content-Type", r.Header.Get("X-Type"))
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data)
		})
		codes := compresses(t)
		s := &site{members: []netip.AddrPort{b}, released: make(chan struct{}, 1), plan: func(q *Request, p *Plan) {
			codes(q, p)
			fast := *p.Compress
			fast.Level = encoding.Fast
			p.Compress = &fast
			p.BufferRequest = &Buffering{64 << 10, 32 << 20}
			p.BufferResponse = &Buffering{64 << 10, 32 << 20}
		}}
		r := o.start(t, s)
		for _, kind := range []string{"image/png", "text/plain"} {
			c, br := slowClient(t, r, fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX-Type: %s\r\nAccept-Encoding: zstd\r\n\r\n", len(data), kind))
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
			<-s.released
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := decoded(t, res.Header.Get("Content-Encoding"), res.Body); !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes", kind, len(got))
			}
		}
	})
}
