package conns

import "time"

// Limits are what a carrier allows its connections; they may change while it runs.
type Limits struct {
	Idle    time.Duration // without input for so long, a connection is closed; 0 never
	Write   time.Duration // a client that takes none of its answers for so long is closed; 0 never
	Buffers int64         // bytes kept for all connections' unfinished input and unwritten output; 0: 1 GiB
	// DrainPause is what clients get to finish what they are sending, once the carrier drains.
	DrainPause time.Duration
	// Handshake is the longest a TLS handshake may take; 0: 10 s.
	Handshake time.Duration
}

const (
	defaultBuffers   = 1 << 30
	defaultHandshake = 10 * time.Second
)

// MostBuffers is Buffers, or the default.
func (l *Limits) MostBuffers() int64 {
	if l.Buffers <= 0 {
		return defaultBuffers
	}
	return l.Buffers
}

// HandshakeTime is Handshake, or the default.
func (l *Limits) HandshakeTime() time.Duration {
	if l.Handshake <= 0 {
		return defaultHandshake
	}
	return l.Handshake
}

// Hooks report what an operator must know. They are called from a carrier's goroutines and must not wait; each may be nil.
type Hooks struct {
	// Accept is told why connections cannot be accepted, once, and nil when they can again.
	Accept func(err error)
	// Bug is told of a panic or a breach of the contract by a session. The connection has been closed.
	Bug func(what any, stack []byte)
}
