package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

// pipesLeft returns how many pipes are lent once the engine has answered what came before.
func pipesLeft(t testing.TB, r *rig) int {
	t.Helper()
	left := make(chan int, 1)
	r.workers[0].loop.Post(func() { left <- r.workers[0].pipes.used })
	return <-left
}

// Long content passes as it is both ways, and what follows it on the connection begins where it should.
func TestSplice(t *testing.T) {
	data := noisy(3<<20 + 7)
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > 0 && !bytes.Equal(body, data) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data)
	})
	s := &site{members: []netip.AddrPort{b}, plan: func(_ *Request, p *Plan) { p.MaxBody = int64(len(data)) }}
	r := start(t, s)
	c, br := r.dial(t)
	go func() { // at once, for nothing is answered to before it
		for range 4 {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(data))
			c.Write(data)
			io.WriteString(c, plainGet)
		}
	}()
	for i := range 8 {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d: %d bytes, %v", i, len(got), err)
		}
	}
	if n := pipesLeft(t, r); n != 0 {
		t.Errorf("%d pipes are lent", n)
	}
	if idle := len(r.workers[0].pipes.idle); idle == 0 {
		t.Error("no pipe was ever used")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, rec := range s.records {
		if want := int64(len(data)) * int64(1-i%2); rec.Received != want || rec.Sent != int64(len(data)) {
			t.Errorf("%d: %+v", i, rec)
		}
	}
}

// Whoever breaks off, the other end sees it, and the pipe with what is in it is gone.
func TestSpliceBreaks(t *testing.T) {
	data := noisy(16 << 20)
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n"
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, head)
		c.Write(data)
		if req.URL.Path == "/wait" {
			r.ReadByte()
		}
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 1)}
	r := start(t, s)
	c, br := r.dial(t)
	io.WriteString(c, plainGet)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err != io.ErrUnexpectedEOF || !bytes.Equal(got, data[:len(got)]) || len(got) < len(data)/2 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	<-s.done
	c, _ = slowClient(t, r, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-s.done
	if n := pipesLeft(t, r); n != 0 {
		t.Errorf("%d pipes are lent", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, b := s.records[0], s.records[1]; a.Reason != Truncated || b.Reason != ClientGone {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestPipes(t *testing.T) {
	var p pipes
	var all []*pipe
	for one := p.get(); one != nil; one = p.get() {
		all = append(all, one)
	}
	if len(all) != maxPipes {
		t.Skipf("SKIP-NEEDS: more than %d pipes of %d bytes", len(all), pipeLen) // a user's limit
	}
	all[0].held = 1
	for _, one := range all {
		p.put(one)
	}
	if p.used != 0 || len(p.idle) != maxIdlePipes || p.idle[0] == all[0] {
		t.Errorf("%d used, %d idle", p.used, len(p.idle))
	}
	p.close()
}
