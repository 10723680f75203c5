package engine

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// over is what is spoken on either side of the engine.
type over struct {
	front, back *labtest.Certs // nil: plain
	version     uint16
}

// overAll runs a test with plain connections on both sides, with TLS of either version in front, and with TLS on both sides.
func overAll(t *testing.T, f func(t *testing.T, o *over)) {
	certs := labtest.NewCerts(t)
	t.Run("plain", func(t *testing.T) { f(t, new(over)) })
	t.Run("tls12", func(t *testing.T) { f(t, &over{front: certs, version: tls.VersionTLS12}) })
	t.Run("tls13", func(t *testing.T) { f(t, &over{front: certs, version: tls.VersionTLS13}) })
	t.Run("both", func(t *testing.T) { f(t, &over{front: certs, back: certs, version: tls.VersionTLS13}) })
}

func (o *over) start(t testing.TB, s *site) *rig {
	t.Helper()
	opening := new(Opening)
	if o.front != nil {
		opening.TLS = o.front.Server()
		opening.TLS.MaxVersion = o.version
	}
	if o.back != nil {
		s.via = &Transport{TLS: named(o.back)}
	}
	r := startWith(t, s, opening)
	if o.front != nil {
		r.client = o.front.Client()
		r.client.ServerName = "localhost"
	}
	return r
}

func (o *over) server() *tls.Config {
	if o.back == nil {
		return nil
	}
	return o.back.Server()
}

func (o *over) backend(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	return backendOver(t, o.server(), h)
}

func (o *over) scripted(t testing.TB, f func(c net.Conn, r *bufio.Reader)) netip.AddrPort {
	t.Helper()
	return scriptedOver(t, o.server(), f)
}

// http returns a client, and the URL of the engine.
func (r *rig) http(t testing.TB) (*http.Client, string) {
	if r.client == nil {
		return client1(t), "http://" + r.addr
	}
	tr := &http.Transport{TLSClientConfig: r.client}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}, "https://" + r.addr
}

// closeWriter ends the sending side of a connection, in TLS too.
type closeWriter interface{ CloseWrite() error }
