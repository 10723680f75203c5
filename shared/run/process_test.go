package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
)

const childEnv = "EVERUP_TEST_RUN_CHILD"

// TestMain turns the test binary into a small daemon when childEnv is set.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	os.Exit(fault.ExitCode(daemonChild()))
}

// daemonChild fails its first reload and drains until its context ends.
func daemonChild() error {
	fails := true
	ready := make(chan struct{})
	close(ready)
	return Supervise(context.Background(), Life{
		Notify: NewNotifier(), Ready: ready, Serve: serveUntilEnd,
		Status: func() string { return "serving" },
		Reload: func(context.Context) error {
			if fails {
				fails = false
				return errors.New("bad line")
			}
			return nil
		},
		Dump: func() { NewNotifier().Status("dumped") },
		Stop: []Step{{"drain", time.Minute, func(ctx context.Context) error {
			if os.Getenv(childEnv) == "slow" {
				<-ctx.Done()
			}
			return nil
		}}},
	})
}

type child struct {
	t   *testing.T
	cmd *exec.Cmd
	m   *manager
}

func startChild(t *testing.T, mode string) *child {
	t.Helper()
	addr := filepath.Join(t.TempDir(), "notify")
	c := &child{t: t, m: newManager(t, addr), cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childEnv+"="+mode, "NOTIFY_SOCKET="+addr, "WATCHDOG_USEC=600000", "WATCHDOG_PID=")
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	c.m.until("READY=1")
	return c
}

func (c *child) signal(sig syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) exit(want int) {
	c.t.Helper()
	err := c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != want {
		c.t.Errorf("the daemon ended with %d (%v), want %d", got, err, want)
	}
}

func TestRealSignals(t *testing.T) {
	c := startChild(t, "quick")
	c.m.until("WATCHDOG=1")
	c.signal(syscall.SIGHUP)
	c.m.until("RELOADING=1")
	c.m.until("reload failed, the earlier configuration stays: bad line")
	c.signal(syscall.SIGHUP)
	c.m.until("RELOADING=1")
	c.m.until("READY=1\nSTATUS=serving\n")
	c.signal(syscall.SIGUSR1)
	c.m.until("STATUS=dumped")
	c.signal(syscall.SIGTERM)
	c.m.until("STOPPING=1")
	c.exit(0)
}

func TestRealSecondSignal(t *testing.T) {
	c := startChild(t, "slow")
	c.signal(syscall.SIGINT)
	c.m.until(fmt.Sprintf("STATUS=stopping: %s", "drain"))
	c.signal(syscall.SIGTERM)
	c.exit(fault.Partial.ExitCode())
}
