package engine

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/shared/labtest"
)

// compresses is a plan with compression.
func compresses(t testing.TB) func(*Request, *Plan) {
	t.Helper()
	types, err := encoding.ParseTypes(encoding.DefaultTypes())
	if err != nil {
		t.Fatal(err)
	}
	policy := &encoding.Policy{Prefer: []encoding.Coding{encoding.Zstd, encoding.Brotli, encoding.Gzip}, Types: types, Min: 100, Level: encoding.Middle}
	return func(_ *Request, p *Plan) { p.Compress = policy }
}

// decoded is what a client gets of content in a coding.
func decoded(t testing.TB, coding string, r io.Reader) []byte {
	t.Helper()
	var err error
	switch coding {
	case "gzip":
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r = d
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func rows(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "<tr><td>%d</td><td>the square is %d</td></tr>\n", i, i*i)
	}
	return b.Bytes()[:n]
}

// Content is the same by each coding, however its length is told and whatever the client speaks.
func TestCompress(t *testing.T) {
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			n, _ := strconv.Atoi(req.URL.Query().Get("n"))
			data := rows(n)
			const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
			switch req.URL.Path {
			case "/length":
				fmt.Fprintf(c, head+"Content-Length: %d\r\n\r\n%s", n, data)
			case "/chunks":
				io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n")
				for ; len(data) > 0; data = data[min(4321, len(data)):] {
					p := data[:min(4321, len(data))]
					fmt.Fprintf(c, "%x\r\n%s\r\n", len(p), p)
				}
				io.WriteString(c, "0\r\nX-Sum: 7\r\n\r\n")
			default:
				io.WriteString(c, head+"\r\n")
				c.Write(data)
				return
			}
		}
	})
	r := start(t, &site{members: []netip.AddrPort{member}, plan: compresses(t)})
	for _, coding := range []string{"gzip", "br", "zstd", "identity"} {
		for _, path := range []string{"/length", "/chunks", "/close"} {
			for _, version := range []string{"1.1", "1.0"} {
				for _, n := range []int{100, 5000, 50_000, 1_000_000} {
					c, br := r.dial(t)
					fmt.Fprintf(c, "GET %s?n=%d HTTP/%s\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", path, n, version, coding)
					res, err := http.ReadResponse(br, nil)
					if err != nil {
						t.Fatal(err)
					}
					name := fmt.Sprintf("%s %s HTTP/%s %d bytes", coding, path, version, n)
					if ce := res.Header.Get("Content-Encoding"); ce != coding && coding != "identity" || res.Header.Get("Vary") != "Accept-Encoding" {
						t.Errorf("%s: Content-Encoding %q, Vary %q", name, ce, res.Header.Get("Vary"))
					}
					if res.ContentLength != -1 && coding != "identity" || version == "1.1" && (coding != "identity" || path != "/length") != (len(res.TransferEncoding) > 0) {
						t.Errorf("%s: length %d, Transfer-Encoding %q", name, res.ContentLength, res.TransferEncoding)
					}
					if got := decoded(t, coding, res.Body); !bytes.Equal(got, rows(n)) {
						t.Errorf("%s: other content, %d bytes", name, len(got))
					}
					if path == "/chunks" && version == "1.1" && res.Trailer.Get("X-Sum") != "7" {
						t.Errorf("%s: trailers %v", name, res.Trailer)
					}
				}
			}
		}
	}
}

