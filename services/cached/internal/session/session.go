// Package session is the contract between cached's protocols and what carries their bytes.
//
// A Session is one client's protocol state and does no I/O: bytes in, bytes out, and a word on how to go on. The carriers are the
// event loops (package loop), a goroutine per connection for TLS, and the datagram loop (package udp); they own the socket and the
// buffers, and call a Session from one goroutine at a time. Sessions share the Env of their daemon, which is safe for concurrent use.
//
// # One step
//
// The carrier calls Step with all bytes that have arrived and not been consumed. The session works through as many commands as
// the input holds, appends their answers to Out.Buf, and returns how many bytes it has consumed and what it needs:
//
//   - More: the rest of the input is an incomplete command; call again when more has arrived. The session bounds the input itself:
//     a line that is too long is answered or ends in Close, so that unconsumed input never exceeds MaxHeld.
//   - Body: the next bytes belong to a value and go to Body(), straight from the socket; Filled says how many came. Then Step is called
//     again. What lies in the input already was copied by the session itself.
//   - Flush: Out must be written before the next Step: it is longer than OutHigh, or Out.Big holds a value.
//   - Yield: the turn's budget is used up with input left, or with an answer half made; Out may be written, others have their turn, then
//     Step is called again with the same input.
//   - Close: write Out, then close. Abort: close without writing.
//   - Detach: hand the connection to a goroutine that calls Detached (watchers, dumps), then go on or close.
//
// A carrier that cannot write more keeps Out and calls no Step until it is written: a client that does not read stops being served, and
// holds at most one turn's answers.
package session

import (
	"context"
	"net"

	"github.com/everup/everup/services/cached/internal/engine"
)

const (
	// MaxHeld bounds the input that a session leaves unconsumed, bytes: the longest line of a multiget and the answer to a longer
	// one. Other lines are bounded at 2 KiB.
	MaxHeld = 1 << 20
	// OutHigh is the length of Out.Buf from which a session returns Flush instead of working on.
	OutHigh = 64 << 10
	// Turn is the budget of one Step: keys looked up and commands done.
	Turn = 512
	// TurnBytes is the budget of one Step in bytes of values copied.
	TurnBytes = 1 << 20
)

// Next says how a carrier goes on after Step.
type Next uint8

// What a session needs next.
const (
	More Next = iota
	Body
	Flush
	Yield
	Close
	Abort
	Detach
)

// Out is what a session answers. The carrier owns the memory of Buf and hands it in with length 0, or with answers not yet written.
type Out struct {
	Buf []byte
	// Big, when it holds a value, is sent after Buf; then the carrier unpins it and calls Step again, and the
	// session goes on behind it (with the value's line end).
	Big engine.Pinned
}

// Session is one client's protocol state.
type Session interface {
	Step(in []byte, out *Out) (n int, next Next)
	// Body is the memory for the next bytes of a value, after Step returned Body.
	Body() []byte
	// Filled says that n bytes of Body's memory are filled.
	Filled(n int)
	// Detached serves conn from a goroutine of its own, after Step returned Detach; rest is input already read and not consumed. It
	// returns when ctx ends, the client has gone or the command is done; back says that the connection may go on with Step.
	Detached(ctx context.Context, conn net.Conn, rest []byte) (left []byte, back bool)
	// State is a word on what the connection does, for `stats conns`: conn_new_cmd, conn_read, conn_swallow, conn_nread, conn_watch …
	State() string
	// End releases what the session holds; the carrier calls it once, when the connection has ended.
	End()
}

// Transport is how a client is connected.
type Transport uint8

// Transports.
const (
	TCP Transport = iota
	Unix
	UDP
	TLS
)

func (t Transport) String() string {
	return [...]string{TCP: "tcp", Unix: "unix", UDP: "udp", TLS: "tls"}[t]
}

// Peer describes a client's connection to its session.
type Peer struct {
	ID        int64  // unique in the process: the fd under memcached, any number here; watchers print it as cfd
	Remote    string // address and port, or "unix"
	Local     string
	Transport Transport
	Tag       uint64     // of the listener (`-l tag[x]:`), 0 for none
	Only      Protocol   // what the listener speaks; Auto for all
	Cert      string     // name in the client's certificate, "" without one
	Env       *Env       // of the daemon
	Meter     *Meter     // of the carrier's loop
	Note      *LoopCount // of the carrier's loop
}

// Protocol is what is spoken on a connection.
type Protocol uint8

// Protocols. Auto decides by the first byte: 0x80 is binary, anything else text. RESP is Redis', on listeners of its own.
const (
	Auto Protocol = iota
	Text
	Binary
	RESP
)

// Factory makes the session of a new connection when its first byte has arrived.
type Factory func(first byte, p *Peer) Session
