package engine

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio/proxyproto"
)

// How a connection to a member begins.

var (
	errSecure  = errors.New("no TLS with the member")
	errPreface = errors.New("the member takes no PROXY header")
)

// unopened is what a connection that could not be opened has come to. That we do too much at once is not the member's fault.
func unopened(err error) failure {
	f := failure{503, ConnectError, true, pool.Connect}
	if errors.Is(err, tlsconn.ErrBusy) {
		f.blame = pool.None // it is we who have too much to do
	}
	if errors.Is(err, errSecure) {
		f.reason = SecureError
	}
	return f
}

// whyLate is the reason of a connection that was not opened in time.
func whyLate(b back) Reason {
	m, ok := b.(*member)
	if !ok || m.connecting || !m.securing {
		return ConnectError
	}
	m.w.e.tell(&Begun{Peer: m.key.addr, Member: true, Session: true, Fault: FaultLate})
	return SecureError
}

// hostOf returns the host of a member's name, host:port.
func hostOf(member string) string {
	for i := len(member) - 1; i >= 0; i-- {
		if member[i] != ':' {
			continue
		}
		host := member[:i]
		if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
			return host[1 : len(host)-1]
		}
		return host
	}
	return member
}

// prepare makes ready what a new connection begins with.
func (m *member) prepare() error {
	via := m.key.via
	if via == nil {
		return nil
	}
	if via.Proxy != 0 {
		h := m.x.c.from().proxyHeader(via.Proxy, m.x.c)
		var err error
		if m.preface, err = h.Append(nil); err != nil {
			return fault.Wrap(fault.Internal, err, "engine: PROXY header for %s", m.key.addr)
		}
	}
	if via.TLS != nil {
		config := via.TLS(m.key.host)
		if via.HTTP2 {
			config = config.Clone()
			config.NextProtos = []string{"h2"}
		}
		m.tls = tlsconn.Client((*wire)(&m.sock), config, m.w.shaking())
		m.securing = true
	}
	return nil
}

// proxyHeader tells of a client's connection.
func (o *origin) proxyHeader(version int, c front) proxyproto.Header {
	local := o.local
	if s, ok := c.(interface{ socket() int }); ok && !local.IsValid() {
		if sa, err := unix.Getsockname(s.socket()); err == nil {
			local = peerOf(sa)
		}
	}
	if !local.IsValid() || !o.peer.IsValid() {
		return proxyproto.Header{Version: version, Local: true}
	}
	return proxyproto.Header{Version: version, Transport: proxyproto.TCP, Source: unmapped(o.peer), Destination: unmapped(local)}
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// secure goes on with the handshake: errAgain, or errSecure with the cause.
func (m *member) secure() error {
	l := m.w.loop
	if m.began == 0 {
		m.began = l.Now()
	}
	if !m.w.pace.step(l.Now()) {
		l.Again(m.ref)
		return errAgain
	}
	err := m.tls.Handshake()
	if err == errAgain {
		return err
	}
	b := Begun{Peer: m.key.addr, Member: true, Session: true}
	if err != nil {
		b.Fault, b.Err = faultOf(err), err
		m.w.e.tell(&b)
		return errors.Join(errSecure, err)
	}
	m.securing = false
	b.TLS, b.Took = m.tls.State(), time.Since(m.w.began)-m.began
	m.w.e.tell(&b)
	return nil
}
