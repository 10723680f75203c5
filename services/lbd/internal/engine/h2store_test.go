package engine

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/spool"
)

// told answers with what of a request has come.
func told(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %d of %d, %08x %v %v %q", r.Method, len(body), r.ContentLength, crc32.ChecksumIEEE(body), err, r.Trailer, r.Header.Get("Expect"))
}

// TestMixGather has requests stored whole, in memory and in a file, with less and with more than a window.
func TestMixGather(t *testing.T) { mixAll(t, testMixGather) }

func testMixGather(t *testing.T, m mix) {
	r := m.start(t, &site{members: []netip.AddrPort{m.backend(t, told)}, plan: gathers(128<<10, 8<<20)})
	c := m.client(t)
	for _, n := range []int{1, 10_000, 65_535, 65_536, 100_000, 300_000, 3_000_000} {
		data := noisy(n)
		for _, kind := range []string{"length", "no length", "trailers"} {
			var in io.Reader = bytes.NewReader(data)
			if kind != "length" {
				in = io.MultiReader(in)
			}
			req, err := http.NewRequest("POST", "http://"+r.addr, in)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`POST %d of %d, %08x <nil> map[] ""`, n, n, crc32.ChecksumIEEE(data))
			if kind == "trailers" {
				req.Trailer = http.Header{"X-Sum": {"5"}}
				want = fmt.Sprintf(`POST %d of -1, %08x <nil> map[X-Sum:[5]] ""`, n, crc32.ChecksumIEEE(data))
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatalf("%d bytes, %s: %v", n, kind, err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(got) != want {
				t.Errorf("%d bytes, %s: %q, %v, want %q", n, kind, got, err, want)
			}
		}
	}
	if c := r.o.Spools.Counts(); c.Opened == 0 {
		t.Errorf("no file was made: %+v", c)
	}
}

// TestH2GatherWaits: a member is asked when a stream's content is there, and not before.
func TestH2GatherWaits(t *testing.T) { backAll(t, testH2GatherWaits) }

func testH2GatherWaits(t *testing.T, m mix) {
	var asked atomic.Int64
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		told(w, r)
	})
	r := m.start(t, &site{members: []netip.AddrPort{member}, plan: gathers(32<<10, 1<<20)})
	h := r.rawH2(t)
	for _, n := range []int{2, 60_000, 200_000} {
		data := noisy(n)
		id := h.post("/", "expect", "100-continue")
		h.expect(fmt.Sprintf("head %d :status=100", id))
		h.upload(id, data[:n-1], false)
		h.seen()
		if asked.Load() != 0 {
			t.Fatalf("%d bytes: a member was asked", n)
		}
		if c := r.o.Spools.Counts(); c.Spools != 1 {
			t.Errorf("%d bytes: %+v", n, c)
		}
		h.upload(id, data[n-1:], true)
		h.expect(fmt.Sprintf("head %d :status=200…", id))
		want := fmt.Sprintf(`POST %d of %d, %08x <nil> map[] ""`, n, n, crc32.ChecksumIEEE(data))
		if got, _ := h.content(id, true); string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
		asked.Store(0)
	}
}

