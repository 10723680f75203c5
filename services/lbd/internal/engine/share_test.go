package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// closer is a member that ends the first connection, which has served a request, when a second one comes there.
type closer struct {
	how      string
	decided  chan struct{} // the second request is decided on, and not sent yet
	gone     chan struct{} // the connection has ended
	conns    atomic.Int64
	requests atomic.Int64
}

func (m *closer) serve(c net.Conn, in *bufio.Reader) {
	first := m.conns.Add(1) == 1
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		m.requests.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if first {
			break
		}
	}
	defer close(m.gone)
	switch m.how {
	case "before it comes":
		<-m.decided
	case "unread":
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			return
		}
		raw.Read(func(fd uintptr) bool {
			_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
			return err != unix.EAGAIN
		})
	case "read":
		http.ReadRequest(in)
	}
	c.Close()
}

// TestShare: a member closes a connection that has served others when a request that must not be sent twice comes there. Where such
// requests get connections of their own none is lost; where not, none is lost that had not reached the member's host, and none is sent twice.
func TestShare(t *testing.T) {
	f := func(t *testing.T, o *over, share bool, how string, want int) {
		t.Helper()
		m := &closer{how: how, decided: make(chan struct{}), gone: make(chan struct{})}
		via := new(Transport)
		n := 0
		s := &site{members: []netip.AddrPort{o.scripted(t, m.serve)}, plan: func(_ *Request, p *Plan) {
			if n == 0 && p.Via != nil {
				*via = *p.Via
			}
			via.Share = share
			p.Via = via
			if n++; n == 2 && share && how == "before it comes" {
				close(m.decided) // the worker waits here, and cannot hear of the end
				<-m.gone
			}
		}}
		r := o.start(t, s)
		c, in := r.dial(t)
		statuses := ""
		for range 2 {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			statuses += fmt.Sprint(res.StatusCode, " ")
		}
		if !share {
			close(m.decided) // the first connection still waits
		}
		served := m.requests.Load()
		if want := fmt.Sprint("200 ", want, " "); statuses != want || served != int64(strings.Count(want, "200")) {
			t.Errorf("share %v, closed %s: answers %swant %s, and %d requests were served", share, how, statuses, want, served)
		}
		if counts := r.Counts(); share == (counts.Reused == 0) || !share && counts.Connected != 2 {
			t.Errorf("share %v, closed %s: %+v", share, how, counts)
		}
	}
	overAll(t, func(t *testing.T, o *over) {
		f(t, o, true, "before it comes", 200)
		f(t, o, false, "before it comes", 200)
		if o.back == nil {
			f(t, o, true, "unread", 502)
			f(t, o, true, "read", 502)
		}
	})
}

// TestShareWhatIsWhole: a request that could be sent twice gets a connection of its own where its content is not all at hand.
func TestShareWhatIsWhole(t *testing.T) {
	s := &site{members: []netip.AddrPort{backend(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })}}
	r := start(t, s)
	c, in := r.dial(t)
	f := func(method, framing string, content string, reused uint64) {
		t.Helper()
		before := r.Counts().Reused
		fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%s", method, framing, content)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		res.Body.Close()
		if got := r.Counts().Reused - before; got != reused {
			t.Errorf("%s, %s: %d went on a connection that had served others, want %d", method, framing, got, reused)
		}
	}
	f("GET", "X: y", "", 0)
	f("GET", "X: y", "", 1)
	f("PUT", "Content-Length: 5", "hello", 1)
	f("PUT", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", 1)
	f("PUT", "Content-Length: 1048576", strings.Repeat("x", 1<<20), 0)
	f("PUT", "Transfer-Encoding: chunked", "100000\r\n"+strings.Repeat("x", 1<<20)+"\r\n0\r\n\r\n", 0)
	f("POST", "Content-Length: 5", "hello", 0)
	f("GET", "X: y", "", 1)
}
