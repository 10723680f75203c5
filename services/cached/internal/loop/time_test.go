package loop

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/shared/labtest"
	"golang.org/x/sys/unix"
)

func limits(l Limits) option { return func(o *Options) { o.Limits = l } }

func TestIdleKick(t *testing.T) {
	r := start(t, "tcp", limits(Limits{Idle: 10 * time.Second}))
	unborn := r.dial(t)
	quiet := r.dial(t).send("echo a\r\n").want("a\r\n")
	partial := r.dial(t).send("echo a\r\necho b").want("a\r\n")
	lively := r.dial(t).send("echo a\r\n").want("a\r\n")
	away := r.dial(t).send("detach\r\nx\r\n").want("away: x\r\n")
	r.tick(9)
	lively.send("echo b\r\n").want("b\r\n") // which also shows that nobody was kicked so far: the next lines would be late
	if n := r.gate.Counts().Current; n != 5 {
		t.Errorf("after 9 s there are %d connections, want 5", n)
	}
	r.tick(1)
	unborn.wantEnd()
	quiet.wantEnd()
	partial.wantEnd()
	lively.send("echo c\r\n").want("c\r\n")
	away.send("y\r\n").want("away: y\r\n")
	if n := r.idleKicks(); n != 3 {
		t.Errorf("%d kicks are counted, want 3", n)
	}
}

func (r *rig) idleKicks() (n uint64) {
	for _, c := range r.g.Counts() {
		n += c.IdleKicks.Load()
	}
	return n
}

func TestIdleKickAfterReload(t *testing.T) {
	r := start(t, "unix")
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	r.tick(100)
	c.send("echo b\r\n").want("b\r\n")
	r.g.SetLimits(Limits{Idle: time.Second})
	r.tick(1)
	c.wantEnd()
}

func TestStuckReader(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network, limits(Limits{Write: 10 * time.Second}))
		c := r.dial(t).send("big 16000000\r\n").want("b")
		well := r.dial(t)
		// The kernel's buffers may go on filling for a while, which is progress: so 10 s are enough only after the last of it.
		for range 30 {
			r.tick(1)
			well.send("echo a\r\n").want("a\r\n")
		}
		c.wantCut()
		if n := r.slowReaders(); n != 1 {
			t.Errorf("%d slow readers are counted, want 1", n)
		}
	})
}

func (r *rig) slowReaders() (n uint64) {
	for _, c := range r.g.Counts() {
		n += c.SlowReaders.Load()
	}
	return n
}

func TestSlowReaderIsWaitedFor(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network, limits(Limits{Write: 10 * time.Second}))
		c := r.dial(t).send("big 16000000\r\n")
		// 5 MB in 10 s, more than the socket's buffers take without a word to the server.
		for range 32 {
			c.want(strings.Repeat("b", 500_000))
			r.tick(1)
		}
		c.want("\r\n").send("echo a\r\n").want("a\r\n")
		if n := r.slowReaders(); n != 0 {
			t.Errorf("%d slow readers are counted, want none", n)
		}
	})
}

func TestOverLimit(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network, func(o *Options) { o.Gate = conns.NewGate(3, true) })
		var all []*client
		for range 3 {
			all = append(all, r.dial(t).send("echo a\r\n").want("a\r\n"))
		}
		for range 5 {
			r.dial(t).want(conns.Refusal).wantEnd()
		}
		all[0].send("quit\r\n").wantEnd()
		r.dial(t).send("echo b\r\n").want("b\r\n")
		r.dial(t).want(conns.Refusal).wantEnd()
		r.gate.Set(4, true)
		r.dial(t).send("echo c\r\n").want("c\r\n")
		if c := r.gate.Counts(); c.Rejected != 6 || c.Current != 4 {
			t.Errorf("the counts are %+v", c)
		}
	})
}

func TestShutAtTheLimit(t *testing.T) {
	r := start(t, "tcp", func(o *Options) { o.Gate = conns.NewGate(2, false) })
	a := r.dial(t).send("echo a\r\n").want("a\r\n")
	b := r.dial(t).send("echo b\r\n").want("b\r\n")
	waits := r.dial(t).send("echo c\r\n") // in the kernel's queue
	if c := r.gate.Counts(); c.Accepting || c.ShutTimes != 1 {
		t.Errorf("at the limit the counts are %+v", c)
	}
	b.send("echo d\r\n").want("d\r\n")
	a.send("quit\r\n").wantEnd()
	waits.want("c\r\n")
	if c := r.gate.Counts(); c.Rejected != 0 || c.Total != 3 || c.ShutTimes != 2 {
		t.Errorf("the counts are %+v", c)
	}
}

func TestOutOfDescriptors(t *testing.T) {
	told := make(chan error, 10)
	r := start(t, "tcp", func(o *Options) { o.Threads = 1; o.Hooks.Accept = func(err error) { told <- err } })
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	// The client's end takes the last descriptor.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	free, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(free)
	now := was
	now.Cur = uint64(free)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	a := r.addr.(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("the hook was told %v", err)
	}
	c.send("echo b\r\n").want("b\r\n")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	r.tick(1)
	if err := <-told; err != nil {
		t.Errorf("the hook was told %v after the limit was raised", err)
	}
	if n := r.gate.Counts().Current; n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestBuffersAreBounded(t *testing.T) {
	r := start(t, "unix", func(o *Options) { o.Threads = 1; o.Limits = Limits{Buffers: 1 << 20} })
	line := "echo " + strings.Repeat("x", 500_000)
	first := r.dial(t).send(line)
	second := r.dial(t)
	// Both lines together do not fit; whichever asks for the last bytes goes.
	second.Write([]byte(line))
	second.Write([]byte(line))
	labtest.Eventually(t, 10*time.Second, "one is closed", func() error {
		if n := r.g.Stats().BuffersFull; n != 1 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	second.wantCut()
	first.send("\r\n").want(strings.Repeat("x", 500_000) + "\r\n")
	// A small rest is always kept.
	r.dial(t).send("echo a").send("bc\r\n").want("abc\r\n")
}
