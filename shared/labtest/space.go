package labtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// space is a named network namespace, held open.
type space struct {
	name  string
	file  *os.File
	inode uint64
}

// newSpace makes a namespace.
func newSpace(name string) (*space, error) {
	if err := ipCommand("netns", "add", name); err != nil {
		return nil, err
	}
	s, err := openSpace(name)
	if err != nil {
		return nil, errors.Join(err, ipCommand("netns", "del", name))
	}
	return s, nil
}

// openSpace opens an existing namespace. A file that is no namespace is an error.
func openSpace(name string) (*space, error) {
	f, err := os.Open(filepath.Join(netnsDir, name))
	if err != nil {
		return nil, err
	}
	var fsinfo unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fsinfo); err != nil || fsinfo.Type != unix.NSFS_MAGIC {
		f.Close()
		return nil, fmt.Errorf("%s is no namespace", name)
	}
	inode, err := inodeOf(f.Name())
	if err != nil {
		f.Close()
		return nil, err
	}
	return &space{name: name, file: f, inode: inode}, nil
}

// remove ends the processes in the namespace and removes it. It may be called twice.
func (s *space) remove() error {
	err := s.killAll()
	s.file.Close()
	if e := ipCommand("netns", "del", s.name); e != nil {
		if _, gone := os.Lstat(filepath.Join(netnsDir, s.name)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// killAll sends SIGKILL to every other process in the namespace until there is none.
func (s *space) killAll() error {
	return poll(grace, func() error {
		pids := s.pids()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v are still in %s", pids, s.name)
		}
		return nil
	})
}

// pids returns the other living processes whose first thread is in the namespace.
func (s *space) pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A zombie has no namespace any more: its link cannot be followed.
		if inode, err := inodeOf(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && inode == s.inode {
			pids = append(pids, pid)
		}
	}
	return pids
}

// in runs f on a thread in the namespace and returns its error. Goroutines that f starts run elsewhere.
func (s *space) in(f func() error) error {
	return inOwnGoroutine(func() error { return onThread(s.enter, f) })
}

// enter moves the calling thread into the namespace.
func (s *space) enter() error {
	if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", s.name, err)
	}
	return nil
}

// inOwnGoroutine returns what f returns, or an error if f ends its goroutine, as t.FailNow does.
func inOwnGoroutine(f func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine")
		defer func() { result <- err }()
		err = f()
	}()
	return <-result
}

// onThread moves the calling goroutine's thread elsewhere by enter, runs f and moves it back. A thread that cannot be
// moved back stays locked to the goroutine and dies with it; the process's first thread would not die but stay there,
// so going back is never left out on purpose.
func onThread(enter, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// spawner starts processes from one thread that lives as long as the lab: the kernel sends a child its parent-death
// signal when the thread that made it ends, not the process.
type spawner struct {
	jobs chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// start starts cmd in the namespace. The child is killed when this process dies, however that happens.
func (sp *spawner) start(ns *space, cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error, 1)
	sp.jobs <- func() { result <- onThread(ns.enter, cmd.Start) }
	return <-result
}

func (sp *spawner) stop() {
	close(sp.jobs)
	<-sp.done
}

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// ipBatch runs commands of ip(8) in a namespace; the first that fails ends it.
func ipBatch(ns string, lines ...string) error {
	return runTool(strings.Join(lines, "\n")+"\n", "ip", "-n", ns, "-batch", "-")
}

func ipCommand(args ...string) error { return runTool("", "ip", args...) }

// runTool runs a program of the lab's own and returns its output as the error when it fails.
func runTool(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = grace
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// poll calls f until it returns nil or the time is over, and returns its last error. The pause grows from 1 to 50 ms.
func poll(timeout time.Duration, f func() error) error {
	deadline := time.Now().Add(timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}
