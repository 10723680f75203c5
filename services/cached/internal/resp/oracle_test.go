package resp

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/shared/labtest"
)

// startRedis runs Debian's redis-server on a unix socket until the test ends.
func startRedis(t *testing.T, args ...string) (socket string) {
	t.Helper()
	labtest.Needs(t, "redis-server")
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	labtest.Eventually(t, 10*time.Second, "redis-server listens", func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err
	})
	return socket
}

// redisClient has requests answered by Redis.
type redisClient struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dialRedis(t *testing.T, socket string) *redisClient {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &redisClient{t, c, bufio.NewReader(c)}
}

// ask sends request and returns its one answer, as sent.
func (c *redisClient) ask(request []byte) string {
	c.t.Helper()
	if err := c.c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.c.Write(request); err != nil {
		c.t.Fatal(err)
	}
	var answer strings.Builder
	if err := copyAnswer(c.r, &answer); err != nil {
		c.t.Fatalf("%q: after %q: %v", request, answer.String(), err)
	}
	return answer.String()
}

// copyAnswer copies one answer.
func copyAnswer(r *bufio.Reader, w *strings.Builder) error {
	head, err := r.ReadString('\n')
	w.WriteString(head)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(head[1:]))
	switch {
	case head[0] == '$' && n >= 0:
		_, err = io.CopyN(w, r, int64(n)+2)
	case head[0] == '*':
		for ; n > 0 && err == nil; n-- {
			err = copyAnswer(r, w)
		}
	}
	return err
}

func request(words ...string) []byte {
	b := redcon.AppendArray(nil, len(words))
	for _, w := range words {
		b = redcon.AppendBulkString(b, w)
	}
	return b
}

// chance makes requests, sensible ones and others.
type chance struct{ *rand.Rand }

func (c chance) of(words ...string) string { return words[c.IntN(len(words))] }

func (c chance) key() string { return c.of("a", "b", "c", "n", "m", strings.Repeat("k", 250)) }

