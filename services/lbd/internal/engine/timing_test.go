package engine

import (
	"io"
	"net/http"
	"net/netip"
	"testing"
)

// A request's phases are timed by the turns of the loop, and what a Plan is marked with comes back.
func TestTiming(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	s := &site{members: []netip.AddrPort{b}, done: make(chan struct{}, 3)}
	s.plan = func(r *Request, p *Plan) { p.Mark = string(r.Text(r.Head.Target.Raw)) }
	r := start(t, s)
	c, in := r.dial(t)
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	answer := func() {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		<-s.done
	}
	say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n")
	answer() // so the first half of the second head was read
	say("Host: a\r\n\r\n")
	answer()
	say("bad\r\n\r\n")
	answer()
	s.mu.Lock()
	defer s.mu.Unlock()
	one, two, three := s.records[0], s.records[1], s.records[2]
	if one.Mark != "/1" || two.Mark != "/2" || three.Mark != nil {
		t.Errorf("marks %v, %v, %v", one.Mark, two.Mark, three.Mark)
	}
	if d := one.Timing; d.Connect <= 0 || d.Head < d.Connect || d.Duration < d.Head || d.Handshake+d.Queue+d.Gather != 0 {
		t.Errorf("the first took %+v", d)
	}
	if d := two.Timing; d.Read <= 0 || d.Connect != 0 || d.Head <= 0 || d.Duration < d.Head {
		t.Errorf("the second took %+v", d)
	}
	if d := three.Timing; d.Head != 0 {
		t.Errorf("the third took %+v", d)
	}
}
