package server_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/shared/labtest"
)

func start(t *testing.T, network string) *server.Server {
	t.Helper()
	labtest.Needs(t, "memcached", "taskset")
	s, err := server.Start(t.Context(), server.Spec{Path: "memcached", Args: []string{"-m", "64", "-t", "1"}, Network: network, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// gets sends so many gets of one connection, each after the other's answer.
func gets(s *server.Server, n int) error {
	c, err := net.Dial(s.Network, s.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range n {
		if _, err := c.Write([]byte("get x\r\n")); err != nil {
			return err
		}
		if line, err := in.ReadString('\n'); line != "END\r\n" {
			return fmt.Errorf("%q %v", line, err)
		}
	}
	return nil
}

func TestMeasures(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		s := start(t, network)
		before, err := s.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if err := gets(s, 1000); err != nil {
			t.Fatal(err)
		}
		after, err := s.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if used := after - before; used < time.Millisecond || used > 5*time.Second {
			t.Errorf("%s: 1000 gets used %v", network, used)
		}
		if n, err := s.Stat("cmd_get"); n != 1000 || err != nil {
			t.Errorf("%s: %d gets, %v", network, n, err)
		}
		m, err := s.Memory()
		if err != nil || m.RSS < 1<<20 || m.Peak < m.RSS || m.RSS > 100<<20 {
			t.Errorf("%s: %+v %v", network, m, err)
		}
		if err := s.Stop(syscall.SIGTERM, 10*time.Second); err != nil {
			t.Error(err)
		}
		if err := s.Stop(syscall.SIGTERM, 10*time.Second); err == nil || !strings.Contains(err.Error(), "ended by itself") {
			t.Errorf("%s: a second stop: %v", network, err)
		}
	}
}

// One request of one connection costs memcached an epoll_wait, a read, one more read that finds nothing, and a sendmsg.
func TestCalls(t *testing.T) {
	labtest.Needs(t, "perf", labtest.Root)
	s := start(t, "unix")
	calls, err := s.Calls(t.Context(), t.TempDir(), func() error { return gets(s, 1000) })
	if err != nil {
		t.Skipf("SKIP-NEEDS: kernel trace events for perf: %v", err)
	}
	if n := calls["sendmsg"]; n < 1000 || n > 1010 {
		t.Errorf("%d sendmsg for 1000 answers: %v", n, calls)
	}
	if n := calls["epoll_wait"]; n < 500 || n > 4000 {
		t.Errorf("%d epoll_wait: %v", n, calls)
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	labtest.Needs(t, "memcached", "taskset")
	_, err := server.Start(t.Context(), server.Spec{Path: "memcached", Args: []string{"-m", "64", "-o", "nonsense"}, Network: "unix", Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Error(err)
	}
}

func TestVersion(t *testing.T) {
	labtest.Needs(t, "memcached")
	if v, err := server.Version(t.Context(), "memcached"); err != nil || !strings.HasPrefix(v, "memcached 1.") {
		t.Error(v, err)
	}
	if _, err := server.Version(t.Context(), os.DevNull); err == nil {
		t.Error("/dev/null has a version")
	}
}
