package holder_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

const (
	vip    = "10.77.0.100/32"
	vipIP  = "10.77.0.100"
	vip6   = "fd77::100/128"
	vip6IP = "fd77::100"
)

// trio is two hosts with holders and a client.
type trio struct {
	lab    *labtest.Lab
	client *labtest.Host
	a, b   *node
	seen   *observer
}

// newTrio starts two holders; a becomes Active, b Backup. change makes the routers of each.
func newTrio(t testing.TB, routers func(own, peer *labtest.Host, priority vrrp.Priority) []wire.Router) *trio {
	t.Helper()
	lab := labtest.New(t)
	ha, hb, hc := lab.Host("a"), lab.Host("b"), lab.Host("c")
	s := &trio{lab: lab, client: hc, seen: observe(t, vip, ha, hb)}
	s.a, s.b = start(t, ha), start(t, hb)
	s.a.plan(planOf(1, routers(ha, hb, 200)...))
	s.a.wait("Active")
	s.b.plan(planOf(2, routers(hb, ha, 150)...))
	s.b.wait("Backup")
	return s
}

// plain is one IPv4 router by multicast.
func plain(_, _ *labtest.Host, p vrrp.Priority) []wire.Router { return []wire.Router{spec(51, p, vip)} }

// TestTakeOverAfterCrash: the holder is killed, then its host's address goes nowhere: a peer takes it after three intervals.
// The next holder adopts or, here, sweeps what the first has left.
func TestTakeOverAfterCrash(t *testing.T) {
	s := newTrio(t, plain)
	neighbourAfterPing(t, s.client, vipIP, macOf(s.a.host, "eth0"))
	before := time.Now()
	s.a.proc.Kill()
	took := s.seen.within(t, 4*interval+20*ms, before, "b", true)
	t.Logf("taken %v after the kill", took)
	neighbour(t, s.client, vipIP, macOf(s.b.host, "eth0"))

	if !has(s.a.host, vip) {
		t.Fatal("the killed holder's address is gone by itself")
	}
	again := start(t, s.a.host)
	again.plan(planOf(1, spec(51, 100, vip)))
	again.wait("Backup")
	hasEventually(t, s.a.host, vip, false)
	if st := s.b.router(0); st.State != "Active" {
		t.Errorf("b is %s", st.State)
	}
}

// TestAdopt: a holder that follows a killed one keeps its addresses before the peer takes them.
func TestAdopt(t *testing.T) {
	s := newTrio(t, plain)
	began := time.Now()
	s.a.proc.Kill()
	next := start(t, s.a.host)
	r := spec(51, 200, vip)
	r.Adopt = true
	next.plan(planOf(3, r))
	next.wait("Active")
	if took := time.Since(began); took > 3*interval {
		t.Logf("it took %v: the peer may have been faster", took)
	}
	if tell := next.heard(wire.TellState, "Active"); tell.Cause != "adoption" {
		t.Errorf("Active by %s", tell.Cause)
	}
	s.b.wait("Backup")
	if _, gone := s.seen.since(began, "a", false); gone {
		t.Error("the address was off the interface")
	}
}

// TestDaemonDies: kill -9 of the data plane. The holder gives all up in milliseconds and ends. The bounds are a third of what
// silence would take, and wide enough for a machine that does other work.
func TestDaemonDies(t *testing.T) {
	lab := labtest.New(t)
	ha, hb, hc := lab.Host("a"), lab.Host("b"), lab.Host("c")
	a, b := startBehindDaemon(t, ha, 0), start(t, hb)
	ra, rb := spec(51, 254, vip), spec(51, 254, vip)
	ra.Config.Interval, rb.Config.Interval = 100*ms, 100*ms
	vmac := spec(52, 254, "10.77.0.101/32")
	vmac.VMAC = true
	a.plan(wire.Plan{ID: 1, Groups: []wire.Group{{Name: "g", Routers: []wire.Router{ra}}, {Name: "v", Routers: []wire.Router{vmac}}}})
	a.wait("Active")
	b.plan(planOf(2, rb))
	b.wait("Backup")
	seen := observe(t, vip, ha, hb)
	e := echoes(t, hc, vipIP, func() {
		pass(t, hc, 100*ms)
		before := time.Now()
		a.proc.Kill()
		taken := seen.within(t, 100*ms, before, "b", true)
		gone := seen.within(t, 100*ms, before, "a", false)
		t.Logf("b has the address %v after the kill, a lost it after %v", taken, gone)
		pass(t, hc, 100*ms)
	})
	t.Logf("%d echoes sent, %d received, longest gap %v", e.sent, e.received, e.gap)
	hasEventually(t, ha, "10.77.0.101/32", false)
	labtest.Eventually(t, patience, "the holder ends", func() error {
		if syscall.Kill(a.holderPid(), 0) == nil {
			return syscall.EEXIST
		}
		return nil
	})
	if out := ha.Run("ip", "-o", "link", "show", "type", "macvlan"); out != "" {
		t.Errorf("macvlans are left: %s", out)
	}
}

