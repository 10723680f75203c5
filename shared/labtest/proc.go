package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Proc is a process in a host. It dies with the test, however the test ends.
type Proc struct {
	Name string

	host *Host
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed once it is dead and its output is read
}

// Start starts a program in the host under a name for messages. What it writes goes, up to a bound, to
// <host>-<name>.log in the test's artifact directory, and its last lines to the test's log if the test fails.
func (h *Host) Start(name, program string, args ...string) *Proc {
	h.lab.t.Helper()
	return h.StartCmd(name, exec.Command(program, args...))
}

// StartCmd is Start for a command whose environment, directory or input the caller has set. Its outputs are taken.
func (h *Host) StartCmd(name string, cmd *exec.Cmd) *Proc {
	t := h.lab.t
	t.Helper()
	dir := t.ArtifactDir()
	// A benchmark is run several times and its directory is removed after the first.
	err := os.MkdirAll(dir, 0o755)
	if err != nil {
		t.Fatalf("labtest: start %s: %v", name, err)
	}
	file, err := os.CreateTemp(dir, h.Name+"-"+filepath.Base(name)+"-*.log")
	if err != nil {
		t.Fatalf("labtest: start %s: %v", name, err)
	}
	p := &Proc{Name: name, host: h, cmd: cmd, out: newOutput(file), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = time.Second // a grandchild may hold the outputs open
	if err := h.lab.spawner.start(h.ns, cmd); err != nil {
		p.out.close()
		t.Fatalf("labtest: start %s: %v", name, err)
	}
	h.lab.mu.Lock()
	h.lab.procs = append(h.lab.procs, p)
	h.lab.mu.Unlock()
	go p.reap()
	return p
}

func (p *Proc) reap() {
	p.cmd.Wait() // how it ended is in ProcessState
	p.out.close()
	close(p.done)
}

// Pid returns the process's id.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Done is closed once the process is dead and all it wrote is read.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Running says whether the process has not been seen to end.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// state says in words whether and how the process ended.
func (p *Proc) state() string {
	if p.Running() {
		return "running"
	}
	return p.cmd.ProcessState.String()
}

// Signal sends a signal to the process alone.
func (p *Proc) Signal(sig os.Signal) {
	p.host.lab.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.host.lab.t.Fatalf("labtest: signal %v to %s: %v", sig, p.Name, err)
	}
}

// Kill sends SIGKILL to the process alone, as the kernel does when memory runs out, and waits for its death. Its own
// children live on until the test ends.
func (p *Proc) Kill() {
	p.host.lab.t.Helper()
	p.Signal(syscall.SIGKILL)
	p.Wait(grace)
}

// Stop freezes the process: it holds its sockets and answers nothing.
func (p *Proc) Stop() { p.host.lab.t.Helper(); p.Signal(syscall.SIGSTOP) }

// Cont thaws a frozen process.
func (p *Proc) Cont() { p.host.lab.t.Helper(); p.Signal(syscall.SIGCONT) }

// Terminate sends SIGTERM, waits and returns the exit code.
func (p *Proc) Terminate(timeout time.Duration) int {
	p.host.lab.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(timeout)
}

// Wait waits for the process to end and returns its exit code, -1 if a signal ended it. A process that outlasts the
// time-out fails the test.
func (p *Proc) Wait(timeout time.Duration) int {
	p.host.lab.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(timeout):
		p.host.lab.t.Fatalf("labtest: %s did not end within %v", p.Name, timeout)
		return -1
	}
}

// Usage returns the processor time the ended process has used.
func (p *Proc) Usage() time.Duration {
	<-p.done
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// end kills the process if it lives and waits for it.
func (p *Proc) end() {
	p.cmd.Process.Kill() // fails only if it is dead
	<-p.done
}

// Output returns the last lines that the process wrote to its two outputs, within the kept bound.
func (p *Proc) Output() string { return p.out.String() }

// Mark returns the number of lines written so far, for WaitLineFrom.
func (p *Proc) Mark() int { return p.out.mark() }

// WaitLine waits for a line that matches the expression, among all since the start, and returns it. If it does not
// come in time or the process ends without it, the test fails.
func (p *Proc) WaitLine(expr string, timeout time.Duration) string {
	p.host.lab.t.Helper()
	return p.WaitLineFrom(0, expr, timeout)
}

// WaitLineFrom is WaitLine among the lines after a mark.
func (p *Proc) WaitLineFrom(mark int, expr string, timeout time.Duration) string {
	p.host.lab.t.Helper()
	re := regexp.MustCompile(expr)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		line, ok, more := p.out.find(&mark, re)
		if ok {
			return line
		}
		if more == nil {
			p.host.lab.t.Fatalf("labtest: %s ended (%s) without a line like %q", p.Name, p.state(), expr)
		}
		select {
		case <-more:
		case <-timer.C:
			p.host.lab.t.Fatalf("labtest: %s wrote no line like %q within %v", p.Name, expr, timeout)
		}
	}
}

// WaitTCP waits until a connection from the host to the address succeeds.
func (h *Host) WaitTCP(addr string, timeout time.Duration) {
	h.lab.t.Helper()
	Eventually(h.lab.t, timeout, "connect to "+addr+" from "+h.Name, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := h.DialContext(ctx, "tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// WaitHTTP waits until a GET of the URL from the host is answered with the status.
func (h *Host) WaitHTTP(url string, status int, timeout time.Duration) {
	h.lab.t.Helper()
	client := h.Client()
	client.Timeout = time.Second
	Eventually(h.lab.t, timeout, "GET "+url+" from "+h.Name, func() error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			return fmt.Errorf("status %d, want %d", resp.StatusCode, status)
		}
		return nil
	})
}

// Ping says whether an ICMP echo from the host to the address is answered within a second.
func (h *Host) Ping(addr string) bool {
	_, err := h.Output("ping", "-n", "-c", "1", "-W", "1", addr)
	return err == nil
}
