package oracletest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// startTimeout is how long a server may take until it listens.
const startTimeout = 10 * time.Second

// Options says how a server is started.
type Options struct {
	Args []string // flags beside those for sockets, user and threads; a later -t or -B counts
	Env  []string // added to the environment, as KEY=value
	TCP  bool     // listen on a TCP port of 127.0.0.1, else on a unix socket
	UDP  bool     // and on a UDP port; with TCP
}

// Server is a running memcached, or what is to be like it.
type Server struct {
	Name    string // of the program
	Network string // "unix" or "tcp"
	Addr    string
	UDP     string // address, "" without

	cmd  *exec.Cmd
	out  *bytes.Buffer // what it wrote, to be read after its end
	died chan struct{} // closed after its end

	stopped bool // it was to end

	ports string // the file in which it says its ports, as long as Addr is ""
}

// Start runs Debian's memcached with one thread until the test ends; without it the test is skipped.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	labtest.Needs(t, "memcached")
	return start(t, "memcached", o)
}

// Program runs a program that takes memcached's flags, such as cached, as Start runs memcached. The program is a path, or the
// name of a binary in the directory EVERUP_BIN; where that is not set or lacks it the test is skipped.
func Program(t testing.TB, program string, o Options) *Server {
	t.Helper()
	if !strings.Contains(program, "/") {
		dir := os.Getenv("EVERUP_BIN")
		name := program
		program = filepath.Join(dir, name)
		if _, err := os.Stat(program); dir == "" || err != nil {
			t.Skipf("SKIP-NEEDS: %s in the directory EVERUP_BIN", name)
		}
	}
	return start(t, program, o)
}

func start(t testing.TB, path string, o Options) *Server {
	t.Helper()
	args := []string{"-t", "1", "-o", "no_lru_maintainer"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root")
	}
	dir := socketDir(t)
	network, addr, ports := "unix", filepath.Join(dir, "s"), filepath.Join(dir, "ports")
	switch {
	case o.TCP && o.UDP:
		network, addr = "tcp", ""
		args = append(args, "-l", "127.0.0.1", "-p", "-1", "-U", "-1")
	case o.TCP:
		network, addr = "tcp", ""
		args = append(args, "-l", "127.0.0.1", "-p", "-1", "-U", "0")
	default:
		args = append(args, "-s", addr)
	}
	cmd := exec.Command(path, append(args, o.Args...)...)
	cmd.Env = append(append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports), o.Env...)
	return run(t, cmd, &Server{Network: network, Addr: addr, ports: ports})
}

// Run runs any command that will listen at an address, until the test ends.
func Run(t testing.TB, cmd *exec.Cmd, network, addr string) *Server {
	t.Helper()
	return run(t, cmd, &Server{Network: network, Addr: addr})
}

func run(t testing.TB, cmd *exec.Cmd, s *Server) *Server {
	t.Helper()
	s.Name, s.cmd, s.out, s.died = filepath.Base(cmd.Path), cmd, new(bytes.Buffer), make(chan struct{})
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a fuzzing worker may be killed
	if err := cmd.Start(); err != nil {
		t.Fatalf("oracletest: %v", err)
	}
	go func() { cmd.Wait(); close(s.died) }()
	t.Cleanup(func() {
		if s.Died() && !cmd.ProcessState.Success() {
			t.Errorf("%s ended by itself: %s, and wrote:\n%.4000s", s.Name, cmd.ProcessState, s.out)
		}
		s.Stop()
	})
	labtest.Eventually(t, startTimeout, s.Name+" listens", func() error {
		select {
		case <-s.died:
			t.Fatalf("oracletest: %s ended: %s: %.2000s", s.Name, cmd.ProcessState, s.out)
		default:
		}
		return s.ready()
	})
	return s
}

// socketDir is a directory whose name is short enough for a unix socket.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oracle")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// ready says whether the server listens, and on which ports.
func (s *Server) ready() error {
	if s.Addr == "" {
		if err := s.readPorts(); err != nil {
			return err
		}
	}
	c, err := net.Dial(s.Network, s.Addr)
	if err == nil {
		c.Close()
	}
	return err
}

func (s *Server) readPorts() error {
	b, err := os.ReadFile(s.ports)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		kind, port, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch kind {
		case "TCP INET":
			s.Network, s.Addr = "tcp", "127.0.0.1:"+port
		case "UDP INET":
			s.UDP = "127.0.0.1:" + port
		}
	}
	if s.Addr == "" {
		return fmt.Errorf("no TCP port in %q", b)
	}
	return nil
}

// Stop kills the server and waits for its end. The test's end does so too.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.stopped = true
		s.cmd.Process.Kill() // fails only if it is dead
		<-s.died
	}
}

// Died says whether the server has ended, and not by Stop.
func (s *Server) Died() bool {
	select {
	case <-s.died:
		return !s.stopped
	default:
		return false
	}
}

// Pid is the server's process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Dial opens a connection that is closed when the test ends.
func (s *Server) Dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial(s.Network, s.Addr)
	if err != nil {
		t.Fatalf("oracletest: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
