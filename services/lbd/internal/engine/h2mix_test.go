package engine

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// mix says which sides of the engine speak HTTP/2.
type mix struct{ front, back bool }

// mixAll runs a test with HTTP/2 in front, behind, and on both sides.
func mixAll(t *testing.T, f func(t *testing.T, m mix)) {
	t.Run("front", func(t *testing.T) { f(t, mix{front: true}) })
	t.Run("behind", func(t *testing.T) { f(t, mix{back: true}) })
	t.Run("both", func(t *testing.T) { f(t, mix{front: true, back: true}) })
}

// backAll runs a test with HTTP/2 in front and either protocol behind.
func backAll(t *testing.T, f func(t *testing.T, m mix)) {
	t.Run("front", func(t *testing.T) { f(t, mix{front: true}) })
	t.Run("both", func(t *testing.T) { f(t, mix{front: true, back: true}) })
}

func (m mix) backend(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	if m.back {
		return backendH2(t, nil, h)
	}
	return backend(t, h)
}

// start is start with members that speak as the mix says. Clients may speak either protocol.
func (m mix) start(t testing.TB, s *site) *rig {
	t.Helper()
	if m.back {
		s.via = &Transport{HTTP2: true}
	}
	return new(over).startH2(t, s)
}

// client returns one that speaks as the mix says and leaves content in its coding.
func (m mix) client(t testing.TB) *http.Client {
	if !m.front {
		c := client1(t)
		c.Transport.(*http.Transport).DisableCompression = true
		return c
	}
	tr := &http2.Transport{AllowHTTP: true, DisableCompression: true}
	tr.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// next returns what comes next, or fails.
func next[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(soon):
		t.Fatal("nothing comes")
	}
	return v
}

// turned returns once the loop has done what it was about.
func (r *rig) turned(t testing.TB) {
	t.Helper()
	done := make(chan struct{}, 1)
	r.workers[0].loop.Post(func() { done <- struct{}{} })
	next(t, done)
}
