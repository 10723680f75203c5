package engine

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// TestDowngrade sends the requests of testdata/downgrade.txt by HTTP/2, to a member of HTTP/1. Of one that is refused not a byte gets
// there. Of one whose content is not what was said no more than a beginning does, which no server takes for a request. One that is taken
// is exactly one request for a strict reader, with the same content.
func TestDowngrade(t *testing.T) { h2All(t, testDowngrade) }

func testDowngrade(t *testing.T, o *over) {
	rec := newOneByOne(t)
	s := &site{members: []netip.AddrPort{rec.addr}, done: make(chan struct{}, 1)}
	s.plan = func(r *Request, p *Plan) {
		p.Inform = 0
		if r.Head.Target.Form == http1.Authority {
			*p = Plan{Status: 405, Reason: "connect", Write: time.Second}
		}
	}
	r := o.startH2(t, s)
	file, err := os.ReadFile("testdata/downgrade.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		part := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(part) != 4 {
			t.Fatalf("%q", line)
		}
		n++
		downgrade(t, r, s, rec, part[0], quoted(t, part[1]), quoted(t, part[2]), part[3])
	}
	if n < 50 {
		t.Errorf("only %d cases", n)
	}
}

// oneByOne is a server that serves one connection after the other, and keeps what it got.
type oneByOne struct {
	t    *testing.T
	addr netip.AddrPort
	got  strings.Builder // between two answers the test's, else the server's
}

func newOneByOne(t *testing.T) *oneByOne {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &oneByOne{t: t, addr: netip.MustParseAddrPort(l.Addr().String())}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &r.got)))
			if err == nil {
				_, err = io.Copy(io.Discard, req.Body)
			}
			if err == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return r
}

const fence = "GET /fence HTTP/1.1\r\nHost: a\r\n\r\n"

// take returns what has come by connections that were made before.
func (r *oneByOne) take() string {
	c, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, fence)
	if _, err := io.ReadAll(c); err != nil {
		r.t.Fatal(err)
	}
	got, ok := strings.CutSuffix(r.got.String(), fence)
	if !ok {
		r.t.Fatalf("%q", got)
	}
	r.got.Reset()
	return got
}

// quoted reads strings in quotes with spaces between them.
func quoted(t *testing.T, s string) (out []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			if s == "none" {
				return out
			}
			t.Fatalf("%s: %v", s, err)
		}
		s = s[len(q):]
		v, err := strconv.Unquote(q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// downgrade sends a request: the fields that are usual but for those that it has itself, then its own, then content in one frame for each
// text.
func downgrade(t *testing.T, r *rig, s *site, rec *oneByOne, want string, fields, content []string, about string) {
	t.Helper()
	var head []string
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}} {
		if has(fields, f[0]) {
			continue
		}
		head = append(head, f[0], f[1])
	}
	i := 0
	for ; i < len(fields) && strings.HasPrefix(fields[i], ":"); i += 2 { // one that is empty and marked so is left out
		if fields[i+1] != "absent" {
			head = append(head, fields[i], fields[i+1])
		}
	}
	h := r.rawH2(t)
	defer h.c.Close()
	id := h.request(len(content) == 0, append(head, fields[i:]...)...)
	for i, c := range content {
		h.WriteData(id, i == len(content)-1, []byte(c))
	}
	got := h.frame()
	<-s.done
	forwarded := rec.take()
	switch {
	case want == "reset" || want == "cut":
		if !strings.HasPrefix(got, "reset 1 PROTOCOL_ERROR") {
			t.Errorf("%s: %q is answered %q", about, head, got)
		}
		if want == "reset" && forwarded != "" || want == "cut" && complete1(forwarded) {
			t.Errorf("%s: %q is forwarded as %q", about, head, forwarded)
		}
		return
	case !strings.HasPrefix(got, "head 1 ") || !strings.Contains(got, ":status="+want[:3]):
		t.Errorf("%s: %q is answered %q, want %s", about, head, got, want)
	case want[:3] != "200":
		if forwarded != "" {
			t.Errorf("%s: %q is forwarded as %q", about, head, forwarded)
		}
		return
	}
	checkForwarded(t, forwarded, strings.Join(content, ""), strings.TrimPrefix(want[3:], " "), about)
}

func has(fields []string, name string) bool {
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == name {
			return true
		}
	}
	return false
}

// complete1 reports whether b holds a whole request.
func complete1(b string) bool {
	lim := http1.DefaultLimits()
	var h http1.Head
	done, _ := h.ParseRequest([]byte(b), &lim)
	if !done {
		return false
	}
	var body http1.Body
	body.Begin(h.Body)
	for rest := []byte(b[h.Len:]); len(rest) > 0 && !body.Done(); {
		_, n, why := body.Next(rest)
		if why != http1.OK {
			return false
		}
		rest = rest[n:]
	}
	return body.Done()
}

// checkForwarded checks that b is one request with this content, whose head has a line.
func checkForwarded(t *testing.T, b, content, line, about string) {
	t.Helper()
	lim := http1.DefaultLimits()
	var h http1.Head
	done, why := h.ParseRequest([]byte(b), &lim)
	if !done {
		t.Errorf("%s: forwarded as %q: %s", about, b, why)
		return
	}
	var got bytes.Buffer
	var body http1.Body
	body.Begin(h.Body)
	rest := []byte(b[h.Len:])
	for len(rest) > 0 && !body.Done() {
		data, n, why := body.Next(rest)
		if why != http1.OK {
			t.Errorf("%s: forwarded as %q: %s", about, b, why)
			return
		}
		got.Write(data)
		rest = rest[n:]
	}
	if !body.Done() || len(rest) > 0 || got.String() != content {
		t.Errorf("%s: forwarded as %q", about, b)
	}
	found := line == ""
	for s := bufio.NewScanner(strings.NewReader(b[:h.Len])); s.Scan(); {
		found = found || s.Text() == line
	}
	if !found {
		t.Errorf("%s: forwarded as %q, without %q", about, b, line)
	}
}
