package engine

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/net/http2"
)

var codings = []string{"gzip", "br", "zstd"}

// TestMixCompress: content is the same by each coding, of all sizes, with trailers behind it; to HEAD the header says the same.
func TestMixCompress(t *testing.T) { mixAll(t, testMixCompress) }

func testMixCompress(t *testing.T, m mix) {
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		} else {
			w.Header().Set("Trailer", "X-Sum")
			defer w.Header().Set("X-Sum", "7")
			http.NewResponseController(w).Flush() // there are none beside a length in HTTP/1
		}
		if r.Method != "HEAD" {
			w.Write(rows(n))
		}
	})
	r := m.start(t, &site{members: []netip.AddrPort{member}, plan: compresses(t)})
	c := m.client(t)
	for _, coding := range append(codings, "identity") {
		for _, path := range []string{"/length", "/trailers"} {
			for _, n := range []int{100, 5000, 50_000, 200_000} {
				for _, method := range []string{"GET", "HEAD"} {
					req, _ := http.NewRequest(method, fmt.Sprintf("http://%s%s?n=%d", r.addr, path, n), nil)
					req.Header.Set("Accept-Encoding", coding)
					req.Header.Set("TE", "trailers")
					res, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					name := fmt.Sprintf("%s %s %s %d bytes", method, coding, path, n)
					var got []byte
					if method == "GET" {
						got = decoded(t, coding, res.Body)
					}
					rest, err := io.ReadAll(res.Body)
					if res.Body.Close(); err != nil || len(rest) > 0 {
						t.Errorf("%s: %d bytes behind it, %v", name, len(rest), err)
					}
					if method == "GET" && !bytes.Equal(got, rows(n)) {
						t.Errorf("%s: other content, %d bytes", name, len(got))
					}
					if ce := res.Header.Get("Content-Encoding"); ce != coding && coding != "identity" && (path == "/length" || method == "GET") {
						t.Errorf("%s: Content-Encoding %q", name, ce)
					}
					if coding != "identity" && res.Header.Get("Content-Length") != "" && (path == "/length" || method == "GET") {
						t.Errorf("%s: Content-Length %s", name, res.Header.Get("Content-Length"))
					}
					if sum := res.Trailer.Get("X-Sum"); method == "GET" && (sum == "7") != (path == "/trailers") {
						t.Errorf("%s: trailers %v", name, res.Trailer)
					}
				}
			}
		}
	}
}

// decoder returns what reads a coding as it comes.
func decoder(t testing.TB, coding string, r io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "gzip":
		d, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case "br":
		return brotli.NewReader(r)
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// TestMixCompressedStream: what a member has said is not kept back while it thinks, buffered or not.
func TestMixCompressedStream(t *testing.T) { mixAll(t, testMixCompressedStream) }

func testMixCompressedStream(t *testing.T, m mix) {
	more := make(chan struct{})
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("X-Type"))
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			<-more
		}
	})
	codes := compresses(t)
	r := m.start(t, &site{members: []netip.AddrPort{member}, plan: func(q *Request, p *Plan) {
		codes(q, p)
		p.BufferResponse = &Buffering{16 << 10, 1 << 20}
	}})
	c := m.client(t)
	for _, kind := range []string{"text/event-stream", "text/plain"} {
		for _, coding := range codings {
			req, _ := http.NewRequest("GET", "http://"+r.addr, nil)
			req.Header.Set("Accept-Encoding", coding)
			req.Header.Set("X-Type", kind)
			res, err := c.Do(req)
			if err != nil || res.Header.Get("Content-Encoding") != coding {
				t.Fatal(err, res)
			}
			in := decoder(t, coding, res.Body)
			for i := range 5 {
				want := fmt.Sprintf("data: %d\n\n", i)
				got := make([]byte, len(want))
				if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
					t.Fatalf("%s: %q, %v", coding, got, err)
				}
				more <- struct{}{} // only now the member goes on
			}
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("%s: %q, %v", coding, rest, err)
			}
			res.Body.Close()
		}
	}
}

// TestH2CompressReset: a stream that is reset while its answer is compressed gives the encoder back, and another's goes on; so does a member that
// breaks off.
func TestH2CompressReset(t *testing.T) { backAll(t, testH2CompressReset) }

