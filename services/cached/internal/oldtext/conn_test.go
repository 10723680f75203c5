package oldtext

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	engine "github.com/everup/everup/services/cached/internal/oldengine"
	"github.com/everup/everup/shared/labtest"
)

// testNow is a fixed time for tests that need no clock.
const testNow = 1_800_000_000

// talk sends in to a connection over a fresh store and returns all it answers.
func talk(t *testing.T, now func() int64, chunks ...string) string {
	t.Helper()
	a, b := net.Pipe()
	c := NewConn(a, engine.New(64<<20, 1<<20), Options{
		Now: now, Version: "1.6.18", Stats: func() [][2]string { return [][2]string{{"pid", "1"}} },
		Flushed: func(int64) {}, Count: func(string) {},
	})
	done := make(chan error, 1)
	go func() { done <- c.Serve(); a.Close() }()
	var out bytes.Buffer
	read := make(chan struct{})
	go func() { io.Copy(&out, b); close(read) }()
	for _, s := range chunks {
		if _, err := io.WriteString(b, s); err != nil {
			break // it hung up: what it said counts
		}
	}
	io.WriteString(b, "quit\r\n")
	<-done
	<-read
	return out.String()
}

func fixed() int64 { return testNow }

// cases are conversations whose answers must be memcached's, byte for byte. One difference is deliberate and kept out: a get
// that fails by a key too long makes memcached 1.6.18 also discard the answers of the commands pipelined before it.
func cases() map[string]string {
	long := strings.Repeat("k", 251)
	return map[string]string{
		"store and get":     "set a 5 0 3\r\nabc\r\nget a\r\nget a b a\r\n",
		"modes":             "add a 0 0 1\r\n1\r\nadd a 0 0 1\r\n2\r\nreplace b 0 0 1\r\n1\r\nreplace a 7 0 1\r\n3\r\nappend a 0 0 2\r\nxy\r\nprepend a 9 0 1\r\n<\r\nget a\r\nappend zz 0 0 1\r\n1\r\n",
		"noreply":           "set a 0 0 1 noreply\r\n1\r\nadd a 0 0 1 noreply\r\n2\r\nget a\r\ndelete a noreply\r\nget a\r\nincr a 1 noreply\r\n",
		"cas missing":       "cas a 0 0 1 1\r\nx\r\ncas a 0 0 1 x\r\n",
		"delete":            "delete a\r\nset a 0 0 1\r\n1\r\ndelete a\r\ndelete a 0\r\ndelete a 5\r\ndelete\r\nset a 0 0 1\r\n1\r\ndelete a 0\r\n",
		"incr decr":         "set n 3 0 2\r\n10\r\nincr n 5\r\ndecr n 6\r\nget n\r\nincr n 18446744073709551615\r\ndecr n 100\r\nget n\r\nincr n -1\r\nincr n x\r\nincr n\r\nincr zz 1\r\nset n 0 0 1\r\nx\r\nincr n 1\r\nset n 0 0 0\r\n\r\nincr n 1\r\n",
		"incr wraps":        "set n 0 0 20\r\n18446744073709551615\r\nincr n 1\r\nget n\r\n",
		"touch gat":         "touch a 10\r\nset a 0 0 1\r\nx\r\ntouch a 10\r\ngat 10 a\r\ngat 10 a b\r\ntouch a x\r\ngat x a\r\ntouch a\r\ngat 1\r\n",
		"expired":           "set a 0 -1 1\r\nx\r\nget a\r\nset a 0 1 1\r\nx\r\ntouch a -1\r\nget a\r\n",
		"flush":             "set a 0 0 1\r\nx\r\nflush_all\r\nget a\r\nset a 0 0 1\r\ny\r\nget a\r\nflush_all x\r\nflush_all noreply\r\nget a\r\nflush_all 0\r\nflush_all -1\r\n",
		"bad lines":         "\r\nfoo\r\nget\r\ngets\r\nset a\r\nset a 0 0\r\nset a 0 0 x\r\nset a 0 0 -1\r\nset a x 0 1\r\nset a 0 x 1\r\nset a -1 0 1\r\nGET a\r\nverbosity\r\nverbosity 1\r\n",
		"bad chunk":         "set a 0 0 3\r\nabcd\r\nget a\r\n",
		"long key":          "set a 0 0 1 noreply\r\nx\r\nget a " + long + "\r\nset " + long + " 0 0 1\r\nx\r\ndelete " + long + "\r\ntouch " + long + " 0\r\nincr " + long + " 1\r\n",
		"key of 250":        "set " + long[:250] + " 0 0 1\r\nx\r\nget " + long[:250] + "\r\n",
		"too large":         "set a 0 0 1\r\nx\r\nset a 0 0 1048577\r\n" + strings.Repeat("y", 1048577) + "\r\nget a\r\n",
		"large flags":       "set a 4294967295 0 1\r\nx\r\nget a\r\n",
		"bare newline":      "set a 0 0 1\nx\r\nget a\n",
		"spaces":            "set  a  0  0  1\r\nx\r\nget  a \r\n",
		"control in key":    "set a\x01b 0 0 1\r\nx\r\nget a\x01b\r\n",
		"empty value":       "set a 0 0 0\r\n\r\nget a\r\n",
		"pipeline":          strings.Repeat("set a 0 0 1\r\nx\r\nget a\r\n", 50),
		"big multiget":      "set a 0 0 1\r\nx\r\nget" + strings.Repeat(" a", 5000) + "\r\n",
		"http":              "GET / HTTP/1.1\r\nget a\r\n",
		"version":           "version\r\n",
		"absolute exptime":  "set a 0 1000000000 1\r\nx\r\nget a\r\nset a 0 2147483647 1\r\nx\r\nget a\r\n",
		"noreply bad chunk": "set a 0 0 1 noreply\r\nabc\r\nget a\r\n",
	}
}