func (c chance) value() string {
	switch c.IntN(8) {
	case 0:
		return c.of("", "0", "-0", "+1", "007", " 1", "1 ", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.5")
	case 1, 2, 3:
		return fmt.Sprint(c.Int64N(1000) - 500)
	case 4:
		return strings.Repeat("v", c.IntN(100_000))
	}
	return c.of("some value", "line\r\nend\x00", "x")
}

func (c chance) number() string {
	return c.of("1", "-1", "10", "0", "100", "1000", "9223372036854775807", "-9223372036854775808", "9223372036854775", "x", "", "1.5", "01", "99999999999999999999")
}

// time is one that does not pass while the test runs, or a wrong one.
func (c chance) time() string {
	return c.of("1000000", "1000000", "2000000", "-1", "0", "x", "", "1.5", "01", "99999999999999999999")
}

func (c chance) words(least int, f func() string) (w []string) {
	for range least + c.IntN(4) {
		w = append(w, f())
	}
	return w
}

func (c chance) setOptions() (w []string) {
	for range c.IntN(4) {
		switch c.IntN(9) {
		case 0:
			w = append(w, "NX")
		case 1:
			w = append(w, "xx")
		case 2:
			w = append(w, "GET")
		case 3:
			w = append(w, "KEEPTTL")
		case 4:
			w = append(w, "PERSIST")
		case 5:
			w = append(w, c.of("EX", "ex"), c.of("100", "200", "9223372036854775807", "9223372036854775", c.time()))
		case 6:
			w = append(w, c.of("PX", "px"), c.of("100000", "200000"))
		case 7:
			w = append(w, c.of("EXAT", "PXAT"), c.of("0", "-5", "x"))
			if c.IntN(3) > 0 {
				w = append(w[:len(w)-2], "EXAT", "4000000000")
			}
		case 8:
			w = append(w, c.of("foo", "EX", "PX"))
		}
	}
	return w
}

// request makes one request.
func (c chance) request() []string {
	switch c.IntN(30) {
	case 0, 1, 2:
		return append([]string{c.of("SET", "set"), c.key(), c.value()}, c.setOptions()...)
	case 3, 4:
		return []string{"get", c.key()}
	case 5:
		return append([]string{"MGET"}, c.words(0, c.key)...)
	case 6:
		w := []string{"MSET"}
		for range c.IntN(4) {
			w = append(w, c.key(), c.value())
		}
		if c.IntN(5) == 0 {
			w = append(w, c.key())
		}
		return w
	case 7:
		return []string{"SETNX", c.key(), c.value()}
	case 8:
		return []string{c.of("SETEX", "PSETEX"), c.key(), c.time(), c.value()}
	case 9:
		return []string{"GETSET", c.key(), c.value()}
	case 10:
		return []string{"GETDEL", c.key()}
	case 11:
		return append([]string{"GETEX", c.key()}, c.setOptions()...)
	case 12:
		return []string{"APPEND", c.key(), c.value()[:0] + c.of("x", "", "yy", "1")}
	case 13:
		return []string{"STRLEN", c.key()}
	case 14, 15:
		return []string{c.of("INCR", "DECR"), c.key()}
	case 16, 17:
		return []string{c.of("INCRBY", "DECRBY"), c.key(), c.number()}
	case 18:
		return append([]string{c.of("DEL", "UNLINK")}, c.words(0, c.key)...)
	case 19:
		return append([]string{c.of("EXISTS", "TOUCH")}, c.words(0, c.key)...)
	case 20, 21:
		w := []string{c.of("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"), c.key(), c.time()}
		if strings.HasSuffix(w[0], "EXPIRE") && c.IntN(5) == 0 {
			w[2] = c.of("9223372036854775807", "-9223372036854775808")
		}
		for range c.IntN(3) {
			w = append(w, c.of("NX", "XX", "nx", "foo"))
			if strings.HasSuffix(w[0], "AT") { // else the milliseconds between two requests decide
				w[len(w)-1] = c.of("GT", "LT", "NX", "gt")
			}
		}
		return w
	case 22, 23:
		return []string{c.of("TTL", "PERSIST", "TYPE", "EXPIRETIME"), c.key()}
	case 24:
		return []string{c.of("PING", "ECHO", "TYPE"), c.of("a", "message", "b\r\n", strings.Repeat("m", 200))}
	case 25:
		return []string{"SELECT", c.of("0", "99", "x", "-1", "99999999999")}
	case 26:
		return []string{c.of("GET", "SET", "TTL", "PING", "INCRBY", "DBSIZE", "FLUSHALL", "STRLEN", "AUTH", "EXPIRE", "APPEND"), "a", "b", "c"}
	case 27:
		return append([]string{c.of("NOSUCH", "nosuch\r\nx", strings.Repeat("n", 200), "GET\x00")}, c.words(0, c.value)...)
	case 28:
		return c.oddity()
	}
	return []string{c.of("DBSIZE", "PING", "GET", "SET", "ECHO", "AUTH", "CLIENT", "CONFIG")}
}

// oddity is a request about the connection.
func (c chance) oddity() []string {
	switch c.IntN(8) {
	case 0:
		return []string{"CLIENT", "SETNAME", c.of("me", "", "with space", "x\ny")}
	case 1:
		return []string{"CLIENT", c.of("GETNAME", "NOSUCH", "id", "setname"), "x"}
	case 2:
		return []string{"CLIENT", "GETNAME"}
	case 3:
		return []string{"HELLO", c.of("3x", "1", "4", "x")}
	case 4:
		return []string{"HELLO", "2", c.of("AUTH", "SETNAME", "foo"), "default"}
	case 5:
		return []string{"CONFIG", "GET", c.of("save", "appendonly", "sav?", "[s]ave", "nothing")}
	case 6:
		return []string{"CLIENT", "NO-EVICT", c.of("ON", "off", "x")}
	}
	return []string{"AUTH", c.of("x", "default"), "y"}
}

// idOf finds the number of the connection in an answer to HELLO.
var idOf = regexp.MustCompile(`id\r\n:\d+`)

var timeOf = regexp.MustCompile(`^:(\d+)\r\n$`)

// sameAnswer compares two answers: times that count from now may differ by a second of the clocks.
func sameAnswer(words []string, a, b string) bool {
	if idOf.ReplaceAllString(a, "id") == idOf.ReplaceAllString(b, "id") {
		return true
	}
	ma, mb := timeOf.FindStringSubmatch(a), timeOf.FindStringSubmatch(b)
	if ma == nil || mb == nil || words[0] != "TTL" && words[0] != "EXPIRETIME" {
		return false
	}
	x, _ := strconv.ParseInt(ma[1], 10, 64)
	y, _ := strconv.ParseInt(mb[1], 10, 64)
	return x-y <= 1 && y-x <= 1
}

// TestAgainstRedis has random requests answered by Redis and by a session and compares every byte.
func TestAgainstRedis(t *testing.T) {
	requests := 30_000
	if testing.Short() {
		requests = 3_000
	}
	theirs := dialRedis(t, startRedis(t))
	env := newEnv(t, engine.Options{})
	svc := NewService(Options{Env: env})
	ours := newRig(t, svc)
	seed := uint64(time.Now().UnixNano())
	c := chance{rand.New(rand.NewPCG(seed, 1))}
	for i := range requests {
		env.Clock.Set(time.Now().Unix())
		words := c.request()
		b := request(words...)
		want := theirs.ask(b)
		ours.give(b)
		if got := ours.take(); !sameAnswer(words, want, got) {
			t.Fatalf("seed %d, request %d: %.100q\n got %.300q\nwant %.300q", seed, i, words, got, want)
		}
	}
}
