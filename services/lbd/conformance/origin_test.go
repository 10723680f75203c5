package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// origin is the member that clients are served by.
type origin struct {
	addr string
	mux  *http.ServeMux
}

// startOrigin runs an origin with the pages that several tests ask for. It speaks HTTP/1.1, and HTTP/2 with who begins so.
func startOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{mux: http.NewServeMux()}
	s := httptest.NewUnstartedServer(o.mux)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	o.addr = s.Listener.Addr().String()
	o.mux.HandleFunc("/echo", serveEcho)
	o.mux.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	o.mux.HandleFunc("/stream", serveStream)
	o.mux.HandleFunc("/trailers", serveTrailers)
	o.mux.HandleFunc("/gzip", serveGzip)
	o.mux.HandleFunc("/text", serveText)
	o.mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	o.mux.HandleFunc("/socket", serveSocket)
	o.mux.HandleFunc("/video", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "video/mp4")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(video()))
	})
	return o
}

// serveEcho answers with what came.
func serveEcho(w http.ResponseWriter, r *http.Request) {
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		return // the client is gone
	}
	framing := fmt.Sprint("length ", r.ContentLength)
	if r.ContentLength < 0 {
		framing = strings.Join(r.TransferEncoding, ",")
	}
	body := fmt.Sprintf("%s %s: %s, %d bytes, sum %08x; %s %s for %s", r.Method, r.Proto, framing, n, sum.Sum32(),
		r.Header.Get("X-Forwarded-Proto"), r.Host, r.Header.Get("X-Forwarded-For"))
	for _, name := range []string{"Upgrade", "Http2-Settings", "Connection", "Expect"} {
		if v := r.Header.Get(name); v != "" {
			body += fmt.Sprintf("; %s: %s", name, v)
		}
	}
	for name, v := range r.Trailer {
		body += fmt.Sprintf("; trailer %s: %s", name, v)
	}
	io.WriteString(w, body)
}

// serveStream answers in pieces, whose sum it does not tell beforehand.
func serveStream(w http.ResponseWriter, r *http.Request) {
	for i := range 3 {
		fmt.Fprintf(w, "piece %d\n", i)
		w.(http.Flusher).Flush()
	}
}

func serveTrailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum, X-Count")
	io.WriteString(w, "content\n")
	w.Header().Set("X-Sum", "abc")
	w.Header().Set("X-Count", "1")
}

func serveGzip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Type", "text/plain")
	z := gzip.NewWriter(w)
	z.Write(prose())
	z.Close()
}

func serveText(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("ETag", `"1"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(prose())))
	w.Write(prose())
}

// serveSocket echoes the frames of a WebSocket, and answers pings and the close.
func serveSocket(w http.ResponseWriter, r *http.Request) {
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	acceptSocket(c, r)
	for {
		f, err := readFrame(rw.Reader)
		if err != nil {
			return
		}
		if f.first == fin|ping {
			f.first = fin | pong
		}
		if _, err := c.Write(f.append(nil, false)); err != nil || f.first == fin|closing {
			return
		}
	}
}

// acceptSocket answers the request for a WebSocket.
func acceptSocket(c net.Conn, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// prose is content that compresses well.
func prose() []byte {
	var b bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&b, "line %d of a text that says little\n", i)
	}
	return b.Bytes()
}

// video is 1 MiB of content that does not compress and of which each part is unlike the others.
func video() []byte {
	b := make([]byte, 1<<20)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// rawMember is a member that takes one connection for a WebSocket at a time, and leaves it to the test.
func rawMember(t *testing.T) (addr string, conns <-chan *socket) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out, ended := make(chan *socket, 16), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			in := bufio.NewReader(c)
			r, err := http.ReadRequest(in)
			if err != nil {
				c.Close() // a check
				continue
			}
			acceptSocket(c, r)
			out <- &socket{c, in}
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String(), out
}