// TestSwitchOver: given to the peer and taken back, without a lost echo.
func TestSwitchOver(t *testing.T) {
	s := newTrio(t, plain)
	e := echoes(t, s.client, vipIP, func() {
		pass(t, s.client, 100*ms)
		if why := s.a.ask(wire.SwitchOver, "g"); why != "" {
			t.Errorf("switch-over: %s", why)
		}
		s.b.wait("Active")
		s.a.wait("Backup")
		pass(t, s.client, 3*interval)
		if why := s.a.ask(wire.TakeOver, "g"); why != "" {
			t.Errorf("take-over: %s", why)
		}
		s.a.wait("Active")
		s.b.wait("Backup")
		pass(t, s.client, 100*ms)
	})
	t.Logf("%d echoes sent, %d received, longest gap %v", e.sent, e.received, e.gap)
	if e.sent != e.received {
		t.Errorf("%d of %d echoes are lost", e.sent-e.received, e.sent)
	}
	neighbour(t, s.client, vipIP, macOf(s.a.host, "eth0"))
}

// TestReleaseAndStop: the address is with the peer when the answer comes; after Stop nothing is left.
func TestReleaseAndStop(t *testing.T) {
	s := newTrio(t, plain)
	if why := s.a.ask(wire.Release, ""); why != "" {
		t.Errorf("release: %s", why)
	}
	if has(s.a.host, vip) || !has(s.b.host, vip) {
		t.Errorf("a has the address: %v; b: %v", has(s.a.host, vip), has(s.b.host, vip))
	}
	if why := s.b.ask(wire.SwitchOver, "g"); !strings.Contains(why, "no peer has taken g") {
		t.Errorf("a switch-over without a peer: %q", why)
	}
	s.a.ask(wire.Resume, "g")
	s.a.wait("Active")
	if why := s.a.ask(wire.Stop, ""); why != "" {
		t.Errorf("stop: %s", why)
	}
	if code := s.a.proc.Wait(patience); code != 0 {
		t.Errorf("the holder ends with %d", code)
	}
	s.b.wait("Active")
	if has(s.a.host, vip) {
		t.Error("the address is left")
	}
}

// TestSignals: the holder ignores what is meant for the daemon.
func TestSignals(t *testing.T) {
	s := newTrio(t, plain)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		s.a.proc.Signal(sig)
	}
	if why := s.a.ask(wire.TakeOver, "g"); why != "" || !s.a.proc.Running() {
		t.Errorf("after signals: %s, running %v", why, s.a.proc.Running())
	}
}

// TestAddressWiped: by a network manager, say.
func TestAddressWiped(t *testing.T) {
	s := newTrio(t, plain)
	before := time.Now()
	s.a.host.Run("ip", "addr", "del", vip, "dev", "eth0")
	s.seen.within(t, 50*ms, before, "a", true)
	s.a.heard(wire.TellReadded, vip)
	before = time.Now()
	s.a.host.Run("ip", "addr", "flush", "dev", "eth0", "to", vip)
	s.seen.within(t, 1200*ms, before, "a", true)
	if _, moved := s.seen.since(before, "b", true); moved {
		t.Error("b took the address")
	}
	s.b.host.Run("ip", "addr", "add", vip, "dev", "eth0")
	s.b.heard(wire.TellRemoved, vip)
	hasEventually(t, s.b.host, vip, false)
}

