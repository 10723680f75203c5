package engine

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/everup/everup/services/lbd/internal/http1"
	core "github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
	"github.com/everup/everup/shared/labtest"
)

// TestH2Options: a listener's own bounds are what its clients are told and held to; those who come after a change have the new ones.
func TestH2Options(t *testing.T) {
	wait := make(chan struct{})
	s := &site{members: []netip.AddrPort{backend(t, func(http.ResponseWriter, *http.Request) { <-wait })}}
	o := HTTP2Options(http1.DefaultLimits())
	o.MaxStreams, o.StreamWindow, o.ConnWindow, o.Allow.Pings = 2, 1<<17, 1<<18, core.Allow(1)
	r := startWith(t, s, &Opening{HTTP2: o})
	settings := func(h *rawH2) (got map[http2.SettingID]uint32, window uint32) {
		t.Helper()
		got = map[http2.SettingID]uint32{}
		for {
			f, err := h.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				f.ForeachSetting(func(s http2.Setting) error { got[s.ID] = s.Val; return nil })
			case *http2.WindowUpdateFrame:
				return got, f.Increment + 65535
			}
		}
	}
	h := r.rawH2(t)
	got, window := settings(h)
	if got[http2.SettingMaxConcurrentStreams] != 2 || got[http2.SettingInitialWindowSize] != 1<<17 || window != 1<<18 {
		t.Errorf("%v, %d", got, window)
	}
	r.listener.Open(&Opening{HTTP2: HTTP2Options(http1.DefaultLimits())})
	h.get("/")
	h.get("/")
	h.get("/")
	h.expect("reset 5 REFUSED_STREAM")
	for i := range 12 { // whose tenth is the last that is answered
		h.WritePing(false, [8]byte{byte(i)})
	}
	for range 10 {
		h.expect("pong")
	}
	h.expect("goaway 5 ENHANCE_YOUR_CALM ping-flood")
	close(wait)
	if got, window := settings(r.rawH2(t)); got[http2.SettingMaxConcurrentStreams] != 100 || got[http2.SettingInitialWindowSize] != 1<<16 || window != 100<<16 {
		t.Errorf("after a change: %v, %d", got, window)
	}
}

// TestH2MadeToReset: who has its requests ended by faults of its own (CVE-2025-8671) keeps no member busy, and is cut off as one who resets them.
func TestH2MadeToReset(t *testing.T) {
	asked, gone := make(chan struct{}, 1000), make(chan struct{}, 1000)
	s := &site{members: []netip.AddrPort{backend(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})}, done: make(chan struct{}, 1000)}
	o := HTTP2Options(http1.DefaultLimits())
	o.Allow.Resets = core.Allowance{Rate: 1, Burst: 20}
	r := startWith(t, s, &Opening{HTTP2: o})
	h := r.rawH2(t)
	for range 20 {
		id := h.get("/")
		<-asked
		h.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
		h.expect(fmt.Sprintf("reset %d PROTOCOL_ERROR", id))
		<-s.done
	}
	id := h.get("/")
	h.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
	h.expect("reset 41 PROTOCOL_ERROR", "goaway 41 ENHANCE_YOUR_CALM rapid-reset", "closed")
	for range 20 {
		<-gone
	}
	if why := <-r.broken; why != "rapid-reset" {
		t.Error(why)
	}
	n := r.H2Counts(core.Server)
	var causes []string
	n.Resets[core.Sent].Each(func(cause string, n uint64) { causes = append(causes, fmt.Sprint("reset ", cause, n)) })
	n.GoAways[core.Sent].Each(func(cause string, n uint64) { causes = append(causes, fmt.Sprint("goaway ", cause, n)) })
	if want := []string{"reset zero-increment21", "goaway rapid-reset1"}; !slices.Equal(causes, want) || n.Streams != 21 || n.OpenStreams != 0 {
		t.Errorf("%v, %+v", causes, n)
	}
}

// TestH2Counts: connections and streams are told of on both sides while they are there.
func TestH2Counts(t *testing.T) {
	certs := labtest.NewCerts(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	o := &over{front: certs, version: tls.VersionTLS13}
	m := backendH2(t, nil, func(w http.ResponseWriter, r *http.Request) { asked <- struct{}{}; <-answer })
	s := &site{members: []netip.AddrPort{m}, via: &Transport{HTTP2: true}}
	r := o.startH2(t, s)
	c, url := r.h2(t)
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			res, err := c.Get(url)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			ended <- err
		}()
	}
	<-asked
	<-asked
	for _, role := range []core.Role{core.Server, core.Client} {
		n := r.H2Counts(role)
		if n.OpenStreams != 2 || n.Streams != 2 || n.OpenConnections != 1 || n.Connections != 1 {
			t.Errorf("role %d: %+v", role, n)
		}
	}
	close(answer)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	c.CloseIdleConnections()
	labtest.Eventually(t, 10*time.Second, "all has ended", func() error {
		n, b := r.H2Counts(core.Server), r.H2Counts(core.Client)
		if n.OpenStreams != 0 || n.OpenConnections != 0 || n.Streams != 2 || b.OpenStreams != 0 || b.OpenConnections != 1 {
			return fmt.Errorf("%+v, %+v", n, b)
		}
		return nil
	})
}

// TestHandshakesAtOnce: more handshakes than may be under way are refused, and told of.
func TestHandshakesAtOnce(t *testing.T) {
	certs := labtest.NewCerts(t)
	r := startWith(t, peerSite(), &Opening{TLS: certs.Server()})
	r.SetHandshakes(1)
	first, _ := r.dial(t)
	io.WriteString(first, "\x16\x03\x01") // of a handshake that goes on when it likes
	labtest.Eventually(t, 10*time.Second, "the first is under way", func() error {
		n := make(chan int, 1)
		w := r.workers[0]
		w.loop.Post(func() { n <- w.tls.Shaking() })
		if n := <-n; n != 1 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	second, _ := r.dial(t)
	io.WriteString(second, "\x16\x03\x01")
	if b, _ := io.ReadAll(second); len(b) > 0 { // it may be reset, as its bytes were not read
		t.Errorf("%q", b)
	}
	r.told(t, string(tlsconn.Busy))
	r.SetHandshakes(2)
	config := certs.Client()
	config.ServerName = "localhost"
	c, _ := r.dial(t)
	if err := tls.Client(c, config).Handshake(); err != nil {
		t.Error(err)
	}
}
