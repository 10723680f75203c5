package engine

import (
	"crypto/tls"
	"errors"
	"net/netip"

	"github.com/everup/everup/services/lbd/internal/loop"
)

// back is a request's member side: a connection of HTTP/1.1, or a stream of one of HTTP/2.
type back interface {
	source
	sink
	// timer bears the exchange's deadlines for the member; Expired of its handler calls memberLate.
	timer() loop.Ref
	// opened reports whether a request can be sent: errAgain not yet, another error never; errSecure: because of TLS.
	opened() error
	// reused reports whether the connection has served a request before this one.
	reused() bool
	// readHead reads the head of the next answer, interim ones too, into x.res, whose texts are places in x.out's bytes from the first.
	// errAgain: not yet. errMalformed: it is none. Another error: the connection broke.
	readHead(x *exchange) error
	// keep gives the member side back after a whole request and a whole answer.
	keep()
	// close gives it back after anything else.
	close()
	// endSending passes on that no more is sent, within a relay.
	endSending() error
}

// Transport is how members are spoken to. Idle connections serve the requests of one Transport only. It is not changed once it is in use.
type Transport struct {
	TLS   func(host string) *tls.Config // for a member by the host of its name; nil: plain
	HTTP2 bool                          // with prior knowledge, or by ALPN over TLS
	Proxy int                           // version of the PROXY header that each connection begins with, 0 for none; such a connection serves one request
	Fresh bool                          // a connection for each request
	Share bool                          // a request goes on a connection that has served others although it could not be sent once more
}

// once reports whether a connection serves one request only.
func (t *Transport) once() bool { return t != nil && (t.Fresh || t.Proxy != 0) }

// idleKey is what idle connections are found by.
type idleKey struct {
	addr netip.AddrPort
	via  *Transport
	host string // that the member's certificate is for; empty: plain
}

var errUnresolved = errors.New("the member's name has no address")
