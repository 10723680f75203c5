package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// features checks what the kernel can do.
func features(s System) []Finding {
	why := map[string]string{
		"epoll":     "every network program here waits by epoll",
		"memfd":     "a binary upgrade hands over state in memory files",
		"pidfd":     "processes are watched without races of their numbers",
		"reuseport": "several loops share one port",
	}
	var out []Finding
	for _, name := range Features() {
		err := s.Feature(name)
		if err == nil {
			continue
		}
		if name == "bpf" {
			out = append(out, Finding{"kernel.bpf", Notice, "BPF programs cannot be loaded by this user: " + err.Error(),
				"lbd's XDP forwarding needs it; without it lbd forwards in user space",
				"run lbd by its systemd unit, which has CAP_BPF and CAP_NET_ADMIN"})
			continue
		}
		out = append(out, Finding{"kernel." + name, Fail, "the kernel refuses " + name + ": " + err.Error(), why[name],
			"use a kernel of 5.10 or newer, without a seccomp filter against it"})
	}
	return out
}

// sysctl is a kernel setting that is compared with a number.
type sysctl struct {
	name  string // as sysctl(8) writes it
	level Level
	bad   func(n int) bool
	want  string // the value that mends it
	why   string
}

func below(least int) func(int) bool { return func(n int) bool { return n < least } }
func above(most int) func(int) bool  { return func(n int) bool { return n > most } }
func other(want int) func(int) bool  { return func(n int) bool { return n != want } }

func allSysctls() []sysctl {
	return []sysctl{
		{"net.core.somaxconn", Warn, below(4096), "4096", "a burst of connections is refused when the accept queue is full"},
		{"net.core.rmem_max", Warn, below(4 << 20), "8388608", "logd and dnsd ask for large UDP buffers; a burst is dropped in small ones"},
		{"net.core.wmem_max", Notice, below(4 << 20), "8388608", "large answers wait for the receiver in small send buffers"},
		{"net.ipv4.ip_nonlocal_bind", Notice, other(0), "0", "a typo in a listen address goes unnoticed; lbd and dnsd bind to virtual addresses without it"},
		{"net.ipv4.conf.all.arp_ignore", Notice, below(1), "1", "behind a direct-return balancer a backend must not answer ARP for the virtual address"},
		{"net.ipv4.conf.all.arp_announce", Notice, below(2), "2", "behind a direct-return balancer a backend must not announce the virtual address"},
		{"net.ipv4.tcp_migrate_req", Notice, below(1), "1", "connections in the accept queue of a process that ends are lost in a binary upgrade"},
		{"vm.overcommit_memory", Warn, func(n int) bool { return n == 2 }, "0", "with strict accounting cached's large mappings are refused"},
		{"vm.swappiness", Notice, above(60), "10", "a cache that is swapped out is slower than none"},
		{"fs.file-max", Warn, below(100_000), "1000000", "all connections and files of the host share this bound"},
	}
}

// sysctls checks the kernel's settings; one that this kernel does not have is passed over.
func sysctls(s System) []Finding {
	var out []Finding
	for _, c := range allSysctls() {
		text, ok := readSysctl(s, c.name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || !c.bad(n) {
			continue // a number beyond int is large enough for all of them
		}
		out = append(out, Finding{sysctlID(c.name), c.level, c.name + " is " + text, c.why, setSysctl(c.name, c.want)})
	}
	return append(out, ranges(s)...)
}

// leastPorts is the number of local ports below which a proxy runs out of them under load.
const leastPorts = 20_000

// ranges checks the settings that are two numbers.
func ranges(s System) []Finding {
	var out []Finding
	const local, ping = "net.ipv4.ip_local_port_range", "net.ipv4.ping_group_range"
	if lo, hi, ok := readRange(s, local); ok && hi-lo < leastPorts {
		out = append(out, Finding{sysctlID(local), Warn, fmt.Sprintf("%s is %d to %d", local, lo, hi),
			"lbd needs a local port for each connection to a member", setSysctl(local, `"15000 60999"`)})
	}
	if lo, hi, ok := readRange(s, ping); ok && lo > hi {
		out = append(out, Finding{sysctlID(ping), Notice, "no group may send ICMP echo without privilege",
			"checks of type icmp need it, or CAP_NET_RAW", setSysctl(ping, `"0 2147483647"`)})
	}
	return out
}

func readSysctl(s System, name string) (string, bool) {
	b, err := s.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	return strings.TrimSpace(string(b)), err == nil
}

func readRange(s System, name string) (lo, hi int, ok bool) {
	text, ok := readSysctl(s, name)
	if !ok {
		return 0, 0, false
	}
	n, err := fmt.Sscan(text, &lo, &hi)
	return lo, hi, err == nil && n == 2
}

func sysctlID(name string) string { return "sysctl." + name[strings.LastIndexByte(name, '.')+1:] }

func setSysctl(name, value string) string {
	return fmt.Sprintf("echo '%s = %s' > /etc/sysctl.d/60-everup-%s.conf && sysctl --system",
		name, strings.Trim(value, `"`), name[strings.LastIndexByte(name, '.')+1:])
}
