package netio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio/httpserve"
)

const childEnv = "EVERUP_TEST_NETIO_CHILD"

// TestMain turns the test binary into a small server when childEnv is set.
func TestMain(m *testing.M) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := serveChild(mode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// serveChild answers every request with its pid, on TCP and on a unix socket, and on /upgrade starts its successor, to
// which it leaves. The mode is "serve", or what a successor does wrong: "die", "mute", "hang".
func serveChild(mode string) error {
	set, err := NewSet()
	if err != nil {
		return err
	}
	switch mode {
	case "die":
		os.Exit(7)
	case "hang", "mute":
		if mode == "mute" {
			set.Close()
		}
		io.ReadAll(os.Stdin) // /dev/null, at once
		select {}
	}
	up := &Upgrader{Set: set, Timeout: 20 * time.Second}
	leave := make(chan struct{})
	var once sync.Once
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		up.Env = []string{childEnv + "=" + r.FormValue("as")}
		if r.FormValue("as") == "hang" {
			up.Timeout = 300 * time.Millisecond
		}
		pid, err := up.Upgrade(r.Context())
		if err != nil {
			w.WriteHeader(fault.HTTPStatus(err))
			fmt.Fprint(w, err)
			return
		}
		fmt.Fprint(w, pid)
		once.Do(func() { close(leave) })
	})
	mux.HandleFunc("/leave", func(http.ResponseWriter, *http.Request) { once.Do(func() { close(leave) }) })
	return serveSet(set, mux, leave)
}

func serveSet(set *Set, h http.Handler, leave chan struct{}) error {
	srv := httpserve.New(&http.Server{Handler: h})
	addrs := strings.Split(os.Getenv("EVERUP_TEST_ADDRS"), ",")
	for i, network := range []string{"tcp", "unix"} {
		l, err := set.Listen(network, network, addrs[i], Options{})
		if err != nil {
			return err
		}
		addrs[i] = l.Addr().String()
		go srv.Serve(l)
	}
	if unused := set.CloseUnused(); unused != nil {
		return fmt.Errorf("unused: %v", unused)
	}
	if !set.Upgrading() { // a successor must not write to a pipe whose reader may be gone
		fmt.Println(addrs[0])
	}
	if err := set.Ready(); err != nil {
		return err
	}
	<-leave
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(srv.Shutdown(ctx), set.Close())
}

// server is the first of the processes that serve one after another.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	tcp  string
	unix string
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(os.Args[0]), unix: filepath.Join(t.TempDir(), "s")}
	s.cmd.Env = append(os.Environ(), childEnv+"=serve", "EVERUP_TEST_ADDRS=127.0.0.1:0,"+s.unix)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	if _, err := fmt.Fscan(out, &s.tcp); err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return s
}

// get asks over a new connection.
func (s *server) get(network, path string) (int, string, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, map[string]string{"tcp": s.tcp, "unix": s.unix}[network])
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get("http://server" + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (s *server) pid(network string) int {
	s.t.Helper()
	_, body, err := s.get(network, "/")
	pid, convErr := strconv.Atoi(body)
	if err = errors.Join(err, convErr); err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// stop makes the serving process leave and waits until it has: then nobody accepts any more.
func (s *server) stop(pid int) {
	s.t.Helper()
	if _, _, err := s.get("unix", "/leave"); err != nil {
		s.t.Error(err)
	}
	waitGone(s.t, pid)
}

// waitGone waits for the end of a process that is not our child.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := pidfdOpen(pid)
	if err != nil {
		return // gone already
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if !pollIn(fd, time.Minute) {
		t.Errorf("process %d is still there", pid)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestUpgradeFailsNoRequest(t *testing.T) {
	s := startServer(t)
	var requests, failures atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for network := []string{"tcp", "unix"}[i%2]; ctx.Err() == nil; requests.Add(1) {
				if code, _, err := s.get(network, "/"); err != nil || code != http.StatusOK {
					failures.Add(1)
					t.Errorf("request over %s: %d, %v", network, code, err)
				}
			}
		})
	}
	pid := s.pid("tcp")
	for range 3 {
		code, body, err := s.get("tcp", "/upgrade?as=serve")
		if err != nil || code != http.StatusOK {
			t.Fatalf("upgrade: %d %s, %v", code, body, err)
		}
		if pid == s.cmd.Process.Pid {
			if err := s.cmd.Wait(); err != nil {
				t.Errorf("the first process: %v", err)
			}
		}
		waitGone(t, pid)
		pid, _ = strconv.Atoi(body)
		if s.pid("tcp") != pid || s.pid("unix") != pid {
			t.Errorf("process %d should serve, and %d and %d do", pid, s.pid("tcp"), s.pid("unix"))
		}
	}
	cancel()
	wg.Wait()
	t.Logf("%d requests over three upgrades, %d failed", requests.Load(), failures.Load())
	s.stop(pid)
	if _, err := os.Lstat(s.unix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the last process left its unix socket: %v", err)
	}
}

func TestUpgradeGoesOnAfterAFailure(t *testing.T) {
	s := startServer(t)
	for as, want := range map[string]string{
		"die":  "exit status 7",
		"mute": "ended before it was ready",
		"hang": "not ready within 300ms",
	} {
		code, body, err := s.get("tcp", "/upgrade?as="+as)
		if err != nil || code == http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, %v; want an error with %q", as, code, body, err, want)
		}
		if s.pid("unix") != s.cmd.Process.Pid || s.pid("tcp") != s.cmd.Process.Pid {
			t.Errorf("%s: the first process serves no more", as)
		}
	}
	s.stop(s.cmd.Process.Pid)
}

