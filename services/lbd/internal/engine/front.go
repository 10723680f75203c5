package engine

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/loop"
)

// source is where content comes from.
type source interface {
	// read reads into p, which is not empty. errAgain: there is nothing just now, and the exchange is driven again once there is. io.EOF: the
	// content, or all that the peer sends, has ended. Another error: it broke off.
	read(p []byte) (int, error)
	// trailers are those of content that ended with io.EOF; nil if the content's own framing has them.
	trailers() *http1.Chunks
}

// sink is where a message goes to.
type sink interface {
	// framed reports whether the sink frames by itself, as HTTP/2 does: content is then written as it is, and ahead is a header block,
	// which is taken whole or not at all.
	framed() bool
	// write takes the pieces in this order and returns how many bytes were taken. errAgain: none just now, and the exchange is driven
	// again once some are.
	write(ahead, data, after []byte) (int, error)
	// finish is told that the message has ended, with the trailers t, nil for none; again and again until it is not errAgain: until what
	// write took has left the process. What frames a message for a sink that is not framed was written before.
	finish(t *http1.Chunks) error
}

// origin is what is known of a connection that requests come by.
type origin struct {
	peer  netip.AddrPort
	local netip.AddrPort       // where the client connected to, from a PROXY header; not valid: the connection says
	tls   *tls.ConnectionState // nil: plain
	known any                  // of tls, by Options.Identify

	handshake time.Duration // what the handshake took; 0 once a request has told of it
	source    dos.Key       // whose connection it is: see Admission
}

// front is a request's client side: a connection of HTTP/1.1, or a stream of one of HTTP/2.
type front interface {
	source
	sink
	from() *origin
	// timer bears the exchange's deadlines for the client; Expired of its handler calls clientLate.
	timer() loop.Ref
	// readHead reads the head of the next request into x.in and x.req, and decides on it. False if there is nothing to do just now, or x
	// has gone. Streams come with theirs.
	readHead(x *exchange) bool
	// over takes x back, whose answer is sent and told of. rest says that there is more of the request than was read.
	over(x *exchange, rest bool)
	// cut takes x back and lets the client see that its answer is not whole.
	cut(x *exchange)
	// fail is cut after a panic: the exchange is not used again.
	fail()
	// relays reports whether bytes of another protocol can follow an upgrade.
	relays() bool
	// endSending passes on that no more is sent, within a relay.
	endSending() error
}
