package viptest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// vipd is the program that is nothing but virtual addresses and a data plane.
const vipd = "github.com/everup/everup/shared/vip/internal/vipd"

// Ours is everup on a host: a daemon and its VRRP child.
type Ours struct {
	rig   *Rig
	host  *labtest.Host
	proc  *labtest.Proc
	input io.WriteCloser
}

// secret authenticates adverts by unicast where both sides are everup.
const secret = "a secret of the rig, for nobody else"

// startEverup starts everup's side on a host.
func (r *Rig) startEverup(h *labtest.Host, role Role) *Ours {
	r.T.Helper()
	program := labtest.BuildBinary(r.T, vipd)
	dir, err := os.MkdirTemp(r.dir, h.Name)
	if err != nil {
		r.T.Fatalf("viptest: %v", err)
	}
	config := filepath.Join(dir, "vipd.yaml")
	if err := os.WriteFile(config, []byte(r.everupConf(h, role)), 0o600); err != nil {
		r.T.Fatalf("viptest: %v", err)
	}
	cmd := exec.Command(program, "run", config)
	// The state of the host, which outlives the process, names the addresses that it may have left.
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(r.dir, h.Name+".state"))
	input, err := cmd.StdinPipe()
	if err != nil {
		r.T.Fatalf("viptest: %v", err)
	}
	o := &Ours{rig: r, host: h, input: input, proc: h.StartCmd("vipd", cmd)}
	o.proc.WaitLine(`^ready$`, endLimit)
	return o
}

// everupConf returns the configuration of vipd.
func (r *Rig) everupConf(h *labtest.Host, role Role) string {
	s, other := r.Setting, r.Other(h)
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\necho: '%s'\n", h.Name, r.echoAddr())
	foreign := r.kinds[other.Name] == Foreign
	if !foreign {
		fmt.Fprintf(&b, "secret: %s\n", secret)
	}
	fmt.Fprintf(&b, "vips:\n  vip:\n    interface: %s\n    vrid: %d\n    addresses: [", r.Device(h), VRID)
	for i, p := range r.Addresses() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "'%s'", p)
	}
	fmt.Fprintf(&b, "]\n    priority: %d\n    interval: %v\n    version: %d\n    preempt: %t\n    vmac: %t\n", role.Priority, s.Interval, s.Version,
		!role.NoPreempt, s.VMAC)
	if s.Unicast {
		fmt.Fprintf(&b, "    peers: ['%s']\n", r.sources[other.Name])
		if foreign {
			b.WriteString("    auth: off\n")
		}
		if foreign && s.Six {
			b.WriteString("    min_ttl: 64\n") // keepalived 2.2.7 leaves the hop limit of its IPv6 unicast as the system has it
		}
	}
	if s.Password != "" {
		fmt.Fprintf(&b, "    password: %s\n", s.Password)
	}
	if !slices.ContainsFunc(role.More, func(line string) bool { return strings.HasPrefix(line, "lifeline:") }) {
		b.WriteString("    lifeline: 30s\n") // the hosts of a lab share one machine, and may all be starved at once
	}
	for _, line := range role.More {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String()
}

// Do asks the daemon for a switch-over, take-over, release or resume and returns when it is done.
func (o *Ours) Do(verb string) error {
	mark := o.proc.Mark()
	if _, err := fmt.Fprintln(o.input, verb); err != nil {
		return err
	}
	line := o.proc.WaitLineFrom(mark, `^done `+verb, endLimit)
	if _, refusal, ok := strings.Cut(line, ": "); ok {
		return fmt.Errorf("%s: %s", verb, refusal)
	}
	return nil
}

// Daemon returns the process id of the data plane.
func (o *Ours) Daemon() int { return o.proc.Pid() }

// Child returns the process id of the VRRP child.
func (o *Ours) Child() int {
	o.rig.T.Helper()
	pid := 0
	labtest.Eventually(o.rig.T, endLimit, "a VRRP child on "+o.host.Name, func() (err error) {
		pid, err = childOf(o.proc.Pid())
		return err
	})
	return pid
}

// childOf returns a living child of a process.
func childOf(parent int) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			continue // it has ended
		}
		fields := map[string]string{}
		for lines := bufio.NewScanner(f); lines.Scan() && len(fields) < 10; {
			key, value, _ := strings.Cut(lines.Text(), ":")
			fields[key] = strings.TrimSpace(value)
		}
		f.Close()
		if fields["PPid"] == strconv.Itoa(parent) && !strings.HasPrefix(fields["State"], "Z") {
			return strconv.Atoi(fields["Pid"])
		}
	}
	return 0, fmt.Errorf("process %d has no child", parent)
}

// KillDaemon sends SIGKILL to the data plane alone and returns just before when. The child is to notice.
func (o *Ours) KillDaemon() time.Time {
	o.rig.T.Helper()
	at := time.Now()
	o.proc.Kill()
	return at
}

// KillChild sends SIGKILL to the VRRP child alone and returns its process id. The daemon is to start another.
func (o *Ours) KillChild() int {
	o.rig.T.Helper()
	pid := o.Child()
	signal(o.rig.T, syscall.SIGKILL, pid)
	return pid
}

// Signal sends a signal to the daemon or to its child.
func (o *Ours) Signal(sig syscall.Signal, pid int) { o.rig.T.Helper(); signal(o.rig.T, sig, pid) }

// Terminate sends SIGTERM and waits.
func (o *Ours) Terminate() { o.rig.T.Helper(); o.proc.Terminate(endLimit) }

// Freeze sends SIGSTOP to both processes.
func (o *Ours) Freeze() { o.rig.T.Helper(); signal(o.rig.T, syscall.SIGSTOP, o.Child(), o.Daemon()) }

// Thaw sends SIGCONT to both processes.
func (o *Ours) Thaw() { o.rig.T.Helper(); signal(o.rig.T, syscall.SIGCONT, o.Child(), o.Daemon()) }

// Kill sends SIGKILL to both processes, which were frozen before so that neither sees the other die, and waits.
func (o *Ours) Kill() {
	o.rig.T.Helper()
	child := o.Child()
	signal(o.rig.T, syscall.SIGSTOP, child, o.Daemon())
	signal(o.rig.T, syscall.SIGKILL, child, o.Daemon())
	o.proc.Wait(endLimit)
}

// Log returns what both processes wrote.
func (o *Ours) Log() string { return o.proc.Output() }
