package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"

	"github.com/everup/everup/shared/fault"
)

// MaxHandshake bounds the bytes that are read from a peer until its handshake is over. What fits in no less: a client's certificate
// with its chain.
const MaxHandshake = 64 << 10

// ErrAgain says that there is nothing to read, or no room to write, just now. crypto/tls takes it for a time-out.
var ErrAgain error = again{}

// What ends a connection or a handshake besides the errors of crypto/tls and of the wire.
var (
	// ErrTruncated is the wire's end without the peer's close_notify.
	ErrTruncated = fault.New(fault.Corrupt, "tls: the connection ended without close_notify")
	// ErrBusy says that as many handshakes are under way as may be.
	ErrBusy = fault.New(fault.Full, "tls: too many handshakes are under way")
	// ErrHandshake says that the peer's side of a handshake is longer than MaxHandshake.
	ErrHandshake = fault.New(fault.Full, "tls: the handshake is too long")
	errPending   = fault.New(fault.Full, "tls: the peer asks for more than it reads")
	errAbandoned = errors.New("tls: the handshake was abandoned")
)

type again struct{}

func (again) Error() string   { return "again" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// Wire is what a Conn's records travel on. Its methods do not wait: ErrAgain says that they would. Read gives at least one byte or an
// error, io.EOF at the end.
type Wire interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
}

// Conn is a TLS connection.
type Conn struct {
	tls  *tls.Conn
	wire Wire
	env  *Env

	out  []byte // sealed and not taken by the wire: out[sent:]; nil: nothing
	sent int
	owed owed

	shake  *shake // nil: the handshake is over
	state  *tls.ConnectionState
	failed error // what crypto/tls had to write could not be kept
	dry    bool  // nothing but a part of a record is left of what the wire gave
}

// owed is plaintext that was sealed and not told as written, because the wire has not taken its records.
type owed struct {
	plain, sealed int // bytes, and those of their records at the beginning of what waits
	credit        int // taken since it was last told
}

// Server returns the server's side of a connection. The handshake is still to come.
func Server(w Wire, config *tls.Config, e *Env) *Conn {
	c := newConn(w, e)
	c.tls = tls.Server((*below)(c), config)
	return c
}

// Client returns the client's side of a connection. The handshake is still to come.
func Client(w Wire, config *tls.Config, e *Env) *Conn {
	c := newConn(w, e)
	c.tls = tls.Client((*below)(c), config)
	return c
}

func newConn(w Wire, e *Env) *Conn { return &Conn{wire: w, env: e, shake: new(shake)} }

// State returns what the handshake has come to; nil: it has not yet. It is not to be changed.
func (c *Conn) State() *tls.ConnectionState { return c.state }

// Move gives an idle connection to another loop and wire.
func (c *Conn) Move(w Wire, e *Env) { c.wire, c.env = w, e }

// Read reads plaintext into p, which is not empty, from as many records as there are: ErrAgain, io.EOF after the peer's
// close_notify, ErrTruncated, or what is wrong. The handshake is over.
func (c *Conn) Read(p []byte) (int, error) {
	n := 0
	var err error
	for n < len(p) && err == nil {
		var k int
		k, err = c.tls.Read(p[n:])
		n += k
	}
	c.dry = err == ErrAgain
	if len(c.out) > 0 { // the peer was answered
		if flushErr := c.Flush(); flushErr != nil && flushErr != ErrAgain && n == 0 {
			return 0, flushErr
		}
	}
	if c.failed != nil {
		return 0, c.failed
	}
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, err
}

// Dry reports whether Read has nothing to give before the wire has more.
func (c *Conn) Dry() bool { return c.dry }

// Write seals the pieces, small ones together in a record, and returns how many bytes the wire has taken; where it has taken a part of a
// record, in proportion. ErrAgain: none. Bytes that were not taken may be sealed already: the next call is to offer the same ones
// first, and what is offered behind them then waits. Any other error ends the connection. The handshake is over.
func (c *Conn) Write(pieces ...[]byte) (int, error) {
	if err := c.Flush(); err != nil && err != ErrAgain {
		return 0, err
	}
	if len(c.out) == 0 && c.owed.credit == 0 {
		plain, err := c.seal(pieces)
		if err != nil {
			return 0, err
		}
		c.owed = owed{plain: plain, sealed: len(c.out)}
		if err := c.Flush(); err != nil && err != ErrAgain {
			return 0, err
		}
	}
	n := c.owed.credit
	c.owed.credit = 0
	if n == 0 {
		return 0, ErrAgain
	}
	return n, nil
}

// seal makes records of the pieces, up to maxSealed bytes, and returns of how many.
func (c *Conn) seal(pieces [][]byte) (int, error) {
	total := 0
	record := c.env.record[:0]
	for _, p := range pieces {
		p = p[:min(len(p), maxSealed-total)]
		total += len(p)
		for len(p) > 0 {
			var k int
			var full []byte
			if len(record) == 0 && len(p) >= maxRecord {
				k = len(p) / maxRecord * maxRecord
				full = p[:k]
			} else {
				k = min(len(p), maxRecord-len(record))
				record = append(record, p[:k]...)
				if len(record) == maxRecord {
					full, record = record, record[:0]
				}
			}
			p = p[k:]
			if _, err := c.tls.Write(full); err != nil {
				return 0, err
			}
		}
	}
	if len(record) == 0 {
		return total, nil
	}
	_, err := c.tls.Write(record)
	return total, err
}

// Flush has the wire take what waits: nil if nothing is left, ErrAgain if something is.
func (c *Conn) Flush() error {
	for c.sent < len(c.out) {
		n, err := c.wire.Write(c.out[c.sent:])
		if err != nil {
			return err
		}
		c.sent += n
		c.owed.taken(n)
	}
	if c.out != nil {
		c.env.give(c.out)
		c.out, c.sent = nil, 0
	}
	return nil
}

// taken notes that the wire has taken n bytes.
func (o *owed) taken(n int) {
	if o.plain == 0 {
		return
	}
	n = min(n, o.sealed)
	k := o.plain
	if n < o.sealed {
		k = o.plain * n / o.sealed
	}
	o.plain -= k
	o.sealed -= n
	o.credit += k
}

// Pending returns how many bytes wait for the wire.
func (c *Conn) Pending() int { return len(c.out) - c.sent }

// Idle reports whether nothing waits for the wire, and nothing that the peer has sent waits to be read but for a part of a
// record. It reads what there is of the connection's own messages.
func (c *Conn) Idle() bool {
	var b [1]byte
	n, err := c.Read(b[:])
	return n == 0 && err == ErrAgain && len(c.out) == 0
}

// CloseWrite tells the peer by close_notify that nothing more is written. It is nil when the wire has it, ErrAgain when Flush is
// to send it.
func (c *Conn) CloseWrite() error {
	if err := c.tls.CloseWrite(); err != nil {
		return err
	}
	return c.Flush()
}

// Close lets go of the memory and of a handshake under way. Nothing is sent, and the wire stays open.
func (c *Conn) Close() {
	c.abandon()
	if c.out != nil {
		c.env.give(c.out)
		c.out, c.sent = nil, 0
	}
}

var _ io.ReadWriter = (Wire)(nil)
