package vip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/vip/internal/child"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// realRig is a Manager with a real child process, which holds nothing, and an admin socket.
type realRig struct {
	*Manager
	recorder
	t      *testing.T
	socket string
}

func runReal(t *testing.T, cfg Config, f func(r *realRig)) {
	t.Helper()
	labtest.LeakCheck(t)
	dir := openState(t, filepath.Join(t.TempDir(), "state"))
	defer dir.Close()
	r := &realRig{t: t, socket: filepath.Join(t.TempDir(), "s")}
	var log lockedLog
	env := newEnv(t, dir, &r.recorder, zerolog.New(&log))
	m, err := New(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	m.start = func(got func(*wire.Message)) (process, error) {
		return child.Start(child.Options{Args: []string{"lbd", "vrrp"}, Env: []string{childEnv + "=1"}, Log: m.log, Got: got})
	}
	r.Manager = m
	set, err := netio.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	l, err := set.Listen("admin", "unix", r.socket, netio.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- env.Admin.Serve(ctx, l, nil) }()
	go func() { done <- m.Run(ctx) }()
	f(r)
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("%v\n%s", err, &log)
		}
	}
	var rec record
	if err := dir.Load(recordFile, recordKind, recordVersion, &rec); err != nil || len(rec.Places) > 0 {
		t.Errorf("record at the end: %+v, %v", rec, err)
	}
}

// until waits for the VIP to be in a state under a process other than pid, and returns that process.
func (r *realRig) until(state State, pid int) int {
	r.t.Helper()
	now := 0
	labtest.Eventually(r.t, 10*time.Second, fmt.Sprintf("%s with a process other than %d", state, pid), func() error {
		s := r.Status()
		if now = s.Process.PID; s.VIPs[0].State != state || !s.Process.Running || now == pid || len(s.VIPs[0].Routers) == 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return now
}

// TestRealChild: the daemon's side and a process, killed and frozen.
func TestRealChild(t *testing.T) {
	runReal(t, mustParse(t, oneVIP), func(r *realRig) {
		r.Ready()
		first := r.until(Active, 0)
		r.take()
		if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		second := r.until(Active, first)
		if got := r.take(); len(got) != 0 {
			t.Errorf("after a crash: %q", got)
		}
		if err := syscall.Kill(second, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		third := r.until(Active, second)
		if syscall.Kill(second, 0) == nil {
			t.Error("the frozen process still runs")
		}
		if n := r.Status().Process.Restarts; n != 2 {
			t.Errorf("%d restarts", n)
		}
		if err := r.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		if !errors.Is(syscall.Kill(third, 0), syscall.ESRCH) {
			t.Error("the process still runs after Leave")
		}
	})
}

// TestCommands runs the verbs against a daemon.
func TestCommands(t *testing.T) {
	cfg := mustParse(t, oneVIP, bothFam, third, "w: {interface: eth2, vrid: 9, addresses: [10.9.0.5], track: [{value: backends}]}")
	runReal(t, cfg, func(r *realRig) {
		r.Ready()
		r.until(Active, 0)
		labtest.Eventually(t, 5*time.Second, "w is at fault", func() error {
			if s := r.Status().VIPs[2]; s.State != Fault {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		var out bytes.Buffer
		for _, line := range []string{
			"vip list", "vip list --no-headers", "vip status web", "vip release web", "vip status web", "vip resume web", "vip switch-over web", "vip take-over none",
			"vip status none", "vip release", "vip resume", "vip switch-over", "vrrp x",
		} {
			fmt.Fprintf(&out, "$ lbd %s\n", line)
			root := &cobra.Command{Use: "lbd"}
			root.AddCommand(Commands(func() string { return r.socket })...)
			code := cli.Execute(t.Context(), root, strings.Fields(line), &out, &out)
			fmt.Fprintf(&out, "exit %d\n\n", code)
		}
		text := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(out.String(), "TIME")
		text = regexp.MustCompile(`pid \d+`).ReplaceAllString(text, "pid N")
		text = regexp.MustCompile(`by \S+, since`).ReplaceAllString(text, "by SOMEBODY, since")
		labtest.Golden(t, "commands.txt", text)
	})
}
