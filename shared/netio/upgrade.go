package netio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

// readyByte is what a successor writes when it serves.
const readyByte = 'R'

// defaultUpgradeTimeout is how long a successor has until it serves.
const defaultUpgradeTimeout = time.Minute

// Upgrader starts the program anew, as its file on disk is now, with the sockets of a Set. Both processes share the
// sockets' queues, so that no connection is refused between them: once the successor serves, this process stops
// accepting and drains.
//
// The unit needs NotifyAccess=all, for the successor speaks before it is the main process.
type Upgrader struct {
	Set    *Set
	Notify interface{ MainPID(pid int) error } // told once the successor serves, may be nil

	Timeout time.Duration       // until the successor must call Ready; 0 means a minute
	Path    string              // the program; "" means the path this process was started from
	Args    []string            // with argv[0]; nil means those of this process
	Env     []string            // added to this process's environment
	Files   map[string]*os.File // handed over besides the sockets, for Set.TakeFile there; they stay the caller's

	mu   sync.Mutex // held during an upgrade
	done bool       // a successor serves
}

// Upgrade starts the successor, waits until it calls Ready, tells the service manager that it is the main process now,
// and returns its pid; the caller then drains and exits. Where the successor dies, or is not ready in time or before ctx
// ends, it is killed and this process goes on as before: fault.Timeout, or fault.Unavailable with how it ended.
// fault.Conflict while another upgrade is under way or after one that succeeded.
func (u *Upgrader) Upgrade(ctx context.Context) (pid int, err error) {
	if !u.mu.TryLock() {
		return 0, fault.New(fault.Conflict, "netio: upgrade: one is under way")
	}
	defer u.mu.Unlock()
	if u.done {
		return 0, fault.New(fault.Conflict, "netio: upgrade: another process has taken over already")
	}
	c, err := u.start()
	if err != nil {
		return 0, fault.Wrap(fault.Of(err), err, "netio: upgrade")
	}
	pid = c.cmd.Process.Pid
	if err := u.handOver(ctx, c); err != nil {
		return 0, fault.Wrap(fault.Of(err), err, "netio: upgrade: process %d (%v)", pid, c.kill())
	}
	u.Set.HandedOver()
	u.done = true
	c.release()
	return pid, nil
}

func (u *Upgrader) handOver(ctx context.Context, c *successor) error {
	if err := c.await(ctx, u.timeout()); err != nil {
		return err
	}
	if u.Notify == nil {
		return nil
	}
	// A manager that does not know the successor would end it together with this process.
	return u.Notify.MainPID(c.cmd.Process.Pid)
}

func (u *Upgrader) timeout() time.Duration {
	if u.Timeout <= 0 {
		return defaultUpgradeTimeout
	}
	return u.Timeout
}

// successor is a process that is to take over.
type successor struct {
	cmd   *exec.Cmd
	ready *os.File // our end of the pipe
}

func (u *Upgrader) start() (*successor, error) {
	names, files, err := u.Set.Files()
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	for _, name := range sortedKeys(u.Files) {
		if !validName(name) {
			return nil, fault.New(fault.Invalid, "file name %q is not 1 to 255 printable characters without ':'", name)
		}
		names = append(names, name)
	}
	pass := files[:len(files):len(files)]
	for _, name := range names[len(files):] {
		pass = append(pass, u.Files[name])
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd, err := u.command(names, append(pass, w))
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "start"), r.Close())
	}
	return &successor{cmd: cmd, ready: r}, nil
}

// command passes files as descriptors 3 and following; the last is the pipe.
func (u *Upgrader) command(names []string, files []*os.File) (*exec.Cmd, error) {
	path, args := u.Path, u.Args
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil { // the path on disk, also after the file was replaced
			return nil, err
		}
	}
	if args == nil {
		args = os.Args
	}
	return &exec.Cmd{
		Path: path, Args: args, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: files,
		Env: handoverEnv(append(os.Environ(), u.Env...), names),
	}, nil
}

// handoverEnv is the environment for a successor. WATCHDOG_PID names this process, so it goes: WATCHDOG_USEC alone is for
// whoever has it.
func handoverEnv(base, names []string) []string {
	var env []string
	for _, kv := range base {
		k, _, _ := strings.Cut(kv, "=")
		switch k {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "WATCHDOG_PID", envHandover, envReadyFD:
		default:
			env = append(env, kv)
		}
	}
	return append(env,
		"LISTEN_FDS="+strconv.Itoa(len(names)),
		"LISTEN_FDNAMES="+strings.Join(names, ":"),
		envHandover+"=1",
		fmt.Sprintf("%s=%d", envReadyFD, firstListenFD+len(names)))
}

// await waits for the successor's word.
func (c *successor) await(ctx context.Context, timeout time.Duration) error {
	if err := c.ready.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [1]byte
	_, err := c.ready.Read(b[:])
	switch {
	case err == nil && b[0] == readyByte:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.Timeout, "not ready within %v", timeout)
	}
	return fault.New(fault.Unavailable, "ended before it was ready")
}

// kill ends the successor and tells how it ended.
func (c *successor) kill() error {
	c.ready.Close()
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return c.cmd.Wait()
}

// release leaves the successor to itself. This process exits soon, and whoever adopts the successor waits for it.
func (c *successor) release() {
	c.ready.Close()
	c.cmd.Process.Release() // only forgets the handle
}
