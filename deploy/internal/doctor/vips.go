package doctor

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// vips checks what virtual addresses ask of the machine.
func vips(s System, vs []VIP) []Finding {
	var out []Finding
	for i, v := range vs {
		if j := slices.IndexFunc(vs[:i], func(o VIP) bool { return o.Daemon == v.Daemon }); j < 0 {
			out = append(out, vipCapabilities(s, v.Daemon)...)
		}
		for _, o := range vs[:i] {
			out = append(out, vipClash(o, v)...)
		}
		if slices.ContainsFunc(vs[:i], func(o VIP) bool { return o.Interface == v.Interface }) {
			continue // said already
		}
		if _, err := s.ReadFile(sysNet(v.Interface, "ifindex")); err != nil {
			if known(s) {
				out = append(out, Finding{"vip.interface", Fail, "there is no interface " + v.Interface + ", which " + v.key() + " names",
					"the virtual address takes no part before it is there", "ip -br link shows those there are"})
			}
			continue
		}
		out = append(out, networkd(s, v)...)
		out = append(out, secondaries(s, v)...)
		out = append(out, bond(s, v)...)
	}
	return out
}

func sysNet(parts ...string) string {
	return path.Join(append([]string{"/sys/class/net"}, parts...)...)
}

// known reports whether the machine tells of its interfaces at all.
func known(s System) bool {
	_, err := s.ReadFile(sysNet("lo", "ifindex"))
	return err == nil
}

// vipClash compares two VIPs of this host.
func vipClash(a, b VIP) []Finding {
	if a.Daemon == b.Daemon {
		return nil // the daemon's own check says so
	}
	var out []Finding
	if a.Interface == b.Interface && a.VRID == b.VRID {
		out = append(out, Finding{"vip.vrid", Fail, fmt.Sprintf("%s and %s both use vrid %d on %s", a.key(), b.key(), a.VRID, a.Interface),
			"each takes the adverts of the other for those of a peer, and only one of the two is held", "give one of them another vrid, on all hosts"})
	}
	for _, addr := range a.Addresses {
		if slices.Contains(b.Addresses, addr) {
			out = append(out, Finding{"vip.address", Fail, fmt.Sprintf("%s and %s both have %s", a.key(), b.key(), addr),
				"one takes off what the other puts on", "list it in one of them; the other daemon can listen on the wildcard address"})
		}
	}
	return out
}

// Capabilities by their bits in capabilities(7).
const (
	capNetAdmin = 12
	capNetRaw   = 13
	capIPCLock  = 14
	capSysNice  = 23
)

// vipCapabilities looks whether the running daemon, or else its unit, has what virtual addresses need.
func vipCapabilities(s System, daemon string) []Finding {
	const mend = "install deploy/systemd/dropins/vip.conf as /etc/systemd/system/%[1]s.service.d/vip.conf, then: systemctl daemon-reload && systemctl restart %[1]s. " +
		"Without systemd: setpriv --ambient-caps +net_admin,+net_raw,+sys_nice,+ipc_lock --inh-caps +net_admin,+net_raw,+sys_nice,+ipc_lock"
	need := []struct {
		bit   int
		name  string
		level Level
		why   string
	}{
		{capNetAdmin, "CAP_NET_ADMIN", Fail, "it cannot put virtual addresses on an interface"},
		{capNetRaw, "CAP_NET_RAW", Fail, "it can neither send nor hear the adverts that decide who holds a virtual address"},
		{capSysNice, "CAP_SYS_NICE", Warn, "adverts are late on a busy machine, and the other host takes over for nothing"},
		{capIPCLock, "CAP_IPC_LOCK", Notice, "adverts are late while the machine swaps"},
	}
	has, where, ok := grants(s, daemon)
	if !ok {
		return nil
	}
	var out []Finding
	for _, n := range need {
		if !has(n.bit, n.name) {
			out = append(out, Finding{"vip.capability." + strings.ToLower(strings.TrimPrefix(n.name, "CAP_")), n.level,
				where + " does not have " + n.name, n.why, fmt.Sprintf(mend, daemon)})
		}
	}
	return out
}

// grants returns how to ask which capabilities the daemon has: of its process where it runs, else of its unit where there is one.
func grants(s System, daemon string) (has func(bit int, name string) bool, where string, ok bool) {
	if pid, effective, ok := running(s, daemon); ok {
		return func(bit int, _ string) bool { return effective>>bit&1 == 1 }, fmt.Sprintf("%s (pid %d)", daemon, pid), true
	}
	text, ok := unitText(s, daemon)
	if !ok {
		return nil, "", false
	}
	var granted []string
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "AmbientCapabilities="); ok {
			granted = append(granted, strings.Fields(v)...)
		}
	}
	return func(_ int, name string) bool { return slices.Contains(granted, name) }, "the unit " + daemon + ".service", true
}

// running returns a process of the daemon and its effective capabilities.
func running(s System, daemon string) (pid int, effective uint64, ok bool) {
	names, err := s.ReadDir("/proc")
	if err != nil {
		return 0, 0, false
	}
	slices.Sort(names)
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if comm, err := s.ReadFile(path.Join("/proc", n, "comm")); err != nil || strings.TrimSpace(string(comm)) != daemon {
			continue
		}
		status, err := s.ReadFile(path.Join("/proc", n, "status"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
				if caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64); err == nil {
					return pid, caps, true
				}
			}
		}
	}
	return 0, 0, false
}

// unitDirs are where systemd looks for units, and networkd below another name for its files, the least important first.
func unitDirs() []string { return []string{"/usr/lib/systemd", "/run/systemd", "/etc/systemd"} }

// unitText returns the unit of the daemon with its drop-ins.
func unitText(s System, daemon string) (string, bool) {
	var text strings.Builder
	found := false
	for _, dir := range unitDirs() {
		if b, err := s.ReadFile(path.Join(dir, "system", daemon+".service")); err == nil {
			found = true
			text.Write(b)
		}
		text.WriteString(dropIns(s, path.Join(dir, "system", daemon+".service.d")))
	}
	return text.String(), found
}

// dropIns returns what the files of a directory say.
func dropIns(s System, dir string) string {
	var text strings.Builder
	names, _ := s.ReadDir(dir) // none: no drop-ins
	slices.Sort(names)
	for _, n := range names {
		if b, err := s.ReadFile(path.Join(dir, n)); err == nil && strings.HasSuffix(n, ".conf") {
			text.Write(b)
			text.WriteByte('\n')
		}
	}
	return text.String()
}
