package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/labtest"
)

// h2All runs a test with HTTP/2 in front, without TLS and by ALPN.
func h2All(t *testing.T, f func(t *testing.T, o *over)) {
	certs := labtest.NewCerts(t)
	t.Run("h2c", func(t *testing.T) { f(t, new(over)) })
	t.Run("h2", func(t *testing.T) { f(t, &over{front: certs, version: tls.VersionTLS13}) })
}

// startH2 is start with HTTP/2 in front.
func (o *over) startH2(t testing.TB, s *site) *rig { return o.startH2With(t, s, 5*time.Second) }

func (o *over) startH2With(t testing.TB, s *site, header time.Duration) *rig {
	t.Helper()
	opening := &Opening{HTTP2: HTTP2Options(http1.DefaultLimits())}
	if o.front != nil {
		opening.TLS = o.front.Server()
		opening.TLS.NextProtos = []string{"h2", "http/1.1"}
	}
	r := startPatient(t, s, opening, header)
	if o.front != nil {
		r.client = o.front.Client()
		r.client.ServerName = "localhost"
		r.client.NextProtos = []string{"h2"}
	}
	return r
}

// h2 returns a client that speaks HTTP/2, and the URL of the engine.
func (r *rig) h2(t testing.TB) (*http.Client, string) {
	tr := &http2.Transport{AllowHTTP: true, TLSClientConfig: r.client}
	url := "https://" + r.addr
	if r.client == nil {
		url = "http://" + r.addr
		tr.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}, url
}

// rawH2 is a connection whose frames the test writes and reads itself.
type rawH2 struct {
	*http2.Framer
	t    testing.TB
	c    net.Conn
	enc  *hpack.Encoder
	buf  bytes.Buffer
	next uint32
	room map[uint32]int // what may be sent on each stream, and on the connection under 0
}

// rawH2 connects and exchanges SETTINGS.
func (r *rig) rawH2(t testing.TB, settings ...http2.Setting) *rawH2 {
	t.Helper()
	c, _ := r.dial(t)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	h := &rawH2{Framer: http2.NewFramer(c, c), t: t, c: c, next: 1, room: map[uint32]int{0: 65535}}
	h.AllowIllegalWrites = true
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.enc = hpack.NewEncoder(&h.buf)
	h.WriteSettings(settings...)
	return h
}

// request sends a head and returns its stream.
func (h *rawH2) request(end bool, fields ...string) uint32 {
	h.t.Helper()
	h.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		h.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	id := h.next
	h.next += 2
	if !end {
		h.room[id] = 65535 // lbd gives no less
	}
	block := h.buf.Next(16384)
	err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: h.buf.Len() == 0})
	for h.buf.Len() > 0 && err == nil {
		block = h.buf.Next(16384)
		err = h.WriteContinuation(id, h.buf.Len() == 0, block)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// get sends a request without content.
func (h *rawH2) get(path string) uint32 {
	return h.request(true, ":method", "GET", ":scheme", "http", ":path", path, ":authority", "a")
}

// post begins a request with content.
func (h *rawH2) post(path string, fields ...string) uint32 {
	return h.request(false, append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "a"}, fields...)...)
}

// upload sends content as fast as the windows allow, and returns what came in its way: empty if it was all sent.
func (h *rawH2) upload(id uint32, data []byte, end bool) (other string) {
	h.t.Helper()
	for {
		n := min(len(data), 16384, h.room[0], h.room[id])
		if n == 0 && len(data) > 0 {
			if other = h.step(); other != "" {
				return other
			}
			continue
		}
		if err := h.WriteData(id, end && n == len(data), data[:n]); err != nil {
			h.t.Fatal(err)
		}
		h.room[0] -= n
		h.room[id] -= n
		if data = data[n:]; len(data) == 0 {
			return ""
		}
	}
}

// seen returns once all that was sent has been looked at.
func (h *rawH2) seen() {
	h.t.Helper()
	h.WritePing(false, [8]byte{})
	h.expect("pong")
}

// content reads a stream's content to its end, which may be trailers, and gives the windows back where renew says so. What else comes
// before it is a mistake.
func (h *rawH2) content(id uint32, renew bool) (data []byte, trailers string) {
	h.t.Helper()
	for {
		f, err := h.ReadFrame()
		if err != nil {
			h.t.Fatalf("stream %d: %v after %d bytes", id, err, len(data))
		}
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			h.room[f.StreamID] += int(f.Increment)
		case *http2.SettingsFrame:
			if !f.IsAck() {
				h.WriteSettingsAck()
			}
		case *http2.DataFrame:
			if f.StreamID != id {
				h.t.Fatalf("content of stream %d in place of %d", f.StreamID, id)
			}
			data = append(data, f.Data()...)
			if f.StreamEnded() {
				return data, ""
			}
			if n := uint32(len(f.Data())); renew && n > 0 {
				h.WriteWindowUpdate(0, n)
				h.WriteWindowUpdate(id, n)
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != id || !f.StreamEnded() {
				h.t.Fatalf("%v after %d bytes", f.Header(), len(data))
			}
			for _, x := range f.Fields {
				trailers += " " + x.Name + "=" + x.Value
			}
			return data, trailers
		default:
			h.t.Fatalf("%v after %d bytes", f, len(data))
		}
	}
}

// frame returns the next frame in words, but for SETTINGS, WINDOW_UPDATE and those that are answered here; "closed" at the end.
func (h *rawH2) frame() string {
	h.t.Helper()
	for {
		if f := h.step(); f != "" {
			return f
		}
	}
}

// step reads a frame; empty if it is none of those that frame returns.
func (h *rawH2) step() string {
	h.t.Helper()
	f, err := h.ReadFrame()
	if err != nil {
		return "closed"
	}
	end := ""
	if f.Header().Flags.Has(http2.FlagDataEndStream) {
		end = " end"
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			h.WriteSettingsAck()
		}
	case *http2.WindowUpdateFrame:
		h.room[f.StreamID] += int(f.Increment)
	case *http2.PingFrame:
		if f.IsAck() {
			return "pong"
		}
		h.WritePing(true, f.Data)
	case *http2.MetaHeadersFrame:
		var w strings.Builder
		fmt.Fprintf(&w, "head %d%s", f.StreamID, end)
		for _, x := range f.Fields {
			if x.Name != "date" {
				fmt.Fprintf(&w, " %s=%s", x.Name, x.Value)
			}
		}
		return w.String()
	case *http2.DataFrame:
		return fmt.Sprintf("data %d%s %.20q", f.StreamID, end, f.Data())
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("reset %d %s", f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("goaway %d %s %s", f.LastStreamID, f.ErrCode, f.DebugData())
	default:
		return fmt.Sprint(f.Header())
	}
	return ""
}

// await reads frames up to one that begins so; before it only content may come.
func (h *rawH2) await(want string) {
	h.t.Helper()
	for {
		switch got := h.frame(); {
		case strings.HasPrefix(got, want):
			return
		case !strings.HasPrefix(got, "data "):
			h.t.Fatalf("%s, want %s", got, want)
		}
	}
}

// expect reads frames and compares them.
func (h *rawH2) expect(want ...string) {
	h.t.Helper()
	for _, w := range want {
		if got := h.frame(); got != w && !(strings.HasSuffix(w, "…") && strings.HasPrefix(got, strings.TrimSuffix(w, "…"))) {
			h.t.Fatalf("%s, want %s", got, w)
		}
	}
}
