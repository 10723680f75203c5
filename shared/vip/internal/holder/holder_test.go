package holder

import (
	"errors"
	"testing"
	"time"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

const addr = "10.77.0.100/24"

// TestLife: nothing before the first verdict; then Backup, Active, and the end when the daemon dies.
func TestLife(t *testing.T) {
	r := newRig(t)
	r.putPlan(group1("g", spec(51, addr)))
	if r.daemon.hello == nil {
		t.Error("no Hello")
	}
	r.did("listen 10.77.0.1")
	r.run(time.Second)
	r.told()
	r.judge("g", -20)
	r.told("v51 state Backup startup")
	r.run(362 * ms) // 3 intervals, skew of priority 80
	r.told()
	r.run(20 * ms)
	r.did("send 80 to 224.0.0.18", "add 2 10.77.0.100/24", "frame 2")
	r.told("v51 state Active down_timer")
	r.run(100 * ms)
	r.did("send 80 to 224.0.0.18")
	s := r.daemon.snapshots[len(r.daemon.snapshots)-1].Groups[0].Routers[0]
	if s.State != "Active" || s.Priority != 80 || s.Base != 100 || s.Source.String() != "10.77.0.1" || s.Counters.Sent != 1 {
		t.Errorf("the snapshot has %+v", s)
	}
	r.shutdown(r.now)
	r.did("send 0 to 224.0.0.18", "remove 2 10.77.0.100/24", "close 10.77.0.1")
}

// TestShutdownSendsFirst: of all groups, before any address is removed.
func TestShutdownSendsFirst(t *testing.T) {
	r := newRig(t)
	r.putPlan(group1("a", spec(51, addr)), group1("b", spec(52, "10.77.0.101/24")))
	r.judge("a", 0)
	r.judge("b", 0)
	r.run(time.Second)
	r.quiet()
	r.shutdown(r.now)
	r.did("send 0 to 224.0.0.18", "send 0 to 224.0.0.18", "remove 2 10.77.0.100/24", "remove 2 10.77.0.101/24", "close 10.77.0.1")
}

func TestVerdict(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	r.judge("g", 500)
	r.did("send 254 to 224.0.0.18")
	r.judge("g", 0, "no backend lives")
	r.told("v51 state Initialize fault")
	r.did("send 0 to 224.0.0.18", "remove 2 10.77.0.100/24")
	r.faultsAre("g", "no backend lives")
	r.judge("nobody", 5)
	r.judge("g", 0)
	r.told("v51 state Backup startup")
	r.faultsAre("g")
}

func TestPrioritized(t *testing.T) {
	f := func(base vrrp.Priority, delta int, want vrrp.Priority) {
		t.Helper()
		if got := prioritized(base, delta); got != want {
			t.Errorf("%d and %d are %d, want %d", base, delta, got, want)
		}
	}
	f(100, 10, 110)
	f(100, -99, 1)
	f(100, -1000, 1)
	f(100, 1000, 254)
	f(255, -10, 255)
}

func TestLinks(t *testing.T) {
	r := newRig(t)
	g := group1("g", spec(51, addr))
	g.Links = []wire.LinkTrack{{Interface: "eth1"}, {Interface: "eth2", Weight: -30}, {Interface: "eth3", Weight: 7}}
	r.putPlan(g)
	r.judge("g", 1)
	r.faultsAre("g", "interface eth1 is not there")
	for i, name := range []string{"eth1", "eth3"} {
		r.lab.links = append(r.lab.links, nl.Link{Index: 3 + i, Name: name, Up: true, Carrier: true})
	}
	r.news(nl.Overrun)
	r.faultsAre("g")
	if p := r.groups[0].routers[0].m.Status().Priority; p != 100+1-30+7 {
		t.Errorf("the priority is %d", p)
	}
	r.lab.links[1].Carrier = false
	r.event(nl.Event{Kind: nl.LinkChanged, Link: r.lab.links[1]})
	r.finish(r.now)
	r.faultsAre("g", "interface eth1 has no carrier")
}

// TestInterface: a router's interface comes, loses its carrier, goes, and comes back as another.
func TestInterface(t *testing.T) {
	r := newRig(t)
	eth0 := r.lab.links[0]
	r.lab.links = nil
	r.putPlan(group1("g", spec(51, addr)))
	r.judge("g", 0)
	r.faultsAre("g", "interface eth0 is not there")
	r.told()

	r.lab.links = []nl.Link{eth0}
	r.event(nl.Event{Kind: nl.LinkChanged, Link: eth0})
	r.finish(r.now)
	r.faultsAre("g")
	r.run(500 * ms)
	r.told("v51 state Backup startup", "v51 state Active down_timer")
	r.quiet()

	r.lab.links[0].Carrier = false
	r.event(nl.Event{Kind: nl.LinkChanged, Link: eth0})
	r.finish(r.now)
	r.told("v51 state Initialize fault")
	r.did("send 0 to 224.0.0.18", "remove 2 10.77.0.100/24")

	r.lab.links[0].MTU = 9000
	r.news(nl.Overrun)
	r.did("rejoin 10.77.0.1")

	r.lab.links = nil
	r.event(nl.Event{Kind: nl.LinkGone, Link: eth0})
	r.finish(r.now)
	r.did("close 10.77.0.1")

	eth0.Index = 9
	r.lab.links = []nl.Link{eth0}
	r.lab.put(9, "10.77.0.7/24")
	r.event(nl.Event{Kind: nl.LinkChanged, Link: eth0})
	r.finish(r.now)
	r.did("listen 10.77.0.7")
	r.faultsAre("g")
}

// TestSource: which address adverts come from.
func TestSource(t *testing.T) {
	f := func(want string, change func(l *lab, s *wire.Router)) {
		t.Helper()
		r := newRig(t)
		s := spec(51, addr)
		change(r.lab, &s)
		r.putPlan(group1("g", s))
		got := r.groups[0].routers[0].primary
		if fault := r.groups[0].routers[0].trouble; fault != "" {
			if fault != want {
				t.Errorf("trouble is %q, want %q", fault, want)
			}
		} else if got.String() != want {
			t.Errorf("the source is %v, want %v", got, want)
		}
	}
	f("10.77.0.1", func(*lab, *wire.Router) {})
	f("10.77.0.9", func(l *lab, s *wire.Router) {
		l.put(2, "10.77.0.9/24")
		s.Source = netipMust("10.77.0.9")
	})
	f("interface eth0 does not have the source 10.77.0.8", func(_ *lab, s *wire.Router) { s.Source = netipMust("10.77.0.8") })
	f("interface eth0 has no IPv4 address to send from", func(l *lab, _ *wire.Router) {
		l.take("10.77.0.1/24")
		l.put(2, addr)
	})
	f("10.77.0.100", func(l *lab, s *wire.Router) { // an owner's only one
		l.take("10.77.0.1/24")
		l.put(2, addr)
		s.Config.Priority = vrrp.PriorityOwner
	})
	six := func(s *wire.Router) {
		*s = spec(51, "fe80::51/64", "fd77::100/64")
	}
	f("fe80::1", func(l *lab, s *wire.Router) { six(s); l.put(2, "fd77::1/64") })
	f("interface eth0 has no IPv6 address to send from", func(l *lab, s *wire.Router) {
		six(s)
		l.addrs[1].Tentative = true
	})
}

// TestSourceChanges: the machine goes on with another primary address; without one it is at fault.
func TestSourceChanges(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	r.lab.put(2, "10.77.0.2/24")
	r.lab.take("10.77.0.1/24")
	r.event(nl.Event{Kind: nl.AddrGone, Addr: nl.Addr{Index: 2, Prefix: prefix("10.77.0.1/24")}})
	r.finish(r.now)
	r.did("close 10.77.0.1", "listen 10.77.0.2", "send 100 to 224.0.0.18")
	r.told()
	r.lab.take("10.77.0.2/24")
	r.news(nl.Overrun)
	r.told("v51 state Initialize fault")
}

// TestAddressLost: what something else removes is added again, at once and then once a second.
func TestAddressLost(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	lose := func() {
		r.lab.take(addr)
		r.event(nl.Event{Kind: nl.AddrGone, Addr: nl.Addr{Index: 2, Prefix: prefix(addr)}})
		r.finish(r.now)
	}
	lose()
	r.did("add 2 10.77.0.100/24", "frame 2")
	r.told("v51 readded 10.77.0.100/24 had been removed from eth0 by something else")
	lose()
	r.did()
	r.run(time.Second)
	r.told("v51 readded 10.77.0.100/24 had been removed from eth0 by something else")

	// The news is lost: the second's look finds it.
	r.lab.take(addr)
	r.run(2 * time.Second)
	r.told("v51 readded 10.77.0.100/24 had been removed from eth0 by something else")
	r.quiet()

	// Our own removal is no loss.
	r.judge("g", 0, "fault")
	r.event(nl.Event{Kind: nl.AddrGone, Addr: nl.Addr{Index: 2, Prefix: prefix(addr)}})
	r.finish(r.now)
	r.told("v51 state Initialize fault")
}

// TestForeignAddress: a Backup does not have the address, whoever adds it.
func TestForeignAddress(t *testing.T) {
	r := newRig(t)
	r.lab.put(2, addr)
	r.putPlan(group1("g", spec(51, addr)))
	r.did("listen 10.77.0.1", "remove 2 10.77.0.100/24") // of an earlier life
	r.judge("g", 0)
	r.quiet()
	r.lab.put(2, addr)
	r.advert(spec(51, addr), 200, "10.77.0.9", 0)
	r.hear()
	r.lookAll(r.now)
	r.did("remove 2 10.77.0.100/24")
	r.told("v51 removed 10.77.0.100/24 was on eth0 while this host is not to have it")
}

// TestOwner: what the system gave an owner is not taken away.
func TestOwner(t *testing.T) {
	r := newRig(t)
	r.lab.put(2, addr)
	s := spec(51, addr, "10.77.0.101/24")
	s.Config.Priority = vrrp.PriorityOwner
	r.putPlan(group1("g", s))
	r.judge("g", 0)
	r.did("listen 10.77.0.1", "send 255 to 224.0.0.18", "add 2 10.77.0.101/24", "frame 2", "frame 2")
	r.lab.take(addr)
	r.news(nl.Overrun)
	r.did("add 2 10.77.0.100/24", "add 2 10.77.0.101/24", "frame 2", "frame 2")
}

// TestAddFails: a holder without the address is none; it is tried again later and later.
func TestAddFails(t *testing.T) {
	r := newRig(t)
	r.lab.refuse["add 2 10.77.0.100/24"] = errors.New("no room")
	r.putPlan(group1("g", spec(51, addr)))
	r.judge("g", 0)
	r.run(500 * ms)
	r.told("v51 state Backup startup", "v51 failed no room", "v51 state Active down_timer", "v51 state Initialize fault")
	r.faultsAre("g", "no room")
	r.run(11 * time.Second)
	r.told("v51 state Backup startup", "v51 state Active down_timer", "v51 state Initialize fault")
	r.run(15 * time.Second)
	r.told()
	r.lab.refuse = nil
	r.run(10 * time.Second)
	r.told("v51 state Backup startup", "v51 failed no room (gone)", "v51 state Active down_timer")
	r.faultsAre("g")
}

func TestNoAccept(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	s.Config.Accept = false
	r.putPlan(group1("g", s))
	r.judge("g", 0)
	r.quiet()
	r.run(400 * ms)
	r.did("send 100 to 224.0.0.18", "frame 2")
	r.news(nl.Overrun)
	r.told("v51 state Active down_timer")
}

func TestVMAC(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	s.VMAC = true
	r.putPlan(group1("g", s))
	r.did("macvlan ev4.51.2 on 2", "listen 10.77.0.1", "listen 10.77.0.1", "up 101 false")
	r.judge("g", 0)
	r.run(400 * ms)
	r.did("frame 2", "up 101 true", "add 101 10.77.0.100/24", "frame 2")
	r.say(wire.Message{Do: &wire.Do{ID: 1, Verb: wire.Stop}})
	r.run(500 * ms)
	r.lab.log = r.lab.log[len(r.lab.log)-5:]
	r.did("remove 101 10.77.0.100/24", "up 101 false", "close 10.77.0.1", "close 10.77.0.1", "remove link 101")
	r.answered("1 ")
	if !r.stopped {
		t.Error("it goes on")
	}
}

// TestLifeline: a daemon that says nothing is stuck; one whose words lie unread, because we did not run, is not.
func TestLifeline(t *testing.T) {
	r := newRig(t)
	r.say(wire.Message{Plan: &wire.Plan{ID: 1, Groups: []wire.Group{group1("g", spec(51, addr))}, Lifeline: 2 * time.Second}})
	r.judge("g", 0)
	r.run(1900 * ms)
	r.say(wire.Message{Beat: &wire.Beat{}})
	r.run(1900 * ms)
	r.faultsAre("g")

	r.now += 10 * time.Second
	err := r.due(r.now, func() error { return r.take(r.now, &wire.Message{Beat: &wire.Beat{}}) })
	if err != nil {
		t.Fatal(err)
	}
	r.faultsAre("g")
	r.run(2 * time.Second)
	r.faultsAre("g", "the daemon is stuck: it has not been heard for 2s")
	r.say(wire.Message{Beat: &wire.Beat{}})
	r.faultsAre("g")
}
