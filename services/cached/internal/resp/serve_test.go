package resp

import (
	"bufio"
	"context"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/loop"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

// carried is the protocol on the daemon's event loops.
type carried struct {
	*Service
	*loop.Group
	address string
}

// startServe serves on a TCP port until the test ends, at most clients connections.
func startServe(t *testing.T, o Options, clients int, write time.Duration) carried {
	t.Helper()
	labtest.LeakCheck(t)
	o.Env = newEnv(t, engine.Options{Memory: 1 << 30, MaxItem: 64 << 20})
	o.Env.Clock.Set(time.Now().Unix())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	r := carried{Service: NewService(o), address: ln.Addr().String()}
	r.Group, err = loop.New(loop.Options{
		Threads: 2, Listeners: []loop.Listener{{Net: ln, Only: session.RESP}}, Env: o.Env, Gate: conns.NewGate(clients, true),
		Factory: func(_ byte, p *session.Peer) session.Session { return r.Session(p) }, Limits: loop.Limits{Write: write},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := r.Connected(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return r
}

// sum adds a count of all loops.
func (r carried) sum(of func(*session.LoopCount) *atomic.Uint64) (n uint64) {
	for _, c := range r.Group.Counts() {
		n += of(c).Load()
	}
	return n
}

func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func ask(t *testing.T, c net.Conn, r *bufio.Reader, words ...string) string {
	t.Helper()
	if _, err := c.Write(request(words...)); err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	if err := copyAnswer(r, &answer); err != nil {
		t.Fatalf("%.60q: %v", words, err)
	}
	return answer.String()
}

func TestServeCarriesLongValues(t *testing.T) {
	svc := startServe(t, Options{}, 10, 0)
	c, r := dial(t, svc.address)
	value := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB
	if got := ask(t, c, r, "SET", "k", value); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	if got := ask(t, c, r, "GET", "k"); got != "$16777216\r\n"+value+"\r\n" {
		t.Errorf("GET answers %d bytes", len(got))
	}
}

// TestSlowReaderHoldsLittle asks for 1 GiB and reads none of it.
func TestSlowReaderHoldsLittle(t *testing.T) {
	svc := startServe(t, Options{}, 10, time.Second)
	c, r := dial(t, svc.address)
	if got := ask(t, c, r, "SET", "k", strings.Repeat("v", 1<<20)); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	if _, err := c.Write(request(append([]string{"MGET"}, strings.Fields(strings.Repeat("k ", 1024))...)...)); err != nil {
		t.Fatal(err)
	}
	labtest.Eventually(t, 10*time.Second, "the slow reader is dropped", func() error {
		if svc.sum(func(c *session.LoopCount) *atomic.Uint64 { return &c.SlowReaders }) == 0 || svc.Connected() > 0 {
			return io.ErrNoProgress
		}
		return nil
	})
	if n := svc.sum(func(c *session.LoopCount) *atomic.Uint64 { return &c.BytesWritten }); n > 64<<20 {
		t.Errorf("%d bytes were written to a client that does not read", n)
	}
}

func TestConnectionLimit(t *testing.T) {
	svc := startServe(t, Options{}, 1, 0)
	c, r := dial(t, svc.address)
	if got := ask(t, c, r, "PING"); got != "+PONG\r\n" {
		t.Fatalf("PING: %q", got)
	}
	second, _ := dial(t, svc.address)
	if got, _ := io.ReadAll(second); string(got) != "-ERR max number of clients reached\r\n" {
		t.Errorf("the second connection got %q", got)
	}
}

func redisCLI(t *testing.T, address string, args ...string) string {
	t.Helper()
	labtest.Needs(t, "redis-cli")
	_, port, _ := net.SplitHostPort(address)
	out, err := exec.Command("redis-cli", append([]string{"-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %q: %v: %s", args, err, out)
	}
	return string(out)
}

func TestRedisCLI(t *testing.T) {
	address := startServe(t, Options{Password: "secret"}, 10, 0).address
	f := func(want string, args ...string) {
		t.Helper()
		if got := redisCLI(t, address, append([]string{"--no-auth-warning", "-a", "secret"}, args...)...); got != want {
			t.Errorf("redis-cli %q: %q, want %q", args, got, want)
		}
	}
	f("OK\n", "set", "k", "hello")
	f("hello\n", "get", "k")
	f("6\n", "append", "k", "!")
	f("1\n", "incr", "n")
	f("hello!\n1\n", "mget", "k", "n")
	f("2\n", "--raw", "dbsize")
	f("k\n", "--scan", "--pattern", "[a-k]")
	if got := redisCLI(t, address, "get", "k"); !strings.Contains(got, "NOAUTH Authentication required.") {
		t.Errorf("without a password: %q", got)
	}
}

func TestRedisBenchmark(t *testing.T) {
	labtest.Needs(t, "redis-benchmark")
	svc := startServe(t, Options{}, 100, 0)
	_, port, _ := net.SplitHostPort(svc.address)
	const n = 5000
	for _, depth := range []string{"1", "16"} {
		out, err := exec.Command("redis-benchmark", "-p", port, "-n", strconv.Itoa(n), "-c", "20", "-P", depth, "-t", "ping,set,get,incr,mset", "-q").CombinedOutput()
		if err != nil || strings.Contains(string(out), "rror") {
			t.Fatalf("depth %s: %v: %s", depth, err, out)
		}
		t.Logf("depth %s: %s", depth, strings.ReplaceAll(string(out), "\r", "\n"))
	}
	if got := svc.Service.Counts().Commands.Load(); got < 2*6*n {
		t.Errorf("%d commands counted, want %d or more", got, 2*6*n)
	}
}
