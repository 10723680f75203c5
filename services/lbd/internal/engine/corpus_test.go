package engine

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// recorder is a server that keeps what it got on each connection, and answers each head with 200.
type recorder struct {
	mu  sync.Mutex
	got strings.Builder
}

func (r *recorder) serve(t testing.TB, o *over) netip.AddrPort {
	return o.scripted(t, func(c net.Conn, in *bufio.Reader) {
		for {
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(in, r)))
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); err != nil {
				return
			}
			return
		}
	})
}

// Write keeps b.
func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.Write(b)
}

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.got.String()
	r.got.Reset()
	return s
}

// TestCorpus: of a request that is refused not a byte reaches a member, its answer has the status of the reason, and the
// connection ends. One that is taken reaches the member as a request which the strict parser takes as having the same body.
func TestCorpus(t *testing.T) { overAll(t, testCorpus) }

func testCorpus(t *testing.T, o *over) {
	var rec recorder
	s := &site{members: []netip.AddrPort{rec.serve(t, o)}}
	s.plan = func(r *Request, p *Plan) {
		if r.Head.Target.Form == http1.Authority {
			*p = Plan{Status: 405, Reason: "connect", Write: time.Second}
		}
	}
	r := o.start(t, s)
	file, err := os.ReadFile("../http1/testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(file)) {
		part := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(part) != 3 {
			continue
		}
		sent, err := strconv.Unquote(part[1])
		if err != nil {
			t.Fatal(err)
		}
		n++
		checkCase(t, r, &rec, part[0], sent, part[2])
	}
	if n < 200 {
		t.Errorf("only %d cases", n)
	}
}

func checkCase(t *testing.T, r *rig, rec *recorder, want, sent, about string) {
	t.Helper()
	if strings.HasPrefix(want, "length ") || want == "chunked" {
		sent = strings.TrimSuffix(sent, sent[strings.Index(sent, "\r\n\r\n")+4:])
		switch n, _ := strconv.Atoi(strings.TrimPrefix(want, "length ")); {
		case want == "chunked":
			sent += "3\r\nabc\r\n0\r\n\r\n"
		case n > 1000: // nobody waits for that
			return
		default:
			sent += strings.Repeat("x", n)
		}
	}
	c, _ := r.dial(t)
	defer c.Close()
	io.WriteString(c, sent)
	c.(closeWriter).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%s: %v", about, err)
		return
	}
	status := ""
	if len(answer) > 12 {
		status = string(answer[9:12])
	}
	forwarded := rec.take()
	if refusal := refusalOf(want); refusal != http1.OK {
		if forwarded != "" || status != strconv.Itoa(refusal.Status()) || strings.Count(string(answer), "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %q is answered %s, want %d; forwarded was %q", about, sent, status, refusal.Status(), forwarded)
		}
		return
	}
	if strings.HasPrefix(sent, "CONNECT") {
		return
	}
	lim := http1.DefaultLimits()
	var h http1.Head
	done, why := h.ParseRequest([]byte(forwarded), &lim)
	kind := map[http1.FramingKind]string{http1.NoBody: "none", http1.Length: "length " + strconv.FormatInt(h.Body.Length, 10), http1.Chunked: "chunked"}[h.Body.Kind]
	if !done || status != "200" || kind != want || h.Version != http1.HTTP11 {
		t.Errorf("%s: %q is answered %q and forwarded as %q: %s %s, want %s", about, sent, status, forwarded, why, kind, want)
	}
}

func refusalOf(name string) http1.Refusal {
	for r := http1.BareCR; r.String()[:min(8, len(r.String()))] != "refusal-"; r++ {
		if r.String() == name {
			return r
		}
	}
	return http1.OK
}
