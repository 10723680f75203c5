package holder

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// readable waits until a pidfd can be read.
func readable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10000)
		if n == 1 {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("the descriptor cannot be read: %v", err)
		}
	}
}

func watchPid(t *testing.T, pid int) *parent {
	t.Helper()
	poll, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := watchParent(pidfd, poll)
	if err != nil || p.pid != pid || len(p.threads) == 0 {
		t.Fatalf("%v; pid %d of %d, %d threads", err, p.pid, pid, len(p.threads))
	}
	t.Cleanup(func() { p.close(); unix.Close(pidfd); unix.Close(poll.fd) })
	return p
}

// TestParentDies: a thread's end says so.
func TestParentDies(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := watchPid(t, cmd.Process.Pid)
	if dying(p.pid) {
		t.Error("a process that lives is taken for dying")
	}
	cmd.Process.Kill()
	readable(t, p.threads[0])
	if !p.died(p.threads[0]) || !p.died(p.pidfd) {
		t.Error("the death is not seen")
	}
	cmd.Wait()
}

// TestThreadEnds: that of a thread alone does not.
func TestThreadEnds(t *testing.T) {
	p := watchPid(t, os.Getpid())
	tids, end := make(chan int), make(chan bool)
	thread := func() int {
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine, unless it is the process's first
			tids <- unix.Gettid()
			<-end
		}()
		return <-tids
	}
	tid := thread()
	if tid == os.Getpid() {
		tid = thread()
	}
	fd, err := unix.PidfdOpen(tid, unix.PIDFD_THREAD)
	if err != nil {
		t.Fatal(err)
	}
	p.threads = append(p.threads, fd)
	close(end)
	readable(t, fd)
	if p.died(fd) {
		t.Error("a thread's end is taken for the process's")
	}
	if n := len(p.threads); n > 0 && p.threads[n-1] == fd {
		t.Error("it is still watched")
	}
	if p.died(12345) {
		t.Error("a foreign descriptor is taken for the daemon's")
	}
}