// Debian's memcached is the oracle: the same bytes to both, the same bytes back.
func TestAgainstMemcached(t *testing.T) {
	labtest.Needs(t, "memcached")
	socket := startMemcached(t)
	for name, in := range cases() {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprint(c, "flush_all\r\n")
			r := bufio.NewReader(c)
			if line, err := r.ReadString('\n'); line != "OK\r\n" {
				t.Fatalf("flush_all: %q, %v", line, err)
			}
			go func() { io.WriteString(c, in+"quit\r\n") }()
			want, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			clock := func() int64 { return time.Now().Unix() }
			if got := talk(t, clock, in); got != string(want) {
				t.Errorf("sent     %.300q\nmemcached %.600q\ncached    %.600q", in, want, got)
			}
		})
	}
}

// startMemcached runs Debian's memcached on a unix socket until the test ends.
func startMemcached(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "memcached.sock")
	cmd := exec.Command("memcached", "-u", "root", "-s", socket, "-m", "64")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	labtest.Eventually(t, 10*time.Second, "memcached listens", func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err
	})
	return socket
}

// Split at every byte, a conversation must read the same.
func TestSplitAtEveryByte(t *testing.T) {
	for _, name := range []string{"store and get", "modes", "bad chunk", "incr decr"} {
		in := cases()[name]
		want := talk(t, fixed, in)
		for i := range in {
			if got := talk(t, fixed, in[:i], in[i:]); got != want {
				t.Fatalf("%s split at %d: %q, want %q", name, i, got, want)
			}
		}
	}
}

func TestCAS(t *testing.T) {
	got := talk(t, fixed, "set a 0 0 1\r\n1\r\ngets a\r\ncas a 0 0 1 1\r\n2\r\ncas a 0 0 1 1\r\n3\r\ngets a\r\n")
	want := "STORED\r\nVALUE a 0 1 1\r\n1\r\nEND\r\nSTORED\r\nEXISTS\r\nVALUE a 0 1 2\r\n2\r\nEND\r\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExpiryByClock(t *testing.T) {
	now := int64(testNow)
	s := engine.New(1<<20, 1<<20)
	s.Set(now, engine.Set, []byte("a"), engine.Item{Value: []byte("x"), Expires: now + 10})
	if _, ok := s.Get(now+9, []byte("a")); !ok {
		t.Error("gone a second too early")
	}
	if _, ok := s.Get(now+10, []byte("a")); ok {
		t.Error("still there when its time has come")
	}
	s.Set(now, engine.Set, []byte("b"), engine.Item{Value: []byte("x")})
	s.Flush(now, now+5)
	if _, ok := s.Get(now+4, []byte("b")); !ok {
		t.Error("flushed before its delay")
	}
	s.Get(now+5, []byte("c"))
	s.Set(now+5, engine.Set, []byte("d"), engine.Item{Value: []byte("x")})
	if _, ok := s.Get(now+5, []byte("b")); ok {
		t.Error("not flushed after its delay")
	}
	if _, ok := s.Get(now+6, []byte("d")); !ok {
		t.Error("an item stored after the flush died with it")
	}
}

