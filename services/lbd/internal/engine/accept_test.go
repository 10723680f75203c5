package engine

import (
	"io"
	"net"
	"strings"
	"testing"
)

// A listener that closes takes those in the kernel's queue along, and its address is free when Close returns.
func TestCloseOfAListener(t *testing.T) {
	const clients = 3 * turnAccepts // more than are accepted in a turn
	r := start(t, peerSite())
	hold := make(chan struct{})
	loop := r.workers[0].loop
	loop.Post(func() { <-hold })
	loop.Post(r.listener.parts[0].close) // as Close does: in the turn in which the clients are seen
	var conns []net.Conn
	for range clients {
		c, _ := r.dial(t)
		io.WriteString(c, ask)
		conns = append(conns, c)
	}
	close(hold)
	r.listener.Close()
	if c, err := net.Dial("tcp", r.addr); err == nil {
		c.Close()
		t.Error("it still accepts")
	}
	for i, c := range conns {
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 ") {
			t.Errorf("client %d: %q, %v", i, got, err)
		}
	}
}