func TestUpgradeOneAtATime(t *testing.T) {
	u := &Upgrader{Set: newSet(t), Path: os.Args[0], Args: []string{"x"}, Env: []string{childEnv + "=hang"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan error)
	started := make(chan struct{})
	u.Set.mu.Lock() // holds the first up where it takes the files
	go func() {
		close(started)
		_, err := u.Upgrade(ctx)
		first <- err
	}()
	<-started
	for u.mu.TryLock() { // until the first has it
		u.mu.Unlock()
	}
	if _, err := u.Upgrade(ctx); !errors.Is(err, fault.Conflict) {
		t.Errorf("second Upgrade = %v, want fault.Conflict", err)
	}
	u.Set.mu.Unlock()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("Upgrade whose context ended = %v", err)
	}
}

// told is a service manager.
type told struct {
	pid int
	err error
}

func (m *told) MainPID(pid int) error { m.pid = pid; return m.err }

func TestUpgradeTellsTheManager(t *testing.T) {
	for _, fails := range []error{errors.New("nobody hears"), nil} {
		set := newSet(t)
		l := listen(t, set, "tcp", "tcp", "127.0.0.1:0", Options{})
		path := filepath.Join(t.TempDir(), "s")
		listen(t, set, "unix", "unix", path, Options{})
		m := &told{err: fails}
		u := &Upgrader{Set: set, Notify: m, Path: os.Args[0], Args: os.Args[:1],
			Env: []string{childEnv + "=serve", "EVERUP_TEST_ADDRS=" + l.Addr().String() + "," + path}}
		pid, err := u.Upgrade(t.Context())
		if m.pid == 0 || (err != nil) != (fails != nil) {
			t.Fatalf("Upgrade = %d, %v; the manager was told %d", pid, err, m.pid)
		}
		if fails != nil {
			if syscall.Kill(m.pid, 0) == nil {
				t.Errorf("process %d was not ended", m.pid)
			}
			continue
		}
		if _, err := u.Upgrade(t.Context()); !errors.Is(err, fault.Conflict) {
			t.Errorf("Upgrade after one that succeeded = %v", err)
		}
		set.Close()
		s := &server{t: t, tcp: l.Addr().String(), unix: path}
		if s.pid("tcp") != pid || m.pid != pid {
			t.Errorf("process %d took over, %d serves, the manager was told %d", pid, s.pid("tcp"), m.pid)
		}
		s.get("unix", "/leave")
		if p, err := os.FindProcess(pid); err == nil {
			p.Wait()
		}
	}
}

func TestHandoverEnv(t *testing.T) {
	got := strings.Join(handoverEnv([]string{"A=1", "LISTEN_PID=3", "WATCHDOG_PID=3", "WATCHDOG_USEC=9", "LISTEN_FDS=7"}, []string{"http", "dns"}), " ")
	want := "A=1 WATCHDOG_USEC=9 LISTEN_FDS=2 LISTEN_FDNAMES=http:dns EVERUP_HANDOVER=1 EVERUP_READY_FD=5"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
