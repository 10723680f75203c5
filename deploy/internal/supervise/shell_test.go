package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// roleEnv makes the test binary a child, or a whole supervisor, instead of the tests.
const roleEnv = "EVERUP_SUPERVISE_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "supervisor":
		superviseMain()
	default:
		childMain(os.Getenv(roleEnv), os.Args[1])
	}
}

// childMain is a child: it writes its pid to dir/<role>.pid when it is ready, and to dir/ended its role when it ends.
func childMain(role, dir string) {
	terms := make(chan os.Signal, 1)
	if role == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(terms, syscall.SIGTERM)
	}
	fmt.Println(`{"level":"error","msg":"store is grumpy","err":"no coffee"}`)
	if role == "broken" {
		fmt.Println("bad configuration")
		os.Exit(78)
	}
	os.WriteFile(filepath.Join(dir, role+".pid"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	<-terms
	f, _ := os.OpenFile(filepath.Join(dir, "ended"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	fmt.Fprintln(f, role)
	f.Close()
	os.Exit(0)
}

func superviseMain() {
	g, err := New(config(os.Args[1], "steady"))
	if err != nil {
		panic(err)
	}
	g.Run(context.Background())
}

func config(dir string, roles ...string) Config {
	cfg := Config{LogDir: dir, Report: func(string, string) {}, Restarted: func(Restart) {}}
	for i, role := range roles {
		cfg.Commands = append(cfg.Commands, Command{
			Child: Child{Name: role, Rank: i}, Path: os.Args[0], Args: []string{dir}, Env: append(os.Environ(), roleEnv+"="+role),
			Ready: func(context.Context) error { return runs(dir, role) },
		})
	}
	return cfg
}

// runs returns nil if the child that wrote its pid lives.
func runs(dir, role string) error {
	b, err := os.ReadFile(filepath.Join(dir, role+".pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return err
	}
	if !alive(pid) {
		return errors.New("dead")
	}
	return nil
}

// alive reports whether the process runs; a dead one that nobody has waited for does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// rig is a running group with what it reported.
type rig struct {
	*Group
	t    *testing.T
	dir  string
	done chan error

	restarts chan Restart

	mu      sync.Mutex
	reports []string
}

func start(t *testing.T, timings Timings, roles ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), done: make(chan error, 1), restarts: make(chan Restart, 10)}
	cfg := config(r.dir, roles...)
	cfg.Timings = timings
	cfg.Restarted = func(x Restart) { r.restarts <- x }
	cfg.Report = func(child, line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reports = append(r.reports, child+": "+line)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Group = g
	go func() { r.done <- g.Run(context.Background()) }()
	t.Cleanup(func() { g.Stop(); g.Stop() })
	return r
}

const patience = 20 * time.Second

func (r *rig) waitReady() {
	r.t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.done:
		r.t.Fatalf("ended: %v", err)
	case <-time.After(patience):
		r.t.Fatal("never ready")
	}
}

func (r *rig) waitEnd() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		r.t.Fatal("does not end")
		return nil
	}
}

func TestOrderlyLife(t *testing.T) {
	labtest.LeakCheck(t)
	r := start(t, Timings{}, "first", "second", "third")
	r.waitReady()
	r.Stop()
	if err := r.waitEnd(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(r.dir, "ended"))
	if err != nil || string(b) != "third\nsecond\nfirst\n" {
		t.Errorf("ended in the order %q, %v", b, err)
	}
	if pid := r.Pid("first"); pid != 0 {
		t.Errorf("pid %d after the end", pid)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := "first: store is grumpy: no coffee"; len(r.reports) == 0 || r.reports[0] != want {
		t.Errorf("reports %q, want %q first", r.reports, want)
	}
}

func TestRestart(t *testing.T) {
	r := start(t, Timings{Min: 10 * time.Millisecond}, "first", "second")
	r.waitReady()
	old := r.Pid("first")
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case x := <-r.restarts:
		if x.Name != "first" || x.Exit != "signal: killed" || x.After <= 0 || x.Fails != 1 {
			t.Errorf("restart %+v", x)
		}
	case <-time.After(patience):
		t.Fatal("not restarted")
	}
	if now := r.Pid("first"); now == old || !alive(now) {
		t.Errorf("pid %d after %d", now, old)
	}
	r.Stop()
	if err := r.waitEnd(); err != nil {
		t.Error(err)
	}
}

func TestBrokenChildEndsTheStart(t *testing.T) {
	r := start(t, Timings{}, "first", "broken")
	err := r.waitEnd()
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "broken ended before it was ready: exit code 78") {
		t.Errorf("error %v", err)
	}
	if r.Failed() != "broken" || !strings.HasSuffix(r.Tail("broken"), "bad configuration") {
		t.Errorf("failed %q, tail %q", r.Failed(), r.Tail("broken"))
	}
	if b, _ := os.ReadFile(filepath.Join(r.dir, "ended")); string(b) != "first\n" {
		t.Errorf("orderly ended: %q", b)
	}
}

func TestMissingProgram(t *testing.T) {
	cfg := config(t.TempDir(), "first")
	cfg.Commands[0].Path = "/nonexistent/first"
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not started") {
		t.Errorf("error %v", err)
	}
}

func TestStubbornChildIsKilled(t *testing.T) {
	r := start(t, Timings{Stop: 50 * time.Millisecond}, "stubborn")
	r.waitReady()
	r.Stop()
	if err := r.waitEnd(); !errors.Is(err, fault.Partial) {
		t.Errorf("error %v", err)
	}
}

func TestSecondStopKills(t *testing.T) {
	r := start(t, Timings{}, "stubborn")
	r.waitReady()
	r.Stop()
	r.Stop()
	if err := r.waitEnd(); !errors.Is(err, fault.Partial) {
		t.Errorf("error %v", err)
	}
}

func TestChildrenDieWithTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), roleEnv+"=supervisor")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	labtest.Eventually(t, patience, "the child runs", func() error { return runs(dir, "steady") })
	cmd.Process.Kill()
	cmd.Wait() // it was killed
	labtest.Eventually(t, patience, "the child is dead", func() error {
		if runs(dir, "steady") == nil {
			return errors.New("it lives")
		}
		return nil
	})
}
