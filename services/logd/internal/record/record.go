// Package record is the unit that flows through logd: one syslog message and how it came.
package record

import (
	"net/netip"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
)

// Transport names the way a message came by.
type Transport uint8

// The transports.
const (
	UDP  Transport = iota // RFC 5426
	TCP                   // RFC 6587
	Unix                  // datagrams of a unix socket
)

// Transports is how many there are.
const Transports = 3

// String returns "udp", "tcp" or "unix".
func (t Transport) String() string { return [Transports]string{"udp", "tcp", "unix"}[t] }

// Record is one received message. It owns the bytes that its Message refers to; nobody changes a Record once it is
// queued.
type Record struct {
	parse.Message
	Received  time.Time  // by this host's clock
	Peer      netip.Addr // who sent it; zero for local senders
	Via       Transport
	Truncated bool // longer than the limit: the rest was dropped
}

// overhead is what a Record costs in memory beyond its bytes, roughly.
const overhead = 320

// Size is the memory that r holds, in bytes: what queues and rings count.
func (r *Record) Size() int { return len(r.Raw) + overhead }

// At is the sender's time, or the time of receipt where the sender gave none.
func (r *Record) At() time.Time {
	if r.Time.IsZero() {
		return r.Received
	}
	return r.Time
}

// HostName is the name that r is filed under: its own, else the peer's address, else node, which is where local senders
// are.
func (r *Record) HostName(node string) string {
	switch {
	case len(r.Host) > 0:
		return string(r.Host)
	case r.Peer.IsValid():
		return r.Peer.String()
	}
	return node
}
