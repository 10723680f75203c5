package tlsconn

import "iter"

// shake is a handshake that is to come or under way.
type shake struct {
	yield func(struct{}) bool // suspends the coroutine; false: it was abandoned
	next  func() (struct{}, bool)
	stop  func()
	read  int   // bytes from the wire
	err   error // that it has ended with
}

// Handshake goes on with the handshake as far as what has come allows: nil when it is over, ErrAgain when it waits for more.
// ErrBusy comes before anything was read. After any other error what there is to tell the peer is sent, as far as the wire takes it at
// once, and Close is what is left to do.
func (c *Conn) Handshake() error {
	s := c.shake
	if s == nil {
		return nil
	}
	if s.next == nil {
		if c.env.shaking >= c.env.Handshakes {
			return ErrBusy
		}
		c.env.shaking++
		s.next, s.stop = iter.Pull(c.run)
	}
	_, waits := s.next()
	flushErr := c.Flush()
	if flushErr == ErrAgain {
		flushErr = nil // the caller's to go on with
	}
	if waits {
		if flushErr == nil {
			return ErrAgain
		}
		c.abandon()
		return flushErr
	}
	c.env.shaking--
	c.shake = nil
	if s.err == nil {
		s.err = flushErr
	}
	if s.err == nil {
		state := c.tls.ConnectionState()
		c.state = &state
	}
	return s.err
}

// run is the coroutine.
func (c *Conn) run(yield func(struct{}) bool) {
	c.shake.yield = yield
	c.shake.err = c.tls.Handshake()
}

// abandon ends a handshake that is under way.
func (c *Conn) abandon() {
	s := c.shake
	if s == nil {
		return
	}
	if s.next != nil {
		s.stop()
		c.env.shaking--
	}
	c.shake = nil
}
