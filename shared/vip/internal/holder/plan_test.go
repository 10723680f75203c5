package holder

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

func prefix(s string) netip.Prefix  { return netip.MustParsePrefix(s) }
func netipMust(s string) netip.Addr { return netip.MustParseAddr(s) }

const addr2 = "10.77.0.101/24"

// TestDiff: routers are told apart by what cannot change while they run.
func TestDiff(t *testing.T) {
	var old []*group
	for _, g := range []wire.Group{group1("a", spec(51, addr)), group1("b", spec(52, addr2), spec(53, "10.77.0.102/24"))} {
		gd := groupDifference{spec: g, kept: make([]*router, len(g.Routers))}
		old = append(old, (&holder{}).form(&gd))
	}
	f := func(want string, groups ...wire.Group) {
		t.Helper()
		d := diff(old, groups)
		var b strings.Builder
		for _, g := range d.groups {
			b.WriteString(g.spec.Name + ":")
			for i, r := range g.kept {
				word := " made"
				if r != nil {
					word = " kept"
				}
				b.WriteString(word + " " + g.spec.Routers[i].Vip)
			}
			if g.from != nil {
				b.WriteString(" from " + g.from.name)
			}
			if g.same {
				b.WriteString(" same")
			}
			b.WriteString("; ")
		}
		for _, r := range d.ended {
			b.WriteString("ended " + r.spec.Vip + " ")
		}
		if got := strings.TrimRight(b.String(), " ;"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	a, b, c := spec(51, addr), spec(52, addr2), spec(53, "10.77.0.102/24")
	f("a: kept v51 from a same; b: kept v52 kept v53 from b same", group1("a", a), group1("b", b, c))
	f("z: kept v51 from a same; b: kept v53 from b; ended v52", group1("z", a), group1("b", c))
	f("b: kept v52 kept v51 from b; a: kept v53 from a", group1("b", b, a), group1("a", c))
	f("b: kept v53 kept v52 from b; ended v51", group1("b", c, b))
	vmac, six, eth1, v2 := a, spec(51, "fe80::51/64"), a, a
	vmac.VMAC, eth1.Interface, v2.Config.Version = true, "eth1", vrrp.V2
	f("a: made v51 from a; ended v51 ended v52 ended v53", group1("a", vmac))
	f("a: made v51 from a; ended v51 ended v52 ended v53", group1("a", six))
	f("a: made v51 from a; ended v51 ended v52 ended v53", group1("a", eth1))
	f("a: made v51 from a; ended v51 ended v52 ended v53", group1("a", v2))
	f("n: made v60; ended v51 ended v52 ended v53", group1("n", spec(60, addr)))
}

func TestCheck(t *testing.T) {
	f := func(why string, change func(p *wire.Plan)) {
		t.Helper()
		p := wire.Plan{ID: 7, Groups: []wire.Group{group1("a", spec(51, addr)), group1("b", spec(52, addr2))}}
		change(&p)
		err := check(&p)
		if why == "" && err == nil {
			return
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	first := func(change func(s *wire.Router)) func(p *wire.Plan) {
		return func(p *wire.Plan) { change(&p.Groups[0].Routers[0]) }
	}
	f("", func(*wire.Plan) {})
	f("group a twice", func(p *wire.Plan) { p.Groups[1].Name = "a" })
	f("VRID 52 of eth0 is another router's", first(func(s *wire.Router) { s.Config.VRID, s.VMAC = 52, true }))
	f("no interface", first(func(s *wire.Router) { s.Interface = "" }))
	f("by unicast and with a secret only", first(func(s *wire.Router) { s.Authenticate = true }))
	f("family", first(func(s *wire.Router) { s.Source = netipMust("fe80::1") }))
	f("peer 224.0.0.18", first(func(s *wire.Router) { s.Peers = []netip.Addr{netipMust("224.0.0.18")} }))
	f("priority 0", first(func(s *wire.Router) { s.Config.Priority = 0 }))
	f("without a length", first(func(s *wire.Router) { s.Addresses = []netip.Prefix{{}} }))

	r := newRig(t)
	r.activate(spec(51, addr))
	r.putPlan(group1("g", spec(0, addr)))
	r.told("failed vip: plan 2: v0: vrrp: VRID 0 is not 1 to 255")
	if r.plan != 1 || !r.find("g").active() {
		t.Error("the ill plan has done something")
	}
}

// TestReload: what stays is not touched; another address comes, one goes, a priority changes.
func TestReload(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	r.activate(s)
	r.judge("g", -10)
	r.quiet()
	r.putPlan(group1("g", s))
	r.did("send 90 to 224.0.0.18")
	s.Addresses = []netip.Prefix{prefix(addr2), prefix("10.77.0.102/24")}
	r.putPlan(group1("g", s))
	r.did("remove 2 10.77.0.100/24", "add 2 10.77.0.101/24", "add 2 10.77.0.102/24", "frame 2", "frame 2", "send 90 to 224.0.0.18")
	s.Addresses = []netip.Prefix{prefix("10.77.0.101/32"), prefix("10.77.0.102/24")}
	r.putPlan(group1("g", s))
	r.did("send 90 to 224.0.0.18", "remove 2 10.77.0.101/24", "add 2 10.77.0.101/32", "add 2 10.77.0.102/24")
	r.told()
}

// TestMemberJoins: a group that is Active stays so.
func TestMemberJoins(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	r.putPlan(group1("g", spec(51, addr), spec(52, addr2)))
	r.told("v52 state Active adoption")
	r.did("send 100 to 224.0.0.18", "send 100 to 224.0.0.18", "add 2 10.77.0.101/24", "frame 2")
	r.putPlan(group1("g", spec(52, addr2)))
	r.run(500 * ms)
	r.told("v51 state Initialize release")
	if !r.find("g").active() || len(r.retired) != 0 {
		t.Error("the group is not Active alone")
	}
}

// TestRouterEnds: the addresses stay until a peer has them.
func TestRouterEnds(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	r.activate(s)
	r.putPlan()
	r.did("send 0 to 224.0.0.18")
	r.now += 10 * ms
	r.advert(s, 90, "10.77.0.9", 0)
	r.hear()
	r.did("remove 2 10.77.0.100/24", "close 10.77.0.1")
	r.told("v51 state Initialize release")
}

// TestSuccessor: with another VRID the same address is never off the interface while the successor is Active.
func TestSuccessor(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	s := spec(52, addr)
	s.Config.Priority = vrrp.PriorityOwner // takes it at once
	s.Vip = "v52"
	r.putPlan(group1("g", s))
	r.told("v52 state Active owner")
	r.run(500 * ms)
	r.told("v51 state Initialize release")
	for _, line := range r.lab.log {
		if strings.HasPrefix(line, "remove") {
			t.Errorf("%s", line)
		}
	}
}

// TestAdopt: the forerunner's addresses stay and are announced at once; without a verdict they go after a while.
func TestAdopt(t *testing.T) {
	adopted := func(t *testing.T) *rig {
		r := newRig(t)
		r.lab.put(2, addr)
		s := spec(51, addr)
		s.Adopt = true
		r.putPlan(group1("g", s))
		r.did("listen 10.77.0.1")
		return r
	}
	t.Run("verdict", func(t *testing.T) {
		r := adopted(t)
		r.run(100 * ms)
		r.judge("g", 0)
		r.did("send 100 to 224.0.0.18", "add 2 10.77.0.100/24", "frame 2")
		r.told("v51 state Active adoption")
	})
	t.Run("fault", func(t *testing.T) {
		r := adopted(t)
		r.judge("g", 0, "nothing is served")
		r.did("remove 2 10.77.0.100/24")
	})
	t.Run("no verdict", func(t *testing.T) {
		r := adopted(t)
		r.run(300 * ms)
		r.did()
		r.run(100 * ms)
		r.did("remove 2 10.77.0.100/24")
		r.judge("g", 0)
		r.told("v51 state Backup startup")
	})
}

func TestLeftovers(t *testing.T) {
	r := newRig(t)
	r.lab.put(2, addr)
	r.lab.put(2, addr2)
	r.lab.put(2, "10.77.0.150/24")
	r.lab.links = append(r.lab.links,
		nl.Link{Index: 7, Name: "ev4.9.2", Kind: "macvlan", Parent: 2, MAC: nl.MAC{0, 0, 0x5e, 0, 1, 9}},
		nl.Link{Index: 8, Name: "other", Kind: "macvlan", Parent: 2, MAC: nl.MAC{0, 0, 0x5e, 0, 1, 10}})
	r.lab.put(7, "10.77.0.109/24")
	r.lab.put(8, "10.77.0.110/24")
	place := func(p string) wire.Place { return wire.Place{Interface: "eth0", Prefix: prefix(p)} }
	r.say(wire.Message{Plan: &wire.Plan{
		ID: 1, Groups: []wire.Group{group1("g", spec(51, addr))},
		Leftovers: []wire.Place{place(addr), place(addr2), place("10.77.0.109/24"), {Interface: "gone0", Prefix: prefix(addr)}},
	}})
	r.did("listen 10.77.0.1", "remove 2 10.77.0.100/24", "remove 2 10.77.0.101/24", "remove 2 10.77.0.109/24", "remove link 7")
	r.run(time.Second)
	r.told()
}
