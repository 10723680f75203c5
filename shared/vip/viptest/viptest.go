// Package viptest is the rig on which virtual addresses are proved: two hosts that share an address, a third that uses
// it, and instruments that do not ask the programs under test what they believe. Only tests and benches import it.
//
//   - Rig: the hosts in network namespaces (package labtest), one address, and what is the same for both sides (Setting).
//   - Keepalived and Ours: a side, as a Router that is started, stopped, killed and frozen alike.
//   - Holders: which hosts have the address, by the kernel's own events in each namespace; it tells how long two had it
//     and how long none.
//   - Echo: a prober that sends an echo each 2 ms and tells the windows in which none was answered.
//   - Neighbour, Port: where the third host and the switch send what is meant for the address.
//   - Formula: what the protocol promises.
//
// Holders and Echo have one thread each, which runs under SCHED_FIFO where that is allowed, so that what they say of a
// starved machine is not their own lateness; both end with the test or when they are stopped. Echo's time and count are
// bounded, and so is what Holders remembers.
//
// A Bench runs the rig outside of `go test`.
package viptest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// Rig is a lab with one virtual address.
type Rig struct {
	T   testing.TB
	Lab *labtest.Lab
	// A and B share the address; A's own address is the lower. C is the third host.
	A, B, C *labtest.Host
	Setting Setting
	Holders *Holders

	addr    netip.Addr            // what C uses
	sources map[string]netip.Addr // of the hosts' adverts
	kinds   map[string]Kind       // of the hosts
	dir     string                // files of the sides
}

// Setting is what both sides of a rig have in common.
type Setting struct {
	Version  int // 2 or 3
	Six      bool
	Interval time.Duration // between adverts
	Unicast  bool
	VMAC     bool
	Password string // of version 2
	// RFCChecksum makes keepalived send and expect the RFC's form of the checksum in version 3 over IPv4
	// (v3_checksum_as_v2), not its own.
	RFCChecksum bool
}

// VRID is the virtual router id of a rig.
const VRID = 51

// String names the setting as subtests do.
func (s Setting) String() string {
	words := []string{fmt.Sprintf("v%d", s.Version), "IPv4", "multicast"}
	if s.Six {
		words[1] = "IPv6"
	}
	if s.Unicast {
		words[2] = "unicast"
	}
	if s.VMAC {
		words = append(words, "vmac")
	}
	if s.Password != "" {
		words = append(words, "password")
	}
	if s.RFCChecksum {
		words = append(words, "rfc9568")
	}
	return strings.Join(append(words, s.Interval.String()), "-")
}

// Role is what the sides of a rig have for themselves.
type Role struct {
	Priority  int
	NoPreempt bool
	// Plane makes keepalived give the address up when the data plane of its host dies, by a script each second, which is the
	// least there is; its track_process hears of nothing in a network namespace. everup's child always does.
	Plane bool
	// More are further lines of the VIP in everup's configuration.
	More []string
}

// Kind is which program a side is.
type Kind string

// The kinds.
const (
	Everup  Kind = "everup"
	Foreign Kind = "keepalived"
)

// New makes a rig on which nothing runs yet; a and b say what is to run on its hosts.
func New(t testing.TB, s Setting, a, b Kind) *Rig {
	t.Helper()
	if a == Foreign || b == Foreign {
		labtest.Needs(t, "keepalived")
	}
	lab := labtest.New(t)
	r := &Rig{T: t, Lab: lab, A: lab.Host("a"), B: lab.Host("b"), C: lab.Host("c"), Setting: s, dir: t.TempDir(),
		kinds: map[string]Kind{"a": a, "b": b}, sources: map[string]netip.Addr{}}
	v4, v6 := lab.Default().Spare()
	r.addr = v4
	if s.Six {
		r.addr = v6
	}
	for _, h := range []*labtest.Host{r.A, r.B} {
		r.sources[h.Name] = h.Addr()
		if s.Six {
			r.sources[h.Name] = linkLocal(t, h, r.Device(h))
		}
	}
	r.Holders = WatchHolders(t, r.addr, r.A, r.B)
	return r
}

// Addr returns the address that the third host uses.
func (r *Rig) Addr() netip.Addr { return r.addr }

// Addresses returns the virtual addresses as a configuration lists them: of IPv6 a link-local one first.
func (r *Rig) Addresses() []netip.Prefix {
	if !r.Setting.Six {
		return []netip.Prefix{netip.PrefixFrom(r.addr, 24)}
	}
	return []netip.Prefix{netip.MustParsePrefix("fe80::5:51/64"), netip.PrefixFrom(r.addr, 64)}
}

// Other returns the other of A and B.
func (r *Rig) Other(h *labtest.Host) *labtest.Host {
	if h == r.A {
		return r.B
	}
	return r.A
}

// Device returns the interface of the hosts that the adverts go over.
func (r *Rig) Device(h *labtest.Host) string { return h.Device(r.Lab.Default()) }

// Router is one side at work on a host.
type Router interface {
	// Terminate asks it to end, as systemd does, and waits until it has.
	Terminate()
	// Freeze stops all its processes where they are; Thaw lets them go on.
	Freeze()
	Thaw()
	// Kill ends all its processes at one instant. The addresses it held stay where they are.
	Kill()
	// Log returns what it wrote.
	Log() string
}

// Start starts what is to run on a host and returns when it takes part. The test ends it at last.
func (r *Rig) Start(h *labtest.Host, role Role) Router {
	r.T.Helper()
	if r.kinds[h.Name] == Foreign {
		return r.startKeepalived(h, role)
	}
	return r.startEverup(h, role)
}

// Crash makes a host lose its power: nothing of it is heard from this instant on, its router is dead and its addresses
// are gone. Lab.Rejoin brings it back, empty.
func (r *Rig) Crash(h *labtest.Host, side Router) time.Time {
	r.T.Helper()
	r.Lab.Isolate(h)
	at := time.Now()
	side.Kill()
	r.Wipe(h)
	return at
}

// Wipe removes the virtual addresses from the host, and a macvlan that carries them.
func (r *Rig) Wipe(h *labtest.Host) {
	r.T.Helper()
	for _, p := range r.Addresses() {
		h.Output("ip", "addr", "del", p.String(), "dev", r.Device(h)) // it may not be there
	}
	if !r.Setting.VMAC {
		return
	}
	for _, name := range macvlans(r.T, h) {
		h.Run("ip", "link", "del", name)
	}
}
