package lbd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// process is a backend that is a process of its own.
type process struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd
}

func startProcess(t *testing.T, addr string) *process {
	t.Helper()
	p := &process{t: t, addr: addr, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "LBD_TEST_BACKEND="+addr)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill() // fails only where it has ended
	p.cmd.Wait()         // it was killed: there is nothing to be learnt
}

// storm asks by many clients until it is stopped.
type storm struct {
	asked atomic.Int64
	by    sync.Map // answers by member: *atomic.Int64
	stop  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	failed []string
}

func startStorm(t *testing.T, clients int, url string) *storm {
	s := &storm{stop: make(chan struct{})}
	for range clients {
		s.join(client(t), url)
	}
	return s
}

// join has one more client ask.
func (s *storm) join(c *http.Client, url string) {
	s.wg.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			default:
				s.ask(c, url)
			}
		}
	})
}

func (s *storm) ask(c *http.Client, url string) {
	s.asked.Add(1)
	res, err := c.Get(url)
	if err != nil {
		s.fail(err.Error())
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		s.fail(fmt.Sprint(res.Status, " ", err))
		return
	}
	n, _ := s.by.LoadOrStore(res.Header.Get("X-Who"), new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (s *storm) fail(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, why)
}

func (s *storm) from(addr string) int64 {
	n, ok := s.by.Load(addr)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// wait waits until n more were answered by one of the addresses, or by anybody.
func (s *storm) wait(t *testing.T, n int64, by ...string) {
	t.Helper()
	count := func() (sum int64) {
		for _, a := range by {
			sum += s.from(a)
		}
		if len(by) == 0 {
			sum = s.asked.Load()
		}
		return sum
	}
	until := count() + n
	labtest.Eventually(t, patience, fmt.Sprint(n, " more answers of ", by), func() error {
		if count() < until {
			return fmt.Errorf("%d of %d", count(), until)
		}
		return nil
	})
}

// TestABackendIsKilledUnderLoad: three processes serve, one is killed and comes back, whatever balances; no request that may be repeated fails.
func TestABackendIsKilledUnderLoad(t *testing.T) {
	for _, balance := range []string{"wrr", "least", "random", "ewma", "hash"} {
		t.Run(balance, func(t *testing.T) {
			var all []*process
			var addrs []string
			for range 3 {
				all = append(all, startProcess(t, labtest.FreeAddr(t)))
				addrs = append(addrs, all[len(all)-1].addr)
			}
			b := start(t, poolYAML("    balance: "+balance+"\n    slow_start: 500ms\n    outliers: {ejection: 200ms}\n    breaker: {open: 200ms}\n    queue: 100\n    max_requests_per_member: 50\n", addrs...))
			for _, a := range addrs {
				b.waitMember(a, "up")
			}
			s := startStorm(t, 16, b.url("/"))
			victim := all[0]
			if balance == "hash" { // all requests have one key: a bound spreads them over the key's first members
				s.wait(t, 500)
				for _, p := range all {
					if s.from(p.addr) > s.from(victim.addr) {
						victim = p
					}
				}
			}
			s.wait(t, 300, victim.addr)
			victim.kill()
			b.waitMember(victim.addr, "down")
			s.wait(t, 500)
			startProcess(t, victim.addr)
			b.waitMember(victim.addr, "up")
			s.wait(t, 300, victim.addr)
			close(s.stop)
			s.wg.Wait()
			t.Logf("%d requests, %d failed; by member: %d, %d, %d", s.asked.Load(), len(s.failed), s.from(addrs[0]), s.from(addrs[1]), s.from(addrs[2]))
			if len(s.failed) > 0 {
				t.Errorf("%d of %d requests failed, the first: %s", len(s.failed), s.asked.Load(), s.failed[0])
			}
		})
	}
}

// liar is a backend whose answers are as the paths say. It counts the requests of each connection.
type liar struct {
	addr string
	mu   sync.Mutex
	most int // requests of one connection
}

func startLiar(t *testing.T, answers map[string]string) *liar {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				l.serve(c, answers)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return l
}

func (l *liar) serve(c net.Conn, answers map[string]string) {
	r := bufio.NewReader(c)
	for n := 1; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return // also a health check's connection
		}
		l.mu.Lock()
		l.most = max(l.most, n)
		l.mu.Unlock()
		text, closes := strings.CutSuffix(answers[req.URL.Path], "<close>")
		io.WriteString(c, text)
		if closes {
			return
		}
	}
}

// TestAMemberThatLies: what is no answer, or not the whole of one, is told as what it is, counted, and its connection not used again.
func TestAMemberThatLies(t *testing.T) {
	f := func(name, answer string, code int, reason string) {
		t.Helper()
		l := startLiar(t, map[string]string{"/": answer})
		b := start(t, "reason_header: true\n"+poolYAML("    timeout: 300ms\n    retries: {max: 0}\n", l.addr))
		b.waitMember(l.addr, "up")
		for range 3 {
			got := raw(t, b.addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", code)) || code >= 500 && !strings.Contains(got, "X-Everup-Reason: "+reason+"\r\n") {
				t.Errorf("%s: %q", name, got)
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.most != 1 {
			t.Errorf("%s: a connection was used for %d requests", name, l.most)
		}
		if want := fmt.Sprintf(`everup_lbd_own_answers_total{reason="%s"} 3`, reason); reason != "" && !strings.Contains(metrics(t, b), want) {
			t.Errorf("%s: metrics lack %s", name, want)
		}
	}
	f("garbage", "220 mail.example.com ESMTP\r\n\r\n", 502, "bad-answer")
	f("two status lines", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502, "bad-answer")
	f("two answers", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, "")
	f("too much", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay", 200, "")
	f("too little", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok<close>", 200, "answer-truncated")
	f("too slow a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 200, "answer-truncated")
	f("half a head", "HTTP/1.1 200 OK\r\nContent-Le", 504, "timeout")
	f("half a head, then the end", "HTTP/1.1 200 OK\r\nContent-Le<close>", 502, "bad-answer")
	f("silence", "", 504, "timeout")
	f("the end", "<close>", 502, "backend-closed")
	f("broken chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", 200, "answer-truncated")
	f("an endless head", "HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 70), 502, "bad-answer")
}
