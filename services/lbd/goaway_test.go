package lbd

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/everup/everup/shared/labtest"
)

// farewell is a client of HTTP/2 that sees each frame.
type farewell struct {
	t     *testing.T
	fr    *http2.Framer
	block *bytes.Buffer
	head  *hpack.Encoder

	bodies map[uint32]string
	ended  map[uint32]bool
}

func newFarewell(t *testing.T, c net.Conn) *farewell {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	f := &farewell{t: t, fr: http2.NewFramer(c, c), block: new(bytes.Buffer), bodies: map[uint32]string{}, ended: map[uint32]bool{}}
	f.head = hpack.NewEncoder(f.block)
	io.WriteString(c, http2.ClientPreface)
	if err := f.fr.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask opens a stream.
func (f *farewell) ask(stream uint32, path string) {
	f.t.Helper()
	f.block.Reset()
	for _, h := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "a.test"}, {Name: ":path", Value: path}} {
		f.head.WriteField(h)
	}
	err := f.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block.Bytes(), EndStream: true, EndHeaders: true})
	if err != nil {
		f.t.Fatal(err)
	}
}

// until reads frames up to one that is what is waited for, and takes what comes before: content, and settings, which it acknowledges.
func (f *farewell) until(what string, found func(http2.Frame) bool) {
	f.t.Helper()
	for {
		fr, err := f.fr.ReadFrame()
		if err != nil {
			f.t.Fatalf("%s: %v", what, err)
		}
		switch fr := fr.(type) {
		case *http2.SettingsFrame:
			if !fr.IsAck() {
				f.fr.WriteSettingsAck()
			}
		case *http2.DataFrame:
			f.bodies[fr.StreamID] += string(fr.Data())
			f.ended[fr.StreamID] = f.ended[fr.StreamID] || fr.StreamEnded()
		case *http2.RSTStreamFrame:
			f.t.Errorf("stream %d was reset: %v", fr.StreamID, fr.ErrCode)
		}
		if found(fr) {
			return
		}
	}
}

// answered waits for the end of a stream.
func (f *farewell) answered(stream uint32, body string) {
	f.t.Helper()
	if !f.ended[stream] {
		f.until("the answer", func(http2.Frame) bool { return f.ended[stream] })
	}
	if f.bodies[stream] != body {
		f.t.Errorf("stream %d: %q, want %q", stream, f.bodies[stream], body)
	}
}

// goAway waits for GOAWAY that names a last stream.
func (f *farewell) goAway(last uint32) {
	f.t.Helper()
	f.until("GOAWAY", func(fr http2.Frame) bool {
		g, ok := fr.(*http2.GoAwayFrame)
		if ok && (g.LastStreamID != last || g.ErrCode != http2.ErrCodeNo) {
			f.t.Errorf("GOAWAY %d, %v, want %d, NO_ERROR", g.LastStreamID, g.ErrCode, last)
		}
		return ok
	})
}

// exact is a connection whose end is an error, so that crypto/tls tells an end without close_notify from one with it.
type exact struct{ net.Conn }

func (c exact) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = errors.New("cut")
	}
	return n, err
}

// TestUpgradeGoesAwayInTwoSteps: a client of HTTP/2 learns first that it should open no more streams, and, when it has read that, which was
// the last one that is served (RFC 9113 section 6.8). All up to that are answered, and then the connection ends in order.
func TestUpgradeGoesAwayInTwoSteps(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			io.WriteString(w, "begun, ")
			w.(http.Flusher).Flush()
			close(entered)
			<-finish
		}
		io.WriteString(w, "page")
	}))
	t.Cleanup(s.Close)
	certs := labtest.NewCerts(t)
	p := startProgram(t, "n1", s.Listener.Addr().String(), ", tls: web, http2: true", webTLS(certs))
	config := certs.Client()
	config.ServerName, config.NextProtos = "localhost", []string{"h2"}
	dial := func() *tls.Conn {
		t.Helper()
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Client(exact{c}, config)
	}
	conn := dial()
	f := newFarewell(t, conn)
	f.ask(1, "/slow")
	<-entered
	if out, err := p.lbd("upgrade"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.goAway(1<<31 - 1)
	var ping [8]byte
	f.until("PING", func(fr http2.Frame) bool {
		g, ok := fr.(*http2.PingFrame)
		if ok {
			ping = g.Data
		}
		return ok && !g.IsAck()
	})
	f.ask(3, "/late") // sent, as far as the server knows, before GOAWAY was read
	f.answered(3, "page")
	if err := f.fr.WritePing(true, ping); err != nil {
		t.Fatal(err)
	}
	f.goAway(3)
	f.ask(5, "/too-late")
	close(finish)
	f.answered(1, "begun, page")
	if fr, err := f.fr.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, %v", fr, err)
	}
	if n := len(f.bodies[5]); n > 0 {
		t.Errorf("a stream beyond the last was answered by %d bytes", n)
	}
	conn.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
	next := newFarewell(t, dial())
	next.ask(1, "/")
	next.answered(1, "page")
}