func testH2CompressReset(t *testing.T, m mix) {
	more := make(chan bool)
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(rows(1000))
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/wait" {
			select {
			case goesOn := <-more:
				if !goesOn {
					panic(http.ErrAbortHandler)
				}
				w.Write(rows(1000))
			case <-r.Context().Done():
			}
			return
		}
		for r.Context().Err() == nil {
			if _, err := w.Write(rows(100_000)); err != nil {
				return
			}
		}
	})
	s := &site{members: []netip.AddrPort{member}, plan: compresses(t), done: make(chan struct{}, 10)}
	r := m.start(t, s)
	h := r.rawH2(t)
	get := func(path, coding string) uint32 {
		id := h.request(true, ":method", "GET", ":scheme", "http", ":path", path, ":authority", "a", "accept-encoding", coding)
		h.await(fmt.Sprintf("head %d :status=200", id))
		return id
	}
	for _, coding := range codings {
		other := get("/wait", coding)
		h.await(fmt.Sprintf("data %d ", other))
		id := get("/endless", coding)
		h.await(fmt.Sprintf("data %d ", id))
		if n := r.o.Encoders.Counts().Lent; n != 2 {
			t.Errorf("%s: %d encoders are lent", coding, n)
		}
		h.WriteRSTStream(id, http2.ErrCodeCancel)
		if rec := s.last(t); rec.Reason != ClientGone {
			t.Errorf("%s: %+v", coding, rec)
		}
		r.turned(t)
		if n := r.o.Encoders.Counts().Lent; n != 1 {
			t.Errorf("%s: %d encoders are lent", coding, n)
		}
		h.WriteWindowUpdate(0, 1<<20) // what the endless one has used
		more <- coding != "br"
		if coding == "br" {
			h.await(fmt.Sprintf("reset %d INTERNAL_ERROR", other))
		} else {
			h.await(fmt.Sprintf("data %d end", other))
		}
		s.last(t)
		r.turned(t)
		if n := r.o.Encoders.Counts().Lent; n != 0 {
			t.Errorf("%s: %d encoders are lent", coding, n)
		}
	}
}

// TestMixTrailers: what stands behind the content gets through, whatever becomes of the content on its way.
func TestMixTrailers(t *testing.T) { mixAll(t, testMixTrailers) }

func testMixTrailers(t *testing.T, m mix) {
	member := m.backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		http.NewResponseController(w).Flush()
		w.Write(body)
		w.Header().Set("Grpc-Status", r.Trailer.Get("X-Sum"))
		w.Header().Set("Grpc-Message", fmt.Sprint(err))
	})
	codes := compresses(t)
	s := &site{members: []netip.AddrPort{member}, plan: func(q *Request, p *Plan) {
		way := string(q.Text(q.Head.Target.Path))
		if strings.Contains(way, "request") {
			p.BufferRequest = &Buffering{32 << 10, 8 << 20}
		}
		if strings.Contains(way, "response") {
			p.BufferResponse = &Buffering{32 << 10, 8 << 20}
		}
		if strings.Contains(way, "coded") {
			codes(q, p)
		}
	}}
	r := m.start(t, s)
	c := m.client(t)
	for _, way := range []string{"plain", "request", "response", "coded", "request-response", "request-response-coded"} {
		for _, n := range []int{0, 1, 1000, 70_000, 1_000_000} {
			data := rows(n)
			req, _ := http.NewRequest("POST", "http://"+r.addr+"/"+way, io.MultiReader(bytes.NewReader(data)))
			req.Trailer = http.Header{"X-Sum": {fmt.Sprint(n)}}
			req.Header.Set("TE", "trailers")
			req.Header.Set("Accept-Encoding", "zstd")
			res, err := c.Do(req)
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", way, n, err)
			}
			got := decoded(t, res.Header.Get("Content-Encoding"), res.Body)
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if !bytes.Equal(got, data) || res.Trailer.Get("Grpc-Status") != fmt.Sprint(n) || res.Trailer.Get("Grpc-Message") != "<nil>" {
				t.Errorf("%s, %d bytes: %d bytes, trailers %v", way, n, len(got), res.Trailer)
			}
		}
	}
	if c := r.o.Spools.Counts(); c.Opened == 0 {
		t.Errorf("nothing was in a file: %+v", c)
	}
}
