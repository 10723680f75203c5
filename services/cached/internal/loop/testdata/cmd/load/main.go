// Command load keeps a server of the memcached protocol busy with `get k` in a closed loop, from one thread, and prints what the server's
// threads cost: the time on the CPU by the kernel's schedstat, for each answer.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const answerLen = len("VALUE k 0 100\r\n") + 100 + len("\r\nEND\r\n")

func main() {
	addr := flag.String("addr", "127.0.0.1:22211", "TCP address, or path of a unix socket")
	pid := flag.Int("pid", 0, "the server's process")
	clients := flag.Int("c", 50, "connections")
	depth := flag.Int("d", 1, "requests in flight on each")
	last := flag.Duration("for", 4*time.Second, "time to run")
	rate := flag.Int("rate", 0, "requests per second in all; 0: as fast as they are answered")
	flag.Parse()
	if err := run(*addr, *pid, *clients, *depth, *last, *rate); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(addr string, pid, clients, depth int, last time.Duration, rate int) error {
	runtime.LockOSThread()
	epfd, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	got := map[int32]int{}
	request := bytes.Repeat([]byte("get k\r\n"), depth)
	var fds []int32
	for i := range clients {
		fd, err := connect(addr, i == 0)
		if err != nil {
			return err
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return err
		}
		fds = append(fds, int32(fd))
	}
	before, start := cpu(pid), time.Now()
	var answers, due int
	idle := fds
	send := func(fd int32) error { _, err := unix.Write(int(fd), request); return err }
	events, buf := make([]unix.EpollEvent, 64), make([]byte, 64<<10)
	for time.Since(start) < last {
		if due = clients; rate > 0 {
			due = int(float64(rate)*time.Since(start).Seconds()) - answers - (clients-len(idle))*depth
			due /= depth
		}
		for len(idle) > 0 && due > 0 {
			if err := send(idle[0]); err != nil {
				return err
			}
			idle, due = idle[1:], due-1
		}
		wait := -1
		if rate > 0 {
			wait = 0
		}
		n, err := unix.EpollWait(epfd, events, wait)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, ev := range events[:max(n, 0)] {
			k, err := unix.Read(int(ev.Fd), buf)
			if err != nil || k == 0 {
				return fmt.Errorf("the server closed: %v", err)
			}
			if got[ev.Fd] += k; got[ev.Fd] < depth*answerLen {
				continue
			}
			got[ev.Fd] = 0
			answers += depth
			idle = append(idle, ev.Fd)
		}
	}
	took, used := time.Since(start), cpu(pid)-before
	fmt.Printf("%s c=%d depth=%d: %.0f answers/s, %.3f us CPU each, busy %.0f %%\n", addr, clients, depth,
		float64(answers)/took.Seconds(), float64(used.Microseconds())/float64(answers), 100*used.Seconds()/took.Seconds())
	return nil
}

// connect opens a connection, and stores k by the first.
func connect(addr string, store bool) (int, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if store {
		fmt.Fprintf(c, "set k 0 0 100\r\n%s\r\n", bytes.Repeat([]byte("v"), 100))
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			return 0, err
		}
		c.Close()
		return connect(addr, false)
	}
	f, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		return 0, err
	}
	return fd, nil
}

// cpu is the time that the threads of a process have run.
func cpu(pid int) time.Duration {
	var sum time.Duration
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		var ns int64
		if b, err := os.ReadFile(f); err == nil {
			fmt.Sscan(string(b), &ns)
		}
		sum += time.Duration(ns)
	}
	return sum
}
