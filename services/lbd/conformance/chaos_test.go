package conformance

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// server is an nginx that answers with its name, as one process.
type server struct {
	t    *testing.T
	name string
	addr string
	file string
	cmd  *exec.Cmd
}

func startServer(t *testing.T, name string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, name: name, addr: labtest.FreeAddr(t)}
	s.file = write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off; master_process off;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 200; server { listen %[2]s; location / { return 200 %[3]s; } } }
`, dir, s.addr, name))
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("nginx", "-c", s.file, "-e", "stderr")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) kill() {
	s.cmd.Process.Kill() // fails only where it has ended
	s.cmd.Wait()         // it was killed: there is nothing to be learnt
}

// is waits until lbd takes the server for up or down.
func (s *server) is(p *program, state string) {
	s.t.Helper()
	labtest.Eventually(s.t, patience, s.name+" is "+state, func() error {
		out, err := p.verb("pool", "list")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); strings.Contains(line, s.addr) && len(f) > 2 && f[2] == state {
				return nil
			}
		}
		return errors.New(out)
	})
}

// TestServersFailUnderLoad: of four nginx under load one is killed, one freezes and thaws, one is told to end and comes back, as an upgrade
// does. No request fails: all may be repeated, and one is always there to answer them.
func TestServersFailUnderLoad(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "nginx")
	var all []*server
	var addrs []string
	for i := range 4 {
		s := startServer(t, fmt.Sprint("server", i))
		all, addrs = append(all, s), append(addrs, s.addr)
	}
	addr := labtest.FreeAddr(t)
	p := startProgram(t, addr, fmt.Sprintf("listen: [%q]\nroutes: [{pool: web}]\npools: {web: %s}\n", addr,
		poolYAML("check: {type: http, interval: 500ms, timeout: 500ms}, retries: {max: 5, budget: 100, per_try_timeout: 500ms},", addrs...)))
	for _, s := range all {
		s.is(p, "up")
	}
	load := startCrowd(t, addr, "/", 32, 2000)
	// serves waits until a server has answered some more, which nobody but it can.
	serves := func(s *server) {
		t.Helper()
		before := load.from(s.name)
		labtest.Eventually(t, patience, s.name+" serves", func() error {
			if n := load.from(s.name); n < before+50 {
				return fmt.Errorf("%d answers, %d before", n, before)
			}
			return nil
		})
	}
	for _, s := range all {
		serves(s)
	}
	killed, frozen, restarted := all[0], all[1], all[2]

	killed.kill()
	killed.is(p, "down")
	load.more(t, 300)

	frozen.signal(syscall.SIGSTOP)
	frozen.is(p, "down")
	load.more(t, 300)
	frozen.signal(syscall.SIGCONT)
	frozen.is(p, "up")
	serves(frozen)

	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} { // at once; when the requests under way are answered
		restarted.signal(sig)
		if err := restarted.cmd.Wait(); err != nil {
			t.Errorf("nginx: %v", err)
		}
		load.more(t, 100)
		restarted.start()
		restarted.is(p, "up")
		serves(restarted)
	}

	killed.start()
	killed.is(p, "up")
	serves(killed)
	load.judge(t)
}
