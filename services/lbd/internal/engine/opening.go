package engine

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
)

// Opening is how the connections of a listener begin: PROXY header, TLS, then requests. The zero Opening has neither of the first two.
type Opening struct {
	TLS     *tls.Config // nil: plain
	Proxy   ProxyMode
	Trusted []netip.Prefix // who may send the PROXY header
	// HTTP2 is made by HTTP2Options, and not changed once it is used. Without TLS, who begins with the preface of HTTP/2 is served it, unless
	// this is nil; with TLS it is what ALPN has chosen that counts, and nil means the usual options.
	HTTP2 *http2.Options
}

// ProxyMode is what of the PROXY protocol is taken, of either version.
type ProxyMode uint8

// The modes. A header from who is not trusted is never read.
const (
	ProxyOff     ProxyMode = iota
	ProxyAccept            // one who is trusted may send the header
	ProxyRequire           // the header must come; connections from who is not trusted are closed
)

// trusts reports whether an address may send a PROXY header.
func (o *Opening) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(o.Trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Begun is how a connection has begun, or why it has not. It is good during the call only.
type Begun struct {
	Peer    netip.AddrPort // the client, or the member
	Member  bool
	Fault   string // why there is no connection: a tlsconn.Fault or one of the words below; empty: there is one
	Err     error  // with Fault, where there is more to say
	TLS     *tls.ConnectionState
	Took    time.Duration // the handshake
	Session bool          // there was a handshake
}

// Why a connection ended before a request could come, besides what tlsconn says.
const (
	FaultLate      = "timeout"       // not everything came in time
	FaultLimited   = "limited"       // too many handshakes from there (SetHandshakeRate)
	FaultStranger  = "proxy-foreign" // a PROXY header is required, and the peer is not trusted to send one
	FaultNoHeader  = "proxy-missing" // one who is trusted has not sent the header that is required
	FaultBadHeader = "proxy-bad"
	FaultBusy      = "source-busy" // the source has its fill of connections: see Admission
)

// pace bounds the steps of handshakes in one turn of a loop: each may take a millisecond of computing, and others wait.
type pace struct {
	at    time.Duration
	steps int
}

// turnSteps is how many steps there may be.
const turnSteps = 8

// step reports whether there may be one more at now.
func (p *pace) step(now time.Duration) bool {
	if p.at != now {
		*p = pace{at: now}
	}
	p.steps++
	return p.steps <= turnSteps
}

func (e *Engine) tell(b *Begun) {
	if e.o.Begun != nil {
		e.o.Begun(b)
	}
}

// faultOf is the word for what has ended a handshake.
func faultOf(err error) string { return string(tlsconn.FaultOf(err)) }