// TestH2GatherRefuses: a stream whose content finds no room is answered, and no other is harmed.
func TestH2GatherRefuses(t *testing.T) {
	r := mix{front: true}.start(t, &site{members: []netip.AddrPort{backend(t, told)}, plan: gathers(16<<10, 50_000)})
	h := r.rawH2(t)
	other := h.post("/")
	h.upload(other, noisy(20_000), false)
	f := func(n int, length, status, reason string) {
		t.Helper()
		var fields []string
		if length != "" {
			fields = []string{"content-length", length}
		}
		id := h.post("/", fields...)
		got := h.upload(id, noisy(n), false)
		if got == "" {
			got = h.frame()
		}
		if want := fmt.Sprintf("head %d :status=%s ", id, status); !strings.HasPrefix(got, want) || !strings.Contains(got, "x-everup-reason="+reason) {
			t.Errorf("%d bytes: %q", n, got)
		}
		h.expect(fmt.Sprintf("data %d end…", id), fmt.Sprintf("reset %d NO_ERROR", id))
		if c := r.o.Spools.Counts(); c.Spools != 1 {
			t.Errorf("%+v", c)
		}
	}
	f(10, "50001", "413", "body-too-large")
	f(50_001, "", "413", "body-too-large")
	r.o.Spools.SetLimits(spool.Limits{Memory: 16 << 10, Files: 10_000})
	f(30_000, "", "503", "no-room")
	r.o.Spools.SetLimits(spool.Limits{Memory: 1 << 20, Files: 1 << 20})
	// More, and less, than was said.
	id := h.post("/", "content-length", "5")
	h.WriteData(id, false, []byte("hello!"))
	h.expect(fmt.Sprintf("reset %d PROTOCOL_ERROR", id))
	id = h.post("/", "content-length", "7")
	h.WriteData(id, true, []byte("hello!"))
	h.expect(fmt.Sprintf("reset %d PROTOCOL_ERROR", id))
	h.upload(other, noisy(20_000), true)
	h.expect(fmt.Sprintf("head %d :status=200…", other))
	if got, _ := h.content(other, true); !strings.HasPrefix(string(got), "POST 40000 of 40000, ") {
		t.Errorf("%q", got)
	}
}

// TestH2GatherReset: what of a request was stored goes with its stream, while another's stays, and with the connection.
func TestH2GatherReset(t *testing.T) {
	asked := make(chan struct{}, 10)
	member := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		told(w, r)
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10), plan: gathers(16<<10, 1<<20)}
	r := mix{front: true}.start(t, s)
	h := r.rawH2(t)
	f := func(spools int64) {
		t.Helper()
		if rec := s.last(t); rec.Reason != ClientGone || rec.Received == 0 {
			t.Errorf("%+v", rec)
		}
		r.turned(t)
		if c := r.o.Spools.Counts(); c.Spools != spools || spools == 0 && c.Memory+c.Files != 0 {
			t.Errorf("%+v", c)
		}
	}
	kept := h.post("/")
	h.upload(kept, noisy(100_000), false)
	for range 3 {
		id := h.post("/")
		h.upload(id, noisy(100_000), false)
		h.seen()
		h.WriteRSTStream(id, http2.ErrCodeCancel)
		f(1)
	}
	h.upload(kept, noisy(100_000), true)
	h.expect(fmt.Sprintf("head %d :status=200…", kept))
	h.content(kept, true)
	next(t, asked)
	next(t, s.done)
	for range 2 {
		h.upload(h.post("/"), noisy(50_000), false)
	}
	h.seen()
	h.c.Close()
	next(t, s.done)
	f(0)
	if len(asked) > 0 {
		t.Error("a member was asked")
	}
}

// TestMixAbsorb: a member is free once it has answered, whatever the window of the client's stream. In a coding too, and with trailers.
func TestMixAbsorb(t *testing.T) { mixAll(t, testMixAbsorb) }

