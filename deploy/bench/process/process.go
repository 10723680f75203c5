// Package process runs a program as a child process on a core of its own and measures it from outside: CPU time, memory and system
// calls.
//
// Start returns when the program accepts connections. The one goroutine that waits for the process belongs to the Process; Stop
// (or Kill) waits for it. A child dies with the process that started it.
package process

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Spec says what to run.
type Spec struct {
	Path    string   // of the binary, or its name in PATH
	Args    []string // its arguments
	Network string   // tcp or unix, that it accepts connections by
	Address string
	Core    int // that it is pinned to; negative: none
}

// Process is a running program.
type Process struct {
	Network, Address string

	cmd    *exec.Cmd
	began  time.Time
	stderr *tail
	done   chan struct{} // closed when the process has ended
	err    error         // of its end; read after done
}

// startLimit bounds the wait until a program accepts connections. A warm restart may take long.
const startLimit = 2 * time.Minute

// Start runs the program and waits until it accepts connections.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	args := spec.Args
	p := &Process{Network: spec.Network, Address: spec.Address, stderr: &tail{}, done: make(chan struct{})}
	name := spec.Path
	if spec.Core >= 0 {
		args = append([]string{"-c", strconv.Itoa(spec.Core), name}, args...)
		name = "taskset" // replaces itself by the program: the process id stays
	}
	p.cmd = exec.Command(name, args...)
	p.cmd.Stderr, p.cmd.Stdout = p.stderr, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "process: start %s", spec.Path)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.accepting(ctx); err != nil {
		p.Kill()
		return nil, fault.Wrap(fault.Of(err), err, "process: %s %q: %s", name, args, p.stderr)
	}
	return p, nil
}

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on just now.
func FreePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// accepting waits until a connection can be made.
func (p *Process) accepting(ctx context.Context) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		c, err := net.Dial(p.Network, p.Address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-p.done:
			return fault.New(fault.Unavailable, "ended: %v", p.err)
		case <-limit.C:
			return fault.Wrap(fault.Timeout, err, "no connection within %v", startLimit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Began returns when the process was started.
func (p *Process) Began() time.Time { return p.began }

// Pid returns its process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stop sends the signal and waits until the process has ended; after the limit it is killed and that is the error. The exit status of
// a process stopped by a signal says nothing and is not looked at.
func (p *Process) Stop(sig os.Signal, limit time.Duration) error {
	select {
	case <-p.done:
		return fault.New(fault.Unavailable, "process: %s ended by itself: %v: %s", p.cmd.Path, p.err, p.stderr)
	default:
	}
	p.cmd.Process.Signal(sig)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
		p.Kill()
		return fault.New(fault.Timeout, "process: %s did not end within %v of %v: %s", p.cmd.Path, limit, sig, p.stderr)
	}
}

// Kill ends the process at once and waits for it. It may be called again.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	t.buf = t.buf[max(len(t.buf)-tailSize, 0):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
