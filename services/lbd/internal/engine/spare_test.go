package engine

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"testing"
)

// TestSpareExchangesKeepNothing: a request whose client goes away within its content leaves no buffer in the exchange that is used again.
func TestSpareExchangesKeepNothing(t *testing.T) {
	member := scripted(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 1)}
	r := start(t, s)
	c, _ := r.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome")
	c.Close()
	<-s.done
	kept := make(chan int)
	w := r.workers[0]
	w.loop.Post(func() {
		n := 0
		for _, x := range w.spare {
			if x.in.b != nil || x.body.b != nil || x.out.b != nil {
				n++
			}
		}
		kept <- n
	})
	if n := <-kept; n != 0 {
		t.Errorf("%d exchanges keep buffers", n)
	}
}