func testMixAbsorb(t *testing.T, m mix) {
	size := 1 << 20
	if !m.front {
		size = 16 << 20 // more than kernels keep for a connection
	}
	data := noisy(size)
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Header().Set("Content-Type", "image/png")
		case "/no-length":
			w.Header().Set("Content-Type", "image/png")
		case "/trailers":
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Trailer", "Grpc-Status")
			defer w.Header().Set("Grpc-Status", "0")
		case "/compressed":
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Trailer", "Grpc-Status")
			defer w.Header().Set("Grpc-Status", "0")
		case "/small":
			w.Write(data[:20_000])
			return
		}
		w.Write(data)
	})
	codes := compresses(t)
	s := &site{members: []netip.AddrPort{member}, released: make(chan struct{}, 1), plan: func(q *Request, p *Plan) {
		codes(q, p)
		fast := *p.Compress
		fast.Level = encoding.Fast
		p.Compress = &fast
		p.BufferResponse = &Buffering{64 << 10, 32 << 20}
	}}
	r := m.start(t, s)
	for _, path := range []string{"/length", "/no-length", "/trailers", "/compressed", "/small"} {
		t.Run(path[1:], func(t *testing.T) {
			want, trailer := data, ""
			if path == "/small" {
				want = data[:20_000]
			}
			if path == "/trailers" || path == "/compressed" {
				trailer = "0"
			}
			if !m.front {
				_, br := slowClient(t, r, "GET "+path+" HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nAccept-Encoding: zstd\r\n\r\n")
				next(t, s.released)
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				got := decoded(t, res.Header.Get("Content-Encoding"), res.Body)
				io.Copy(io.Discard, res.Body)
				if !bytes.Equal(got, want) || res.Trailer.Get("Grpc-Status") != trailer {
					t.Errorf("%d bytes, trailers %v", len(got), res.Trailer)
				}
				return
			}
			h := r.rawH2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
			id := h.request(true, ":method", "GET", ":scheme", "http", ":path", path, ":authority", "a", "accept-encoding", "zstd", "te", "trailers")
			next(t, s.released) // the client has room for ten bytes
			if c := r.o.Spools.Counts(); c.Memory > 64<<10 || c.Spools != 1 || c.Files == 0 && path != "/small" || r.o.Encoders.Counts().Lent != 0 {
				t.Errorf("%+v, %+v", c, r.o.Encoders.Counts())
			}
			head := h.frame()
			coding := ""
			if strings.Contains(head, "content-encoding=zstd") {
				coding = "zstd"
			}
			h.WriteWindowUpdate(id, 20_000)
			got, trailers := h.content(id, true)
			if got = decoded(t, coding, bytes.NewReader(got)); !bytes.Equal(got, want) || trailers != "" && trailers != " grpc-status="+trailer || trailers == "" && trailer != "" {
				t.Errorf("%d bytes, trailers %q", len(got), trailers)
			}
			if coding == "" && path == "/compressed" {
				t.Error("it did not come in a coding")
			}
		})
	}
	if n := r.Counts().Connected; n != 1 {
		t.Errorf("%d connections to the member", n)
	}
}

// TestH2AbsorbReset: what of an answer was stored goes with its stream, before and after its member was given back.
func TestH2AbsorbReset(t *testing.T) { backAll(t, testH2AbsorbReset) }

func testH2AbsorbReset(t *testing.T, m mix) {
	data := noisy(300_000)
	gone := make(chan struct{}, 10)
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(data)
		if r.URL.Path == "/half" {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			gone <- struct{}{}
		}
	})
	s := &site{members: []netip.AddrPort{member}, released: make(chan struct{}, 10), done: make(chan struct{}, 10), plan: absorbing(64<<10, 1<<20)}
	r := m.start(t, s)
	h := r.rawH2(t)
	other := h.get("/")
	next(t, s.released)
	for _, path := range []string{"/", "/half"} {
		id := h.get(path)
		for got := ""; !strings.HasPrefix(got, fmt.Sprintf("head %d ", id)); {
			got = h.frame()
		}
		if path == "/" {
			next(t, s.released)
		}
		h.WriteRSTStream(id, http2.ErrCodeCancel)
		if rec := s.last(t); rec.Reason != ClientGone {
			t.Errorf("%+v", rec)
		}
		if path == "/half" {
			next(t, s.released)
			next(t, gone)
		}
		r.turned(t)
		if c := r.o.Spools.Counts(); c.Spools != 1 {
			t.Errorf("%s: %+v", path, c)
		}
	}
	// The one that has waited is whole.
	h.WriteWindowUpdate(0, 1<<20)
	h.WriteWindowUpdate(other, 1<<20)
	n := 65535 // what had room was read above
	for n < len(data) {
		f, err := h.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamID == other {
			n += len(d.Data())
		}
	}
	h.expectEnd(other)
}