// TestLinkDown: a carrier that is lost is a fault at once; the other host has the address after the Down interval; a link that
// comes back takes it over again.
func TestLinkDown(t *testing.T) {
	s := newTrio(t, plain)
	before := time.Now()
	s.lab.Unplug(s.a.host)
	s.seen.within(t, 100*ms, before, "a", false)
	s.seen.within(t, 4*interval+50*ms, before, "b", true)
	labtest.Eventually(t, patience, "a's fault", func() error {
		s.a.mu.Lock()
		defer s.a.mu.Unlock()
		return containsFault(s.a.snap.Groups[0].Faults, "interface eth0 has no carrier")
	})
	s.lab.Plug(s.a.host)
	s.a.wait("Active")
	s.b.wait("Backup")
	neighbourAfterPing(t, s.client, vipIP, macOf(s.a.host, "eth0"))
}

// TestInterfaceComes: a router waits for its interface.
func TestInterfaceComes(t *testing.T) {
	lab := labtest.New(t)
	h := lab.Host("a")
	n := start(t, h)
	r := spec(51, 100, "10.99.0.100/32")
	r.Interface = "later0"
	n.plan(planOf(1, r))
	n.wait("Initialize")
	come := func(addr string) {
		h.Run("ip", "link", "add", "later0", "type", "veth", "peer", "name", "later1")
		h.Run("ip", "addr", "add", addr, "dev", "later0")
		h.Run("ip", "link", "set", "later0", "up")
		h.Run("ip", "link", "set", "later1", "up")
	}
	come("10.99.0.1/24")
	n.wait("Active")
	h.Run("ip", "link", "del", "later0")
	n.wait("Initialize")
	come("10.99.0.2/24")
	n.wait("Active")
	if src := n.router(0).Source.String(); src != "10.99.0.2" {
		t.Errorf("it sends from %s", src)
	}
}

// TestFrozen: the holder is stopped and goes on later. Meanwhile a peer has the address too, for a frozen process cannot give it
// up; after the thaw not for longer than an interval.
func TestFrozen(t *testing.T) {
	s := newTrio(t, plain)
	before := time.Now()
	s.a.proc.Stop()
	s.seen.within(t, 4*interval+20*ms, before, "b", true)
	pass(t, s.client, 10*interval)
	thaw := time.Now()
	s.a.proc.Cont()
	// a has the higher priority: either yields at once and preempts later, or makes b yield at once.
	labtest.Eventually(t, patience, "one holder", func() error {
		_, goneA := s.seen.since(thaw, "a", false)
		_, goneB := s.seen.since(thaw, "b", false)
		if !goneA && !goneB {
			return syscall.EAGAIN
		}
		return nil
	})
	at, ok := s.seen.since(thaw, "a", false)
	if b, okB := s.seen.since(thaw, "b", false); okB && (!ok || b.Before(at)) {
		at = b
	}
	t.Logf("one holder again %v after the thaw", at.Sub(thaw))
	if at.Sub(thaw) > interval {
		t.Errorf("two holders for %v after the thaw", at.Sub(thaw))
	}
	s.a.wait("Active")
	s.b.wait("Backup")
	neighbourAfterPing(t, s.client, vipIP, macOf(s.a.host, "eth0"))
}

// TestSplitHeals: two holders while they do not hear each other; within an interval of the heal one, and the client knows it.
func TestSplitHeals(t *testing.T) {
	s := newTrio(t, plain)
	s.lab.Cut(s.a.host, s.b.host)
	s.b.wait("Active")
	neighbourAfterPing(t, s.client, vipIP, macOf(s.b.host, "eth0"))
	healed := time.Now()
	s.lab.Heal(s.a.host, s.b.host)
	took := s.seen.within(t, interval+10*ms, healed, "b", false)
	t.Logf("one holder again %v after the heal", took)
	neighbour(t, s.client, vipIP, macOf(s.a.host, "eth0"))
	s.a.heard(wire.TellReasserted, "")
}

// neighbourAfterPing has a host resolve an address first.
func neighbourAfterPing(t testing.TB, h *labtest.Host, ip, mac string) {
	t.Helper()
	h.Ping(ip)
	neighbour(t, h, ip, mac)
}

func containsFault(faults []string, want string) error {
	for _, f := range faults {
		if f == want {
			return nil
		}
	}
	return &wantFault{want, faults}
}

type wantFault struct {
	want string
	have []string
}

func (e *wantFault) Error() string {
	return strconv.Quote(e.want) + " is not in " + strings.Join(e.have, "; ")
}
