package loop

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"github.com/everup/everup/services/cached/internal/conns"
	"golang.org/x/sys/unix"
)

// mostIdle is what an idle connection may cost of the Go heap, bytes.
const mostIdle = 128

// TestIdleBytes measures it, with as many connections as there may be descriptors.
func TestIdleBytes(t *testing.T) {
	f := func(n int) {
		t.Helper()
		if !descriptors(n + 200) {
			t.Logf("%d connections: there are not so many descriptors", n)
			return
		}
		r := start(t, "unix", func(o *Options) { o.Gate = conns.NewGate(n, true) })
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		end := holdConnections(t, r.addr.String(), n)
		r.settled(t, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		end()
		each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(n)
		t.Logf("%d idle connections: %d bytes each, of which %d are the slab's entry", n, each, unsafe.Sizeof(conn{}))
		if each > mostIdle {
			t.Errorf("an idle connection costs %d bytes, want at most %d", each, mostIdle)
		}
		r.settled(t, 0)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	f(10_000)
	f(100_000)
}

// descriptors raises the limit to n, where it may. The limit is left there: other tests are not in need of a low one.
func descriptors(n int) bool {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil && l.Cur >= uint64(n) {
		return true
	}
	l = unix.Rlimit{Cur: uint64(n), Max: max(l.Max, uint64(n))}
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &l) == nil
}

const holdEnv = "LOOP_TEST_HOLD" // the path to connect to

// holdConnections has another process hold n connections, whose descriptors and memory are not counted here, until end.
func holdConnections(t *testing.T, path string, n int) (end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHoldConnections$", "-test.count=1")
	cmd.Env = append(os.Environ(), holdEnv+"="+path, holdEnv+"_N="+strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process that held the connections: %v", err)
		}
	}
}

// TestHoldConnections is that process.
func TestHoldConnections(t *testing.T) {
	path := os.Getenv(holdEnv)
	if path == "" {
		return // there is nothing to test here
	}
	n, _ := strconv.Atoi(os.Getenv(holdEnv + "_N"))
	descriptors(n + 200)
	for range n {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
	}
	io.Copy(io.Discard, os.Stdin)
}
