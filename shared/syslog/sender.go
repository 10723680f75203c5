package syslog

import (
	"cmp"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
)

const (
	// bufferLimit bounds what waits while the server does not take it; beyond it new messages are dropped and counted.
	bufferLimit = 4 << 20
	// messageLimit bounds one message; a longer one is cut.
	messageLimit = 32 << 10

	dialTimeout  = 3 * time.Second
	writeTimeout = 10 * time.Second
	retryMin     = 100 * time.Millisecond
	retryMax     = 5 * time.Second
)

// Env is what a Sender reports to; the fields may be nil in tests and small programs.
type Env struct {
	Metrics *metric.Registry
	Health  *health.Registry
	Item    string // the health item's id; empty means syslog.unreachable. Two senders need two.
}

// Sender sends messages over TCP from one goroutine. Send never blocks.
type Sender struct {
	addr string
	item *health.Item // nil: no health
	sent, dropped,
	broken *metric.Counter

	wake chan struct{} // holds a token when buf has something

	mu      sync.Mutex
	buf     []byte // whole frames
	count   uint64 // frames in buf
	stopped bool
}

// NewSender returns a sender to addr ("host:port"). Run sends.
func NewSender(addr string, env Env) *Sender {
	s := &Sender{
		addr: addr, wake: make(chan struct{}, 1),
		sent: new(metric.Counter), dropped: new(metric.Counter), broken: new(metric.Counter),
	}
	if r := env.Metrics; r != nil {
		s.sent = r.Counter("syslog_sent_messages_total", "Messages handed to the syslog connection.")
		s.dropped = r.Counter("syslog_dropped_messages_total", "Messages dropped because 4 MiB were waiting for the syslog server.")
		s.broken = r.Counter("syslog_broken_connections_total", "Times the connection to the syslog server broke.")
		r.GaugeFunc("syslog_waiting_bytes", "Bytes waiting for the syslog server.", func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.buf))
		})
	}
	if env.Health != nil {
		s.item = env.Health.Item(cmp.Or(env.Item, "syslog.unreachable"), health.Options{
			Title: "the syslog server does not take messages", Visible: 3 * time.Second,
		})
	}
	return s
}

// Send queues m. It copies what it needs.
func (s *Sender) Send(m *Message) {
	cut := *m
	cut.Text, cut.Bytes = m.Text[:min(len(m.Text), messageLimit)], m.Bytes[:min(len(m.Bytes), messageLimit)]
	s.mu.Lock()
	if s.stopped || len(s.buf) >= bufferLimit {
		s.mu.Unlock()
		s.dropped.Inc()
		return
	}
	s.buf = AppendFrame(s.buf, &cut)
	s.count++
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Counts are what a Sender has done since it was made.
type Counts struct {
	Sent    uint64 // messages handed to the connection
	Dropped uint64 // messages lost because too many waited, or were cut in two by a connection that broke
	Broken  uint64 // connections
	Waiting int    // bytes
}

// Counts returns what was done: for who makes senders while it runs and registers metrics of all.
func (s *Sender) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counts{s.sent.Value(), s.dropped.Value(), s.broken.Value(), len(s.buf)}
}

// Run sends until ctx ends, then tries once more, for at most a second, to get rid of what waits.
func (s *Sender) Run(ctx context.Context) error {
	var c *conn
	defer func() { c.close() }()
	wait := retryMin
	for {
		select {
		case <-ctx.Done():
			s.last(c)
			return nil
		case <-c.gone():
			c.close()
			c = nil
			s.broken.Inc()
			continue
		case <-s.wake:
		}
		for c == nil {
			var err error
			if c, err = dial(ctx, s.addr); err == nil {
				s.ok()
				wait = retryMin
				break
			}
			s.failed(err)
			if !pause(ctx, wait) {
				s.last(nil)
				return nil
			}
			wait = min(2*wait, retryMax)
		}
		if err := s.flush(c, writeTimeout); err != nil {
			s.failed(err)
			s.broken.Inc()
			c.close()
			c = nil
			s.poke()
			if !pause(ctx, wait) {
				s.last(nil)
				return nil
			}
		}
	}
}

// last sends what waits before the end.
func (s *Sender) last(c *conn) {
	s.mu.Lock()
	s.stopped = true
	left := len(s.buf)
	s.mu.Unlock()
	if left == 0 {
		return
	}
	if c == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var err error
		if c, err = dial(ctx, s.addr); err != nil {
			s.drop()
			return
		}
		defer c.close()
	}
	if s.flush(c, time.Second) != nil {
		s.drop()
	}
}

// drop counts what waits as lost.
func (s *Sender) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped.Add(s.count)
	s.buf, s.count = nil, 0
}

func (s *Sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// flush writes what waits. Frames of which no byte was taken stay queued when the connection fails; one that was cut in
// two is not sent again, because the server may have counted its part.
func (s *Sender) flush(c *conn, timeout time.Duration) error {
	s.mu.Lock()
	buf, count := s.buf, s.count
	s.buf, s.count = nil, 0
	s.mu.Unlock()
	if len(buf) == 0 {
		return nil
	}
	c.SetWriteDeadline(time.Now().Add(timeout))
	n, err := c.Write(buf)
	if err == nil {
		s.sent.Add(count)
		return nil
	}
	rest, gone := unsent(buf, n)
	left := countFrames(rest)
	s.sent.Add(count - left - gone)
	s.dropped.Add(gone)
	s.mu.Lock()
	s.buf = append(rest, s.buf...)
	s.count += left
	s.mu.Unlock()
	return fault.Wrap(fault.Unavailable, err, "syslog: write to %s", s.addr)
}

// unsent returns the frames of which nothing was written, and how many frames (0 or 1) were cut by n.
func unsent(buf []byte, n int) (rest []byte, cut uint64) {
	at := 0
	for at < n {
		at += frameLen(buf[at:])
		if at > n {
			cut = 1
		}
	}
	return buf[at:], cut
}

func countFrames(b []byte) (n uint64) {
	for len(b) > 0 {
		b = b[frameLen(b):]
		n++
	}
	return n
}

// frameLen returns the length of the frame at the start of b, which AppendFrame made.
func frameLen(b []byte) int {
	n, i := 0, 0
	for ; b[i] != ' '; i++ {
		n = n*10 + int(b[i]-'0')
	}
	return i + 1 + n
}

func (s *Sender) ok() {
	if s.item != nil {
		s.item.OK()
	}
}

func (s *Sender) failed(err error) {
	if s.item != nil {
		s.item.Warn(err.Error(), "is logd running, and does the address fit its `listen`?")
	}
}

// conn is a connection whose end is noticed at once: a syslog server never sends, so a read that returns means that it
// is gone, and nothing more is written into the void.
type conn struct {
	net.Conn
	ended chan struct{}
}

func dial(ctx context.Context, addr string) (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "syslog: connect to %s", addr)
	}
	c := &conn{Conn: nc, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		io.Copy(io.Discard, nc)
	}()
	return c, nil
}

// gone is closed when the server ended the connection; nil for no connection.
func (c *conn) gone() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.ended
}

// close ends the connection and waits for its reader.
func (c *conn) close() {
	if c == nil {
		return
	}
	c.Conn.Close()
	<-c.ended
}

// pause waits for d and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
