package viptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// Keepalived is Debian's keepalived on a host.
type Keepalived struct {
	rig  *Rig
	proc *labtest.Proc
	pid  string // file with the id of the process that speaks VRRP
}

// endLimit is how long a router that was asked to end may take.
const endLimit = 10 * time.Second

// startKeepalived starts keepalived on a host.
func (r *Rig) startKeepalived(h *labtest.Host, role Role) *Keepalived {
	r.T.Helper()
	dir, err := os.MkdirTemp(r.dir, h.Name)
	if err != nil {
		r.T.Fatalf("viptest: %v", err)
	}
	config := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(config, []byte(r.keepalivedConf(h, role)), 0o600); err != nil {
		r.T.Fatalf("viptest: %v", err)
	}
	k := &Keepalived{rig: r, pid: filepath.Join(dir, "vrrp.pid")}
	k.proc = h.Start("keepalived", "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file="+config,
		"--pid="+filepath.Join(dir, "keepalived.pid"), "--vrrp_pid="+k.pid)
	k.proc.WaitLine(`Entering BACKUP STATE`, endLimit)
	return k
}

// keepalivedConf returns keepalived.conf(5) for a host. It has real-time priority, as everup's child has: else it is late
// where the machine is busy. It is not to be killed for using that, as it would be by default after 10 ms without a wait.
func (r *Rig) keepalivedConf(h *labtest.Host, role Role) string {
	s := r.Setting
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id %s\n vrrp_rt_priority 50\n vrrp_rlimit_rttime 5000000\n}\n", h.Name)
	if role.Plane {
		fmt.Fprintf(&b, "vrrp_script plane {\n script \"/usr/bin/pgrep -x %s\"\n user root\n interval 1\n rise 1\n fall 1\n}\n", planeName(h))
	}
	fmt.Fprintf(&b, "vrrp_instance vip {\n state BACKUP\n interface %s\n", r.Device(h))
	fmt.Fprintf(&b, " virtual_router_id %d\n priority %d\n advert_int %v\n version %d\n", VRID, role.Priority, s.Interval.Seconds(), s.Version)
	option := func(wanted bool, text string) {
		if wanted {
			b.WriteString(" " + text + "\n")
		}
	}
	option(role.Plane, "track_script {\n  plane\n }")
	option(s.Six, "native_ipv6")
	option(s.VMAC, "use_vmac")
	option(role.NoPreempt, "nopreempt")
	option(s.RFCChecksum, "v3_checksum_as_v2")
	option(s.Password != "", "authentication {\n  auth_type PASS\n  auth_pass "+s.Password+"\n }")
	if s.Unicast {
		fmt.Fprintf(&b, " unicast_src_ip %s\n unicast_peer {\n  %s\n }\n", r.sources[h.Name], r.sources[r.Other(h).Name])
	}
	b.WriteString(" virtual_ipaddress {\n")
	for _, p := range r.Addresses() {
		fmt.Fprintf(&b, "  %s\n", p)
	}
	b.WriteString(" }\n}\n")
	return b.String()
}

// pids returns the processes, the one that speaks VRRP first.
func (k *Keepalived) pids() []int {
	k.rig.T.Helper()
	text, err := os.ReadFile(k.pid)
	if err != nil {
		k.rig.T.Fatalf("viptest: keepalived: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		k.rig.T.Fatalf("viptest: keepalived: %v", err)
	}
	return []int{pid, k.proc.Pid()}
}

func (k *Keepalived) signal(sig syscall.Signal) { k.rig.T.Helper(); signal(k.rig.T, sig, k.pids()...) }

// signal sends a signal to processes.
func signal(t testing.TB, sig syscall.Signal, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatalf("viptest: signal %v to %d: %v", sig, pid, err)
		}
	}
}

// Terminate sends SIGTERM and waits.
func (k *Keepalived) Terminate() { k.rig.T.Helper(); k.proc.Terminate(endLimit) }

// Freeze sends SIGSTOP to both processes.
func (k *Keepalived) Freeze() { k.rig.T.Helper(); k.signal(syscall.SIGSTOP) }

// Thaw sends SIGCONT to both processes.
func (k *Keepalived) Thaw() { k.rig.T.Helper(); k.signal(syscall.SIGCONT) }

// Kill sends SIGKILL to both processes, which were frozen before so that neither sees the other die, and waits.
func (k *Keepalived) Kill() {
	k.rig.T.Helper()
	k.signal(syscall.SIGSTOP)
	k.signal(syscall.SIGKILL)
	k.proc.Wait(endLimit)
}

// Log returns what keepalived wrote.
func (k *Keepalived) Log() string { return k.proc.Output() }
