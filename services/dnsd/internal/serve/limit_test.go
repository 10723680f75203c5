package serve

import (
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener that accepts ends of pipes, or fails.
type pipes struct{ errs []error }

func (p *pipes) Accept() (net.Conn, error) {
	if len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		return nil, err
	}
	a, _ := net.Pipe()
	return a, nil
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return nil }

func TestLimit(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	l := Limit(ln, 1, func() { refused++ })
	defer l.Close()
	dial := func() net.Conn {
		return dialFrom(t, "127.0.0.2", ln)
	}
	dial()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	over := dial()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		io.Copy(io.Discard, over)
		first.Close()
		first.Close() // gives one place back, not two
		dial()
	}()
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	<-closed
	if refused != 1 {
		t.Errorf("%d connections refused, want 1", refused)
	}
	if n := len(l.(*limited).room); n != 1 {
		t.Errorf("%d places taken by one open connection", n)
	}
}

func dialFrom(t *testing.T, ip string, ln net.Listener) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Strangers who take all places do not keep the server from asking itself; that has a bound, too.
func TestRoomForOwnQuestions(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	l := Limit(ln, 1, func() { refused++ })
	defer l.Close()
	dialFrom(t, "127.0.0.2", ln)
	for range ownRoom {
		dialFrom(t, "127.0.0.1", ln)
	}
	dialFrom(t, "127.0.0.1", ln)
	var last net.Conn
	for range 1 + ownRoom {
		if last, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	if refused != 0 {
		t.Errorf("%d of the server's own questions were refused", refused)
	}
	last.Close()
	dialFrom(t, "127.0.0.1", ln)
	if _, err = l.Accept(); err != nil { // the one beyond the bound, which has room now
		t.Fatal(err)
	}
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := l.Accept(); err == nil || refused != 1 {
		t.Errorf("%v, %d refused, want 1", err, refused)
	}
}

func TestAFailingAcceptDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limit(&pipes{errs: []error{syscall.EMFILE, net.ErrClosed}}, 1, func() {})
		start := time.Now()
		if _, err := l.Accept(); err != syscall.EMFILE || time.Since(start) != acceptPause {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		l.Close()
		start = time.Now()
		if _, err := l.Accept(); err != net.ErrClosed || time.Since(start) != 0 {
			t.Errorf("once closed: %v after %v", err, time.Since(start))
		}
	})
}
