package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// Other is the name under which Calls counts the system calls that it does not know by name.
const Other = "other"

// named returns the system calls that are counted by name: those of event loops, sockets and the schedulers of Go and libevent.
func named() []string {
	return []string{
		"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg",
		"io_uring_enter", "sendfile64", "splice", "accept4", "openat", "newfstat", "newfstatat", "close", "futex", "nanosleep", "clock_nanosleep", "sched_yield", "timerfd_settime", "tgkill",
	}
}

// all is the event that every system call raises.
const all = "raw_syscalls:sys_enter"

// Calls counts the system calls of the process, by name, while f runs. It uses perf's counters: strace would make a server slower
// by an order and thereby change how many requests it finds at once.
func (p *Process) Calls(ctx context.Context, dir string, f func() error) (map[string]int64, error) {
	file := filepath.Join(dir, "perf")
	events := all
	for _, n := range named() {
		events += ",syscalls:sys_enter_" + n
	}
	control, ack, end, err := pipes()
	if err != nil {
		return nil, err
	}
	defer end()
	cmd := exec.CommandContext(ctx, "perf", "stat", "-x", ",", "-o", file, "-e", events, "-D", "-1", "--control", "fd:3,4", "-p", strconv.Itoa(p.Pid()))
	cmd.ExtraFiles = []*os.File{control.child, ack.child}
	said := &tail{}
	cmd.Stderr, cmd.Stdout = said, said
	if err := cmd.Start(); err != nil {
		return nil, fault.Wrap(fault.Unsupported, err, "process: perf")
	}
	control.child.Close()
	ack.child.Close()
	runErr := enabled(control.own, bufio.NewReader(ack.own), f)
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait() // its status is that of a process that was interrupted
	if runErr != nil {
		return nil, fault.Wrap(fault.Of(runErr), runErr, "process: perf: %s", said)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.Unsupported, err, "process: perf: %s", said)
	}
	return parsePerf(b)
}

// end is one end of a pipe kept and the other given away.
type end struct{ own, child *os.File }

// pipes returns the pipe to perf and the one from it.
func pipes() (to, from end, done func(), err error) {
	if to.child, to.own, err = os.Pipe(); err != nil {
		return to, from, nil, err
	}
	if from.own, from.child, err = os.Pipe(); err != nil {
		to.child.Close()
		to.own.Close()
		return to, from, nil, err
	}
	return to, from, func() {
		for _, f := range []*os.File{to.own, to.child, from.own, from.child} {
			f.Close() // the child's ends are closed a second time where all went well
		}
	}, nil
}

// enabled runs f while perf counts.
func enabled(to io.Writer, from *bufio.Reader, f func() error) error {
	if err := command(to, from, "enable"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return command(to, from, "disable")
}

// command has perf do something and waits until it has.
func command(to io.Writer, from *bufio.Reader, word string) error {
	if _, err := fmt.Fprintln(to, word); err != nil {
		return err
	}
	line, err := from.ReadString('\n')
	if err != nil || !strings.Contains(line, "ack") {
		return fault.New(fault.Unsupported, "%s: %q %v", word, line, err)
	}
	return nil
}

// parsePerf reads the lines "<count>,,<event>,…" that perf stat -x , writes.
func parsePerf(b []byte) (map[string]int64, error) {
	calls := map[string]int64{}
	in := bufio.NewScanner(bytes.NewReader(b))
	for in.Scan() {
		f := strings.Split(in.Text(), ",")
		if len(f) < 3 || strings.HasPrefix(f[0], "#") {
			continue
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return nil, fault.New(fault.Unsupported, "process: perf counts %s as %q", f[2], f[0])
		}
		name := Other
		if f[2] != all {
			name = strings.TrimPrefix(f[2], "syscalls:sys_enter_")
			calls[Other] -= n
		}
		calls[name] += n
	}
	if _, ok := calls[Other]; !ok {
		return nil, fault.New(fault.Unsupported, "process: perf counted nothing: %.200q", b)
	}
	return calls, nil
}
