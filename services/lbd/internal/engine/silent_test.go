package engine

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// TestSilentWhileAnswered: a client that has not ended its request may be silent for longer than Plan.Read while the answer goes on, as in a call
// of gRPC in both directions. Once both are silent its time counts.
func TestSilentWhileAnswered(t *testing.T) {
	const read = 200 * time.Millisecond
	more, ended := make(chan struct{}), make(chan struct{})
	defer close(ended)
	m := scripted(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			select {
			case <-more:
				io.WriteString(c, "1\r\nx\r\n")
			case <-ended:
				return
			}
		}
	})
	s := &site{members: []netip.AddrPort{m}, done: make(chan struct{}, 1)}
	s.plan = func(_ *Request, p *Plan) { p.Read = read }
	r := start(t, s)
	c, in := r.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for n := 0; time.Since(begun) < 3*read; n++ {
		more <- struct{}{}
		if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
			t.Fatalf("after %d pieces and %v: %v", n, time.Since(begun), err)
		}
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the answer has ended as it should")
	}
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.records[0]; rec.Reason != ClientSlow {
		t.Errorf("%+v", rec)
	}
}
