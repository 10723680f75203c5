package tlsconn

// Sizes of what is sealed at once: all that a turn of the engine offers, a head and content of 64 KiB, goes to the wire in
// one call.
const (
	maxRecord = 16 << 10 // plaintext of a record (RFC 8446 section 5.1)
	maxSealed = 79 << 10 // plaintext
	outLen    = 80 << 10 // with what five records add to it
	// MaxPending bounds the bytes that wait for the wire.
	MaxPending = outLen + 16<<10
	// maxFree bounds the buffers that an Env keeps.
	maxFree = 64
)

// Env is what the connections of one loop share.
type Env struct {
	// Handshakes bounds those under way at once. Those that are beyond a smaller bound go on.
	Handshakes int

	shaking int
	free    [][]byte
	record  []byte // where small pieces come together
}

// NewEnv returns an Env. handshakes bounds those under way at once.
func NewEnv(handshakes int) *Env {
	return &Env{Handshakes: handshakes, record: make([]byte, 0, maxRecord)}
}

// Shaking returns how many handshakes are under way.
func (e *Env) Shaking() int { return e.shaking }

// take returns an empty buffer of outLen bytes.
func (e *Env) take() []byte {
	if n := len(e.free); n > 0 {
		b := e.free[n-1]
		e.free = e.free[:n-1]
		return b
	}
	return make([]byte, 0, outLen)
}

// give takes a buffer back.
func (e *Env) give(b []byte) {
	if cap(b) == outLen && len(e.free) < maxFree {
		e.free = append(e.free, b[:0])
	}
}
