package resp

import (
	"bufio"
	"context"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/shared/labtest"
)

// startServe serves on a TCP port until the test ends.
func startServe(t *testing.T, o Options) (svc *Service, address string) {
	t.Helper()
	labtest.LeakCheck(t)
	if o.Env == nil {
		o.Env = newEnv(t, engine.Options{Memory: 1 << 30, MaxItem: 64 << 20})
		o.Env.Clock.Set(time.Now().Unix())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	svc = NewService(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- svc.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := svc.Connected(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return svc, ln.Addr().String()
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
	svc, address := startServe(t, Options{})
	c, r := dial(t, address)
	value := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB
	if got := ask(t, c, r, "SET", "k", value); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	if got := ask(t, c, r, "GET", "k"); got != "$16777216\r\n"+value+"\r\n" {
		t.Errorf("GET answers %d bytes", len(got))
	}
	if got := svc.Counts().BytesRead.Load(); got < 16<<20 {
		t.Errorf("%d bytes read", got)
	}
}

// TestSlowReaderHoldsLittle asks for 1 GiB and reads none of it.
func TestSlowReaderHoldsLittle(t *testing.T) {
	svc, address := startServe(t, Options{WriteTimeout: 300 * time.Millisecond})
	c, r := dial(t, address)
	if got := ask(t, c, r, "SET", "k", strings.Repeat("v", 1<<20)); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	before := svc.Counts().BytesWritten.Load()
	if _, err := c.Write(request(append([]string{"MGET"}, strings.Fields(strings.Repeat("k ", 1024))...)...)); err != nil {
		t.Fatal(err)
	}
	labtest.Eventually(t, 10*time.Second, "the slow reader is dropped", func() error {
		if svc.Counts().SlowReaders.Load() == 0 || svc.Connected() > 0 {
			return io.ErrNoProgress
		}
		return nil
	})
	if n := svc.Counts().BytesWritten.Load() - before; n > 64<<20 {
		t.Errorf("%d bytes were written to a client that does not read", n)
	}
}

func TestConnectionLimit(t *testing.T) {
	svc, address := startServe(t, Options{Clients: 1})
	c, r := dial(t, address)
	if got := ask(t, c, r, "PING"); got != "+PONG\r\n" {
		t.Fatalf("PING: %q", got)
	}
	second, _ := dial(t, address)
	if got, _ := io.ReadAll(second); string(got) != "-ERR max number of clients reached\r\n" {
		t.Errorf("the second connection got %q", got)
	}
	if n := svc.Counts().Rejected.Load(); n != 1 {
		t.Errorf("%d rejected, want 1", n)
	}
}

func TestIdleIsClosed(t *testing.T) {
	svc, address := startServe(t, Options{Idle: 50 * time.Millisecond})
	c, _ := dial(t, address)
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("an idle connection got %q, %v; want a close", got, err)
	}
	if n := svc.Counts().IdleKicks.Load(); n != 1 {
		t.Errorf("%d idle connections closed, want 1", n)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	svc := NewService(Options{Env: newEnv(t, engine.Options{})})
	done := make(chan error)
	go func() { done <- svc.Serve(context.Background(), ln) }()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("Serve returned nil although nobody asked it to end")
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
	_, address := startServe(t, Options{Password: "secret"})
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
	svc, address := startServe(t, Options{})
	_, port, _ := net.SplitHostPort(address)
	const n = 5000
	for _, depth := range []string{"1", "16"} {
		out, err := exec.Command("redis-benchmark", "-p", port, "-n", strconv.Itoa(n), "-c", "20", "-P", depth, "-t", "ping,set,get,incr,mset", "-q").CombinedOutput()
		if err != nil || strings.Contains(string(out), "rror") {
			t.Fatalf("depth %s: %v: %s", depth, err, out)
		}
		t.Logf("depth %s: %s", depth, strings.ReplaceAll(string(out), "\r", "\n"))
	}
	if got := svc.Counts().Commands.Load(); got < 2*6*n {
		t.Errorf("%d commands counted, want %d or more", got, 2*6*n)
	}
}
