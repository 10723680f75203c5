// Package server runs a memcached, or what takes its flags, as a child process on a core of its own, and measures it from outside:
// CPU time, memory, system calls and what its `stats` say.
//
// Start returns when the server accepts connections. The one goroutine that waits for the process belongs to the Server; Stop
// (or Kill) waits for it. A child dies with the process that started it.
package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Spec says what to run.
type Spec struct {
	Path    string   // of the binary, or its name in PATH
	Args    []string // memcached's flags, without those that say where to listen
	Network string   // tcp (a free port of 127.0.0.1) or unix (a socket in Dir)
	Dir     string   // for the socket; it exists
	Core    int      // that the server is pinned to; negative: none
}

// Server is a running one.
type Server struct {
	Network, Address string

	cmd    *exec.Cmd
	began  time.Time
	stderr *tail
	done   chan struct{} // closed when the process has ended
	err    error         // of its end; read after done
}

// startLimit bounds the wait until a server accepts connections. A warm restart may take long.
const startLimit = 2 * time.Minute

// Start runs the server and waits until it accepts connections.
func Start(ctx context.Context, spec Spec) (*Server, error) {
	args := slices.Clone(spec.Args)
	s := &Server{Network: spec.Network, stderr: &tail{}, done: make(chan struct{})}
	switch spec.Network {
	case "unix":
		s.Address = filepath.Join(spec.Dir, "s")
		args = append(args, "-s", s.Address)
	case "tcp":
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s.Address = net.JoinHostPort("127.0.0.1", port)
		args = append(args, "-l", "127.0.0.1", "-p", port, "-U", "0")
	default:
		return nil, fault.New(fault.Invalid, "server: network %q", spec.Network)
	}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // memcached does not run as root unless it is told to
	}
	name := spec.Path
	if spec.Core >= 0 {
		args = append([]string{"-c", strconv.Itoa(spec.Core), name}, args...)
		name = "taskset" // replaces itself by the server: the process id stays
	}
	s.cmd = exec.Command(name, args...)
	s.cmd.Stderr, s.cmd.Stdout = s.stderr, s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "server: start %s", spec.Path)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.accepting(ctx); err != nil {
		s.Kill()
		return nil, fault.Wrap(fault.Of(err), err, "server: %s %q: %s", name, args, s.stderr)
	}
	return s, nil
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// accepting waits until a connection can be made.
func (s *Server) accepting(ctx context.Context) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		c, err := net.Dial(s.Network, s.Address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-s.done:
			return fault.New(fault.Unavailable, "ended: %v", s.err)
		case <-limit.C:
			return fault.Wrap(fault.Timeout, err, "no connection within %v", startLimit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Began returns when the process was started.
func (s *Server) Began() time.Time { return s.began }

// Pid returns its process id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop sends the signal and waits until the process has ended; after the limit it is killed and that is the error. The exit status of
// a process stopped by a signal says nothing and is not looked at.
func (s *Server) Stop(sig os.Signal, limit time.Duration) error {
	select {
	case <-s.done:
		return fault.New(fault.Unavailable, "server: %s ended by itself: %v: %s", s.cmd.Path, s.err, s.stderr)
	default:
	}
	s.cmd.Process.Signal(sig)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-s.done:
		return nil
	case <-t.C:
		s.Kill()
		return fault.New(fault.Timeout, "server: %s did not end within %v of %v: %s", s.cmd.Path, limit, sig, s.stderr)
	}
}

// Kill ends the process at once and waits for it. It may be called again.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.done
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

// Version returns what the binary says to -V, in one line.
func Version(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "-V").Output()
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "server: %s -V", path)
	}
	line, _, _ := bytes.Cut(out, []byte{'\n'})
	return fmt.Sprintf("%s", bytes.TrimSpace(line)), nil
}
