package loop

import (
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/everup/everup/services/cached/internal/session"
	"golang.org/x/sys/unix"
)

// arrived tells whether anything can be read.
func (c *client) arrived() bool {
	raw, err := c.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return true
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT) })
	return err != nil || n > 0
}

// together makes the requests of all clients events of one look at a loop: they are sent from within a step. each is called in each of their steps.
func (r *rig) together(clients []*client, request string, each func(n int)) {
	n := -1
	step := func(*session.Peer) {
		if n++; n == 0 {
			for _, c := range clients {
				c.Write([]byte(request))
			}
			return
		}
		each(n)
	}
	r.scripts.OnStep.Store(&step)
}

func TestLongAnswersAreSentTogether(t *testing.T) {
	f := func(length int, waits bool) {
		t.Helper()
		r := start(t, "unix", func(o *Options) { o.Threads = 1 })
		var clients []*client
		for range 2*delayMost + 1 {
			clients = append(clients, r.dial(t).send("echo a\r\n").want("a\r\n"))
		}
		trigger, others := clients[0], clients[1:]
		var early atomic.Int32
		r.together(others, "echo "+strings.Repeat("x", length)+"\r\n", func(n int) {
			if n > delayMost { // the first have been sent by then
				return
			}
			for _, c := range others {
				if c.arrived() {
					early.Add(1)
				}
			}
		})
		trigger.send("echo b\r\n").want("b\r\n")
		for _, c := range others {
			c.want(strings.Repeat("x", length) + "\r\n")
		}
		if got := early.Load() == 0; got != waits {
			t.Errorf("answers of %d bytes: %d came before the last of them was made", length, early.Load())
		}
		for _, c := range others {
			c.send("echo c\r\n").want("c\r\n")
		}
	}
	f(delayLeast, true)
	f(100, false)
}

// Who has gone, or does not read, holds nobody up whose answer waits with his.
func TestDelayedForTheGone(t *testing.T) {
	r := start(t, "unix", func(o *Options) { o.Threads = 1 })
	var clients []*client
	for range 6 {
		clients = append(clients, r.dial(t).send("echo a\r\n").want("a\r\n"))
	}
	trigger, others := clients[0], clients[1:]
	long := strings.Repeat("x", delayLeast)
	r.together(others, "echo "+long+"\r\n", func(n int) {
		if n == 3 {
			others[0].Close()
		}
	})
	trigger.send("echo b\r\n").want("b\r\n")
	for _, c := range others[1:] {
		c.want(long + "\r\n").send("echo c\r\n").want("c\r\n")
	}
}

// A group that drains sends what waits, then closes.
func TestDelayedWhileDraining(t *testing.T) {
	r := start(t, "unix", func(o *Options) { o.Threads = 1 })
	var clients []*client
	for range 4 {
		clients = append(clients, r.dial(t).send("echo a\r\n").want("a\r\n"))
	}
	trigger, others := clients[0], clients[1:]
	long, done := strings.Repeat("x", delayLeast), make(chan error, 1)
	r.together(others, "echo "+long+"\r\n", func(n int) {
		if n == 2 {
			go func() { done <- r.g.Drain(t.Context()) }()
			for r.g.phase.Load() < drained {
				runtime.Gosched()
			}
		}
	})
	trigger.send("echo b\r\n")
	for _, c := range others {
		c.want(long + "\r\n").wantEnd()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
