// Package labtest is the rig of the acceptance tests: hosts in network namespaces on one or more bridges, real
// processes in them, and the faults an operator fears: killed and frozen processes, cut cables, links that drop one
// way, partitions, loss. Beside the Lab stand the small helpers most tests want: Needs, Eventually, LeakCheck,
// Golden, Script, BuildBinary, FreePort, NewCerts. Only tests import it, daemons never.
//
// A Lab is a switch namespace that holds a bridge per Network, and a namespace per Host with a veth pair into each
// bridge it stands on. Nothing of it shows among the links of the namespace the test runs in.
//
//	lab := labtest.New(t)
//	a, b := lab.Host("a"), lab.Host("b")
//	p := a.Start("dnsd", labtest.BuildBinary(t, "…/cmd/dnsd"), "run", "-c", conf)
//	p.WaitLine(`"ready"`, 5*time.Second)
//	lab.Cut(a, b)
//	p.Kill()
//
// Names carry the process id and start time of the test, so that New sweeps away what a crashed run has left.
// Methods that set up or break things end the test when they fail and hence are called from the test's goroutine;
// those that return an error may be called from any.
package labtest

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// Lab is a set of hosts and networks that live as long as the test.
type Lab struct {
	t       testing.TB
	prefix  string // of the names of all its namespaces
	sw      *Host  // the switch: holds the bridges
	spawner *spawner

	mu       sync.Mutex
	networks []*Network
	hosts    []*Host
	procs    []*Proc
	faults   faults
}

// Network is one segment: a bridge with an IPv4 /24 and an IPv6 /64.
type Network struct {
	lab    *Lab
	index  int
	bridge string

	mu    sync.Mutex
	taken int // addresses given to hosts, from .1 up
	spare int // addresses given by Spare, from .200 up
}

// The bounds that the addressing sets.
const (
	maxNetworks = 100
	maxHosts    = 190 // on one network: .1 to .190
	firstSpare  = 200
	lastSpare   = 250
)

// New makes a lab with one network and no host. It skips the test where there is no root, no network namespace,
// or no ip or nft program.
func New(t testing.TB) *Lab {
	t.Helper()
	Needs(t, Root, "ip", "nft", NetNS)
	if err := Sweep(); err != nil {
		t.Fatalf("labtest: sweep: %v", err)
	}
	l := &Lab{t: t, prefix: newPrefix(rand.Text()[:5]), spawner: newSpawner(), faults: newFaults()}
	t.Cleanup(l.close)
	sw, err := newHost(l, "switch", -1)
	if err != nil {
		t.Fatalf("labtest: %v", err)
	}
	l.sw = sw
	if err := sw.In(quietSwitch); err != nil {
		t.Fatalf("labtest: switch: %v", err)
	}
	l.Network()
	return l
}

// Network adds a segment. The first, made by New, is 10.77.0.0/24 and fd77::/64; the nth after it is
// 10.77.n.0/24 and fd77:0:0:n::/64.
func (l *Lab) Network() *Network {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := &Network{lab: l, index: len(l.networks)}
	if n.index >= maxNetworks {
		l.t.Fatalf("labtest: more than %d networks", maxNetworks)
	}
	n.bridge = fmt.Sprintf("br%d", n.index)
	err := ipBatch(l.sw.ns.name,
		"link add "+n.bridge+" type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
		"link set "+n.bridge+" up")
	if err != nil {
		l.t.Fatalf("labtest: network %d: %v", n.index, err)
	}
	l.networks = append(l.networks, n)
	return n
}

// Default returns the network that New made.
func (l *Lab) Default() *Network {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.networks[0]
}

// Switch returns the namespace of the bridges as a host without an address, for tests that must see or change the
// other end of a cable (Host.Port names it).
func (l *Lab) Switch() *Host { return l.sw }

// Prefix4 returns the network's IPv4 prefix.
func (n *Network) Prefix4() netip.Prefix { return netip.PrefixFrom(n.addr4(0), 24) }

// Prefix6 returns the network's IPv6 prefix.
func (n *Network) Prefix6() netip.Prefix { return netip.PrefixFrom(n.addr6(0), 64) }

// Spare returns an address pair of the network that no host has, such as a virtual address needs.
func (n *Network) Spare() (v4, v6 netip.Addr) {
	n.lab.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	k := firstSpare + n.spare
	if k > lastSpare {
		n.lab.t.Fatalf("labtest: network %d has no spare address left", n.index)
	}
	n.spare++
	return n.addr4(k), n.addr6(k)
}

func (n *Network) addr4(k int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(n.index), byte(k)})
}

func (n *Network) addr6(k int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 7: byte(n.index), 15: byte(k)})
}

// take returns the number of the next host on the network.
func (n *Network) take() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken == maxHosts {
		return 0, fmt.Errorf("network %d: more than %d hosts", n.index, maxHosts)
	}
	n.taken++
	return n.taken, nil
}

// close ends every process, then removes every namespace; with the switch go the bridges and cables.
func (l *Lab) close() {
	l.mu.Lock()
	procs, hosts := l.procs, l.hosts
	l.mu.Unlock()
	for _, p := range procs {
		p.end()
	}
	if l.sw != nil {
		hosts = append([]*Host{l.sw}, hosts...)
	}
	for _, h := range hosts {
		if err := h.ns.remove(); err != nil {
			l.t.Errorf("labtest: remove %s: %v", h.Name, err)
		}
	}
	l.spawner.stop()
	if l.t.Failed() {
		logTails(l.t, procs)
	}
}

// logTails prints what each process said last.
func logTails(t testing.TB, procs []*Proc) {
	for _, p := range procs {
		tail := p.out.tail(tailLines)
		t.Logf("%s on %s (pid %d, %s), last lines:\n%s", p.Name, p.host.Name, p.Pid(), p.state(), strings.Join(tail, "\n"))
	}
}

// grace is how long the lab waits for a thing that must happen at once, such as the death of a killed process.
const grace = 10 * time.Second