func FuzzConn(f *testing.F) {
	for _, in := range cases() {
		if len(in) < 4096 {
			f.Add([]byte(in))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := NewConn(&bytesConn{Reader: bytes.NewReader(in)}, engine.New(1<<20, 1<<16), Options{
			Now: fixed, Stats: func() [][2]string { return nil }, Flushed: func(int64) {}, Count: func(string) {},
		})
		c.Serve()
	})
}

// bytesConn is a connection that sends its bytes and takes whatever comes.
type bytesConn struct {
	net.Conn
	*bytes.Reader
}

func (b *bytesConn) Read(p []byte) (int, error)       { return b.Reader.Read(p) }
func (b *bytesConn) Write(p []byte) (int, error)      { return len(p), nil }
func (b *bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (b *bytesConn) SetWriteDeadline(time.Time) error { return nil }

// heap returns the bytes that are reachable.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Serve ends when the reader does; the connection's buffers are still there to be weighed, as those of an idle client are.
func served(s *engine.Store, in io.Reader) *Conn {
	c := NewConn(&readerConn{Reader: in}, s, Options{Now: fixed, Flushed: func(int64) {}, Count: func(string) {}})
	c.Serve()
	return c
}

// readerConn is a connection that sends what it reads and takes whatever comes.
type readerConn struct {
	net.Conn
	io.Reader
}

func (r *readerConn) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (r *readerConn) Write(p []byte) (int, error)      { return len(p), nil }
func (r *readerConn) SetReadDeadline(time.Time) error  { return nil }
func (r *readerConn) SetWriteDeadline(time.Time) error { return nil }

func TestAnIdleConnectionHoldsNoLongLine(t *testing.T) {
	line := "get" + strings.Repeat(" a", 500_000) + "\r\n"
	s := engine.New(1<<20, 1<<16)
	before := heap()
	c := served(s, strings.NewReader(line))
	if held := heap() - before; held > 100<<10 {
		t.Errorf("a connection holds %d bytes after a long multiget", held)
	}
	runtime.KeepAlive(c)
	runtime.KeepAlive(line)
}

// A long multiget may cost its own room a few times over, not a multiple for each key.
func TestALongMultigetIsNotListed(t *testing.T) {
	line := "get" + strings.Repeat(" a", 500_000) + "\r\n"
	s := engine.New(1<<20, 1<<16)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	served(s, strings.NewReader(line))
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(8*len(line)) {
		t.Errorf("a line of %d bytes took %d", len(line), took)
	}
}

func TestAPromisedValueTakesNoMemory(t *testing.T) {
	s := engine.New(1<<30, 1<<28)
	in, out := io.Pipe()
	done := make(chan struct{})
	before := heap()
	go func() { served(s, in); close(done) }()
	io.WriteString(out, "set a 0 0 268435456\r\nx") // the reader has it all when the next write begins to be read
	io.WriteString(out, "y")
	if held := heap() - before; held > 1<<20 {
		t.Errorf("a value that has not come holds %d bytes", held)
	}
	out.Close()
	<-done
}

// Sizes that the allocator rounds up are paid for in full.
func TestValuesAreAccountedFor(t *testing.T) {
	for _, size := range []int{4096, 8192, 20_000, 33_000, 70_000} {
		s := engine.New(1<<30, 1<<20)
		n := 16 << 20 / size
		var in bytes.Buffer
		for i := range n {
			fmt.Fprintf(&in, "set key%d 0 0 %d noreply\r\n%s\r\n", i, size, strings.Repeat("x", size))
		}
		before := heap()
		served(s, &in)
		if st, held := s.Stats(), heap()-before; st.Items != n || st.Bytes < held-held/100 {
			t.Errorf("%d values of %d bytes: %d items, accounted for %d bytes, the heap holds %d", n, size, st.Items, st.Bytes, held)
		}
		runtime.KeepAlive(s)
		runtime.KeepAlive(&in)
	}
}
