package lbd

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/net/http2"

	core "github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/metric"
)

// HTTP/2 is spoken beside HTTP/1.1: over TLS by ALPN unless it is off, without TLS by its preface if it is on. A reload may change that.
func TestHTTP2(t *testing.T) {
	certs := labtest.NewCerts(t, "a.test", "127.0.0.1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.URL) }))
	t.Cleanup(s.Close)
	member := strings.TrimPrefix(s.URL, "http://")
	pem := bothIn(t, filepath.Join(t.TempDir(), "a.pem"), certs)
	yaml := func(listen string) string {
		return "listen: [{addr: '127.0.0.1:0'" + listen + "}]\ntls: {web: {certificates: " + pem + "}}\n" +
			"routes: [{pool: web}]\npools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '" + member + "'}]}}\n"
	}
	plain := start(t, yaml(", http2: true"))
	secure := start(t, yaml(", tls: web"))
	f := func(b *balancer, scheme, want string) {
		t.Helper()
		config := certs.Client()
		config.ServerName, config.Certificates = "a.test", nil
		tr := &http2.Transport{TLSClientConfig: config, AllowHTTP: true}
		if scheme == "http" {
			tr.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
		}
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequest("GET", scheme+"://"+b.addr+"/x?y", nil)
		req.Host = "a.test"
		res, err := tr.RoundTrip(req)
		if err != nil {
			if want != "" {
				t.Error(err)
			}
			return
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != want {
			t.Errorf("%q, %v, want %q", body, err, want)
		}
	}
	f(plain, "http", "a.test/x?y")
	f(secure, "https", "a.test/x?y")
	if got := raw(t, plain.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "a/") {
		t.Errorf("HTTP/1.1 beside it: %q", got)
	}
	if got := asker(t, secure, certs.Client())("a.test", "/"); got != "200 a.test/" {
		t.Errorf("HTTP/1.1 beside it: %q", got)
	}
	plain.reload(yaml(""))
	f(plain, "http", "")
	secure.reload(yaml(", tls: web, http2: false"))
	f(secure, "https", "")
	if got := asker(t, secure, certs.Client())("a.test", "/"); got != "200 a.test/" {
		t.Errorf("HTTP/1.1 alone: %q", got)
	}
	secure.reload(yaml(", tls: web, http2: {streams: 7}"))
	f(secure, "https", "a.test/x?y")
}

// What an address allows is what its clients may do, and what they do is counted.
func TestHTTP2Limits(t *testing.T) {
	member := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(member.Close)
	b := start(t, "listen: [{addr: '127.0.0.1:0', http2: {streams: 3, allow: {resets: 2}}}]\nroutes: [{pool: web}]\n"+
		"pools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '"+strings.TrimPrefix(member.URL, "http://")+"'}]}}\n")
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	h := http2.NewFramer(c, c)
	h.WriteSettings()
	next := uint32(1)
	open := func() uint32 {
		block := []byte{0x82, 0x86, 0x84, 0x41, 1, 'a'} // GET http / of a
		if err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: block, EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		next += 2
		return next - 2
	}
	// until reads frames up to the one that is wanted.
	until := func(want string) {
		t.Helper()
		for got := ""; got != want; {
			f, err := h.ReadFrame()
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				n, _ := f.Value(http2.SettingMaxConcurrentStreams)
				got = fmt.Sprintf("%d streams", n)
			case *http2.RSTStreamFrame:
				got = fmt.Sprintf("reset %d %s", f.StreamID, f.ErrCode)
			case *http2.GoAwayFrame:
				got = fmt.Sprintf("goaway %s %s", f.ErrCode, f.DebugData())
			}
		}
	}
	has := func(want ...string) {
		t.Helper()
		labtest.Eventually(t, patience, "all is counted", func() error {
			got := metrics(t, b)
			for _, w := range want {
				if !strings.Contains(got, "\neverup_lbd_"+w+"\n") {
					return fmt.Errorf("the metrics lack %s", w)
				}
			}
			return nil
		})
	}
	until("3 streams")
	for range 3 {
		open()
	}
	open()
	until("reset 7 REFUSED_STREAM")
	has(`http2_streams{side="client"} 3`, `http2_connections{side="client"} 1`, `http2_streams{side="member"} 0`,
		`http2_resets_total{side="client",direction="sent",reason="too-many-streams"} 1`)
	for id := range uint32(3) {
		h.WriteRSTStream(2*id+1, http2.ErrCodeCancel)
	}
	has(`http2_streams{side="client"} 0`, `http2_streams_total{side="client"} 3`, `http2_resets_total{side="client",direction="received",reason="cancel"} 3`)
	for range 100 { // of which two in a second, and twenty at once, are let pass
		h.WriteRSTStream(open(), http2.ErrCodeCancel)
	}
	until("goaway ENHANCE_YOUR_CALM rapid-reset")
	c.Close()
	has(`http2_streams{side="client"} 0`, `http2_connections{side="client"} 0`, `http2_connections_total{side="client"} 1`,
		`http2_failures_total{reason="rapid-reset"} 1`, `http2_goaways_total{side="client",direction="sent",reason="rapid-reset"} 1`)
}

// The window of an upload grows when all of it was used within a round trip, if there is room.
func TestHTTP2Windows(t *testing.T) {
	member := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	t.Cleanup(member.Close)
	f := func(buffers, listen string, want ...string) {
		t.Helper()
		b := start(t, "listen: [{addr: '127.0.0.1:0', http2: {"+listen+"}}]\nbuffers: {"+buffers+"}\nroutes: [{pool: web}]\n"+
			"pools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '"+strings.TrimPrefix(member.URL, "http://")+"'}]}}\n")
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, http2.ClientPreface)
		h := http2.NewFramer(c, c)
		h.WriteSettings()
		h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83, 0x86, 0x84, 0x41, 1, 'a'}, EndHeaders: true}) // POST
		for range 4 {
			h.WriteData(1, false, make([]byte, 16384))
		}
		ping, room := [8]byte{}, uint32(0)
		for room < 65536 {
			frame, err := h.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch frame := frame.(type) {
			case *http2.PingFrame:
				ping = frame.Data
			case *http2.WindowUpdateFrame:
				if frame.StreamID == 1 {
					room += frame.Increment
				}
			}
		}
		h.WritePing(true, ping)
		h.WritePing(false, [8]byte{1})
		for pong := false; !pong; {
			frame, err := h.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := frame.(*http2.PingFrame); ok {
				pong = p.IsAck()
			}
			if w, ok := frame.(*http2.WindowUpdateFrame); ok && w.StreamID == 1 {
				room += w.Increment
			}
		}
		got := fmt.Sprintf("room %d\n%s", room, metrics(t, b))
		for _, w := range want {
			if !strings.Contains(got, w+"\n") {
				t.Errorf("{%s} {%s}: room for %d, and the metrics lack %s", buffers, listen, room, w)
			}
		}
	}
	f("", "", "room 131072", "everup_lbd_http2_window_bytes 65536", "everup_lbd_http2_window_full_total 0")
	f("windows: 64KiB", "", "room 131072")
	f("windows: 63KiB", "", "room 65536", "everup_lbd_http2_window_bytes 0", "everup_lbd_http2_window_full_total 1")
	f("", "max_window: 64KiB", "room 65536", "everup_lbd_http2_window_bytes 0", "everup_lbd_http2_window_full_total 0")
}