// The head that goes out for one that came, line by line.
func TestCompressedHeads(t *testing.T) {
	answers := make(chan string, 1)
	seen := make(chan http.Header, 1)
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			seen <- req.Header
			io.WriteString(c, <-answers)
		}
	})
	r := start(t, &site{members: []netip.AddrPort{member}, plan: compresses(t)})
	body := string(rows(200))
	f := func(request, answer string, want ...string) http.Header {
		t.Helper()
		c, br := r.dial(t)
		method, _, _ := strings.Cut(request, " ")
		if method != "HEAD" && !strings.Contains(answer, " 304 ") {
			answer += "Content-Length: 200\r\n\r\n" + body
		} else {
			answer += "Content-Length: 200\r\n\r\n"
		}
		answers <- answer
		first, fields, _ := strings.Cut(request, "\n")
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: a\r\n%s\r\n", first, strings.ReplaceAll(fields, "\n", "\r\n"))
		var got []string
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line = strings.TrimSuffix(line, "\r\n"); line == "" {
				break
			}
			got = append(got, line)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q, %q: -want +got\n%s", request, answer[:min(len(answer), 150)], d)
		}
		return <-seen
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
	const gz = "GET /\nAccept-Encoding: gzip\n"
	f(gz, ok+"ETag: \"a\"\r\nAccept-Ranges: bytes\r\nVary: Cookie\r\n",
		"HTTP/1.1 200 OK", "Content-Type: text/html", `ETag: W/"a"`, "Vary: Cookie", "Content-Encoding: gzip", "Vary: Accept-Encoding", "Transfer-Encoding: chunked")
	f("HEAD /\nAccept-Encoding: gzip\n", ok+"ETag: \"a\"\r\nAccept-Ranges: bytes\r\n",
		"HTTP/1.1 200 OK", "Content-Type: text/html", `ETag: W/"a"`, "Content-Encoding: gzip", "Vary: Accept-Encoding")
	f("GET /\n", ok+"ETag: \"a\"\r\nAccept-Ranges: bytes\r\n",
		"HTTP/1.1 200 OK", "Content-Type: text/html", `ETag: "a"`, "Accept-Ranges: bytes", "Content-Length: 200", "Vary: Accept-Encoding")
	f(gz, ok+"ETag: W/\"a\"\r\nVary: Origin, Accept-Encoding\r\n",
		"HTTP/1.1 200 OK", "Content-Type: text/html", `ETag: W/"a"`, "Vary: Origin, Accept-Encoding", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
	f(gz, ok+"Vary: *\r\n",
		"HTTP/1.1 200 OK", "Content-Type: text/html", "Vary: *", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
	// What is not to be compressed does not vary.
	f(gz, ok+"Content-Encoding: br\r\nETag: \"a\"\r\n",
		"HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Encoding: br", `ETag: "a"`, "Content-Length: 200")
	f(gz, "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n", "HTTP/1.1 200 OK", "Content-Type: image/png", "Content-Length: 200")
	f("GET /\nAccept-Encoding: gzip\nRange: bytes=0-199\n", "HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nContent-Range: bytes 0-199/300\r\nETag: \"a\"\r\n",
		"HTTP/1.1 206 Partial Content", "Content-Type: text/html", "Content-Range: bytes 0-199/300", `ETag: "a"`, "Content-Length: 200")

	// Conditions: what a client knows as weak is asked of the member as it is, and what changes something as strong.
	const fresh = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n"
	h := f(gz+"If-None-Match: W/\"a\"\n", fresh, "HTTP/1.1 304 Not Modified", `ETag: W/"a"`, "Content-Length: 200")
	if got := h.Get("If-None-Match"); got != `W/"a"` {
		t.Errorf("If-None-Match: %s", got)
	}
	f(gz+"If-None-Match: \"a\"\n", fresh, "HTTP/1.1 304 Not Modified", `ETag: "a"`, "Content-Length: 200")
	h = f("DELETE /\nIf-Match: W/\"a\", \"b\"\n", ok, "HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 200", "Vary: Accept-Encoding")
	if got := h.Get("If-Match"); got != `"a", "b"` {
		t.Errorf("If-Match: %s", got)
	}
	h = f("GET /\nIf-Match: W/\"a\"\n", ok, "HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 200", "Vary: Accept-Encoding")
	if got := h.Get("If-Match"); got != `W/"a"` {
		t.Errorf("If-Match: %s", got)
	}
}

// What a member has said is not kept back while it thinks.
func TestCompressedStream(t *testing.T) {
	next := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	r := start(t, &site{members: []netip.AddrPort{b}, plan: compresses(t)})
	for _, coding := range []string{"gzip", "br", "zstd"} {
		c, br := r.dial(t)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", coding)
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.Header.Get("Content-Encoding") != coding {
			t.Fatal(err, res)
		}
		pr, pw := io.Pipe()
		go func() {
			_, err := io.Copy(pw, res.Body)
			pw.CloseWithError(err)
		}()
		var in io.Reader
		switch coding {
		case "gzip":
			if in, err = gzip.NewReader(pr); err != nil {
				t.Fatal(err)
			}
		case "br":
			in = brotli.NewReader(pr)
		default:
			d, err := zstd.NewReader(pr, zstd.WithDecoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			in = d
		}
		for i := range 5 {
			want := fmt.Sprintf("data: %d\n\n", i)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
				t.Fatalf("%s: %q, %v", coding, got, err)
			}
			next <- struct{}{} // only now the member goes on
		}
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("%s: %q, %v", coding, rest, err)
		}
	}
}

// Without an encoder the answer goes out as it is.
func TestNoEncoder(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(rows(1000))
	})
	r := start(t, &site{members: []netip.AddrPort{b}, plan: compresses(t)})
	r.o.Encoders.SetLimit(1)
	c, br := r.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(got, rows(1000)) || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v, %v", res.Header, err)
	}
	if c := r.o.Encoders.Counts(); c.Refused != 1 {
		t.Errorf("%+v", c)
	}
}

// A member that breaks off within a compressed answer does not look as if it had ended.
func TestCompressedBreak(t *testing.T) {
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n%s", rows(3000))
	})
	r := start(t, &site{members: []netip.AddrPort{member}, plan: compresses(t)})
	c, br := r.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}

func TestCurlCompressed(t *testing.T) {
	labtest.Needs(t, "curl")
	data := rows(300_000)
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		w.Write(data)
	})
	r := start(t, &site{members: []netip.AddrPort{b}, plan: compresses(t)})
	f := func(coding string, args ...string) {
		t.Helper()
		out, err := exec.Command("curl", append([]string{"-sS", "--max-time", "10", "--compressed", "-D", "/dev/stderr", "http://" + r.addr + "/"}, args...)...).Output()
		if err != nil || !bytes.Equal(out, data) {
			t.Errorf("%s: %d bytes, %v", coding, len(out), err)
		}
	}
	f("its own list")
	for _, coding := range []string{"gzip", "br", "zstd"} {
		f(coding, "-H", "Accept-Encoding: "+coding)
	}
	f("gzip by HTTP/1.0", "--http1.0", "-H", "Accept-Encoding: gzip")
	if c := r.o.Encoders.Counts(); c.Begun[encoding.Gzip] != 2 || c.Begun[encoding.Brotli] < 1 || c.Begun[encoding.Zstd] < 1 {
		t.Errorf("%+v", c)
	}
}
