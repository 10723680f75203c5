package accesslog

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/everup/everup/services/lbd/internal/grpc"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// Entry is what is known of a request once it is over. It refers to bytes of the request and is good for a call only.
type Entry struct {
	Time   time.Time  // when its head had come in
	Client netip.Addr // whom the connection comes from, or for whom a trusted proxy in front speaks
	Peer   netip.Addr // whom the connection comes from
	Head   *http1.Head
	Bytes  []byte               // what Head's texts are places in
	Proto  string               // "HTTP/1.1"
	Secure bool                 // the client speaks TLS, or a trusted proxy says so
	TLS    *tls.ConnectionState // of the connection; nil: plain
	Host   []byte               // as the client sent it
	ID     []byte               // the request's id; empty: it has none
	Trace  []byte               // trace id of its traceparent, likewise

	Status   int         // 499: the client went away before an answer
	GRPC     grpc.Status // of the answer to a call
	Sent     int64       // bytes of the answer's content
	Received int64       // bytes of the request's content
	Route    string      // name of the route that decided; empty: none did
	Pool     string      // empty: it was not forwarded
	Member   string      // the last one tried
	Retries  int         // tries beyond the first
	Reason   string      // why lbd answered itself or cut the answer; empty when it did not
	Broken   bool        // an answer ended before its end by the member's or lbd's fault
	Timing
}

// Timing is how long the phases of a request took. One that did not happen took 0.
type Timing struct {
	Handshake time.Duration // from the connection's beginning until TLS was agreed on; of its first request only
	Read      time.Duration // from the first byte of the head to the last
	Delay     time.Duration // being held back, as a limit or a tarpit says
	Gather    time.Duration // reading of the content what is wanted before a member is asked
	Queue     time.Duration // waiting for a place at a member
	Connect   time.Duration // connecting to the last member tried; 0 where a connection was there
	First     time.Duration // from the request's head until the answer's
	Send      time.Duration // from the answer's head until its last byte was handed to the kernel
	Duration  time.Duration // from the request's head until the end of all
}

// maxField bounds what one text takes of a line, in bytes before escaping.
const maxField = 2048