// Who floods is told by the log, not for each of a thousand connections.
func TestFloodsAreLogged(t *testing.T) {
	var log bytes.Buffer
	b, err := newBeginnings(metric.NewRegistry("x"), zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	b.broke(netip.MustParseAddrPort("192.0.2.7:1234"), core.BadFrame)
	if log.Len() > 0 {
		t.Errorf("a mistake is no flood: %s", &log)
	}
	for range 1000 {
		b.broke(netip.MustParseAddrPort("192.0.2.7:1234"), core.RapidReset)
	}
	if lines := strings.Count(log.String(), "\n"); lines < 10 || lines > 20 || !strings.Contains(log.String(), `"client":"192.0.2.7:1234","reason":"rapid-reset"`) {
		t.Errorf("%d lines: %s", lines, &log)
	}
}

// A pool with http2 is spoken to by it, whatever the client speaks.
func TestHTTP2Behind(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.Host, r.URL) }))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP1(true)
	s.Start()
	t.Cleanup(s.Close)
	yaml := func(more string) string {
		return "routes: [{pool: web}]\npools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '" +
			strings.TrimPrefix(s.URL, "http://") + "'}], " + more + "}}\n"
	}
	b := start(t, yaml("http2: true"))
	const ask = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	if got := raw(t, b.addr, ask); !strings.HasSuffix(got, "HTTP/2.0a/x") {
		t.Errorf("%q", got)
	}
	b.reload(yaml("http2: false"))
	if got := raw(t, b.addr, ask); !strings.HasSuffix(got, "HTTP/1.1a/x") {
		t.Errorf("%q", got)
	}
}
