package probe

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// ExecConfig is a check by a program, such as a Nagios plugin: exit code 0 is well, 1 warns, 2, 3 and all
// others are not well. Its first line up to "|" is the detail, what follows "|" the performance data; output
// after 4 KiB is read and dropped.
//
// The program runs without a shell, in / with an empty input, in a process group of its own that is killed
// when the check ends, however it ends. A child that leaves the group (setsid) escapes that, and a program
// that the kernel cannot kill (uninterruptible sleep) keeps the check from returning. Its environment
// is PATH, LC_ALL=C and EVERUP_ADDR, EVERUP_PORT, EVERUP_HOST; the words {addr}, {port} and {host} in its
// arguments are replaced by the target's.
type ExecConfig struct {
	Command []string `yaml:"command" required:"true" doc:"Program (absolute path) and its arguments."`
	Warning string   `yaml:"warning" default:"up" enum:"up|down" doc:"What exit code 1 counts as."`
}

// Validate reports a command without a program.
func (c *ExecConfig) Validate(r *conf.Report) {
	if len(c.Command) == 0 {
		r.At("command").Errorf("is empty")
		return
	}
	checkAbsolute(r.At("command"), 0, c.Command[0])
}

// maxOutput is how much of a program's output is kept.
const maxOutput = 4 << 10

func newExec(cfg *Config) (checkFunc, error) {
	c := cfg.Exec
	if c == nil || len(c.Command) == 0 || !strings.HasPrefix(c.Command[0], "/") {
		return nil, fault.New(fault.Config, "exec.command must begin with an absolute path")
	}
	return c.check, nil
}

func (c *ExecConfig) check(ctx context.Context, t Target) (outcome, error) {
	var out boundedBuffer
	cmd := c.prepare(t, &out)
	if err := cmd.Start(); err != nil {
		return outcome{}, fault.Wrap(startClass(ctx, err), err, "exec")
	}
	killed := awaitExit(ctx, cmd.Process.Pid)
	err := cmd.Wait()
	if killed {
		return outcome{}, fault.New(fault.Timeout, "exec: killed after the timeout: %s", firstLine(out.b))
	}
	if cmd.ProcessState == nil {
		return outcome{}, fault.Wrap(fault.Unavailable, err, "exec: wait")
	}
	return c.judge(cmd.ProcessState.Sys().(syscall.WaitStatus), out.b)
}

// startClass is classOf, but EAGAIN from fork is a lack of processes.
func startClass(ctx context.Context, err error) fault.Class {
	if errors.Is(err, syscall.EAGAIN) {
		return fault.Full
	}
	return classOf(ctx, err)
}

func (c *ExecConfig) prepare(t Target, out *boundedBuffer) *exec.Cmd {
	addr, port := t.Addr.Addr().String(), strconv.Itoa(int(t.Addr.Port()))
	if !t.Addr.Addr().IsValid() {
		addr = ""
	}
	words := strings.NewReplacer("{addr}", addr, "{port}", port, "{host}", t.Host)
	args := make([]string, 0, len(c.Command))
	for _, a := range c.Command[1:] {
		args = append(args, words.Replace(a))
	}
	cmd := exec.Command(c.Command[0], args...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		"EVERUP_ADDR=" + addr, "EVERUP_PORT=" + port, "EVERUP_HOST=" + t.Host,
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 100 * time.Millisecond // for a child that left the group and holds the pipe
	return cmd
}

// awaitExit waits for the leader of the process group to exit or for ctx, then kills the whole group. The
// leader is left unreaped until the group is dead, so that its id cannot have become another's.
func awaitExit(ctx context.Context, pid int) (killed bool) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	select {
	case <-exited:
	case <-ctx.Done():
		killed = true
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	<-exited
	return killed
}

func (c *ExecConfig) judge(ws syscall.WaitStatus, output []byte) (outcome, error) {
	detail, perf := parsePlugin(output)
	if ws.Signaled() {
		return outcome{}, fault.New(fault.Unavailable, "exec: ended by signal %s: %s", ws.Signal(), detail)
	}
	switch code := ws.ExitStatus(); {
	case code == 0:
		return outcome{detail: detail, perf: perf}, nil
	case code == 1 && c.Warning == "up":
		return outcome{detail: detail, perf: perf, warn: true}, nil
	default:
		return outcome{perf: perf}, fault.New(fault.Unavailable, "exec: exit code %d: %s", code, detail)
	}
}

// parsePlugin splits the output of a Nagios plugin: text, then performance data after "|" ("Monitoring Plugins
// Development Guidelines", 2.6). Further lines are of no use here.
func parsePlugin(output []byte) (detail, perf string) {
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	detail, perf, _ = strings.Cut(line, "|")
	return strings.TrimSpace(detail), strings.TrimSpace(perf)
}

// boundedBuffer keeps the first maxOutput bytes and takes the rest without keeping it, so that a talkative
// program does not block.
type boundedBuffer struct{ b []byte }

func (w *boundedBuffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p[:min(len(p), maxOutput-len(w.b))]...)
	return len(p), nil
}
