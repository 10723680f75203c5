package oracletest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// ioTimeout bounds every wait for a server's bytes: a correct one answers in a fraction of it.
const ioTimeout = 20 * time.Second

// observer has a conversation with a server that has a single thread, and knows without waiting for time to pass when an
// answer is complete: the thread takes connections and their bytes in the order in which they came, so once a connection
// that was opened later is answered often enough, those before it have been served as far as they can be.
type observer struct {
	t      testing.TB
	server *Server
	binary bool // ask in the binary protocol whether the server is through
	peers  map[int]*peer
}

// peer is the client's side of a connection.
type peer struct {
	conn   *net.UnixConn
	closed bool // by the server
}

func newObserver(t testing.TB, s *Server, binary bool) *observer {
	return &observer{t: t, server: s, binary: binary, peers: map[int]*peer{}}
}

// step does a step and returns what was answered to it.
func (o *observer) step(s Step) (answer []byte, closed bool) {
	o.t.Helper()
	if s.Advance > 0 {
		o.advance(s.Advance)
	}
	p := o.peers[s.Conn]
	if p == nil {
		p = &peer{conn: o.server.Dial(o.t).(*net.UnixConn)}
		o.peers[s.Conn] = p
	}
	var got bytes.Buffer
	p.conn.SetDeadline(time.Now().Add(ioTimeout))
	done := make(chan struct{})
	go func() { io.Copy(&got, p.conn); close(done) }()
	_, err := p.conn.Write(s.Send) // may fail: then it hung up, which the reader sees
	o.settle(turns(s.Send))
	if err, ok := err.(net.Error); ok && err.Timeout() {
		o.t.Fatalf("oracletest: %s does not take %d bytes", o.server.Name, len(s.Send))
	}
	p.conn.SetReadDeadline(time.Unix(1, 0)) // ends the reader
	<-done
	p.conn.SetReadDeadline(time.Time{})
	for taken := 1; taken > 0; { // as long as something came, there may be room for more
		o.settle(turns(nil))
		taken = p.drain(&got)
	}
	return got.Bytes(), p.closed
}

// turns is how often a thread may have to come back to a connection until it has done all that was sent. In a turn it
// serves 20 commands, or reads one buffer; a text command has a line end and a binary one its magic byte.
func turns(sent []byte) int {
	return 8 + len(sent)/2048 + (bytes.Count(sent, []byte("\n"))+bytes.Count(sent, []byte{0x80}))/20
}

// settle returns when the server has had so many turns.
func (o *observer) settle(turns int) {
	c, err := net.Dial(o.server.Network, o.server.Addr)
	if err != nil {
		o.t.Fatalf("oracletest: %v", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(ioTimeout))
	ask := []byte("mn\r\n")
	if o.binary {
		ask = Packet{Magic: 0x80, Opcode: 0x0a}.Append(nil)
	}
	for range turns {
		if _, err := c.Write(ask); err != nil {
			return // closed or refused: that was an answer too
		}
		if _, err := c.Read(make([]byte, 512)); err != nil {
			if err, ok := err.(net.Error); ok && err.Timeout() {
				o.t.Fatalf("oracletest: %s is stuck", o.server.Name)
			}
			return
		}
	}
}

// drain takes what has come and does not wait. It returns how much it was.
func (p *peer) drain(got *bytes.Buffer) (taken int) {
	before := got.Len()
	raw, err := p.conn.SyscallConn()
	if err != nil {
		p.closed = true
		return 0
	}
	buf := make([]byte, 64<<10)
	for more := true; more; {
		err := raw.Read(func(fd uintptr) bool {
			n, err := syscall.Read(int(fd), buf)
			switch {
			case n > 0:
				got.Write(buf[:n])
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				more = false
			default: // the end, or a reset
				p.closed, more = true, false
			}
			return true
		})
		if err != nil {
			p.closed = true
			break
		}
	}
	return got.Len() - before
}

// advance waits until the server's clock has gone on.
func (o *observer) advance(seconds int64) {
	o.t.Helper()
	start := o.uptime()
	labtest.Eventually(o.t, time.Duration(seconds)*time.Second+ioTimeout, "the server's clock goes on", func() error {
		if now := o.uptime(); now < start+seconds {
			return fmt.Errorf("uptime %d, want %d", now, start+seconds)
		}
		return nil
	})
}

// uptime is the server's clock.
func (o *observer) uptime() int64 {
	c, err := net.Dial(o.server.Network, o.server.Addr)
	if err != nil {
		o.t.Fatalf("oracletest: %v", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(ioTimeout))
	io.WriteString(c, "stats\r\nquit\r\n")
	b, err := io.ReadAll(c)
	if err != nil {
		o.t.Fatalf("oracletest: stats: %v", err)
	}
	_, rest, _ := strings.Cut(string(b), "STAT uptime ")
	digits, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		o.t.Fatalf("oracletest: uptime %q", digits)
	}
	return n
}
