package vip

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/google/go-cmp/cmp"
)

// whole has every key of a VIP, groups, both families and both kinds of peers.
const whole = `vips:
  web:
    interface: eth0
    vrid: 51
    addresses: [10.0.0.5/24, 10.0.0.6, '2001:db8::5/64']
    priority: 150
    interval: 200ms
    group: front
    preempt_delay: 3s
    start_delay: 4s
    source: 10.0.0.1
    peers: [10.0.0.2, 'fe80::2', 10.0.0.3]
    min_ttl: 254
    checksum: pseudo
    vmac: true
    accept: false
    announce: {rounds: 3, gap: 50ms, again: 2s, refresh: 30s}
    track:
      - {interface: eth1, weight: -20}
      - {interface: eth2}
      - {value: backends}
  inner:
    interface: eth1
    vrid: 51
    addresses: [192.168.0.5/24]
    group: front
    track: [{interface: eth2}, {interface: eth1}]
  old:
    interface: bond0.10
    vrid: 7
    version: 2
    interval: 3s
    password: geheim
    preempt: false
    addresses: [10.1.0.5]
`

// TestPlan shows the plan of a configuration, as the child gets it.
func TestPlan(t *testing.T) {
	c, err := parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	who := identity{id: 3, sender: senderOf("n1"), epoch: 1000, secrets: [][]byte{{1, 2}, {3}}}
	leftovers := []wire.Place{
		{Interface: "eth0", Prefix: netip.MustParsePrefix("10.0.0.5/24")}, // stays
		{Interface: "eth9", Prefix: netip.MustParsePrefix("10.0.0.5/24")},
	}
	adopt := map[routerKey]bool{{"web", "eth0", 51, 4}: true, {"gone", "eth0", 1, 4}: true}
	p := c.plan(who, leftovers, adopt)
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	labtest.Golden(t, "plan.json", string(text)+"\n")
	if d := cmp.Diff(p, c.plan(who, leftovers, adopt), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("not the same again: %s", d)
	}
	if _, err := wire.Append(nil, &wire.Message{Plan: p}); err != nil {
		t.Error(err)
	}
}

// TestPlanOfMachines: every router's configuration is one that the machine takes, once the child has filled it in.
func TestPlanOfMachines(t *testing.T) {
	c, err := parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range c.plan(identity{}, nil, nil).Groups {
		for _, r := range g.Routers {
			r.Config.Primary = netip.MustParseAddr("10.0.0.1")
			if r.Addresses[0].Addr().Is6() {
				r.Config.Primary = netip.MustParseAddr("fe80::1")
			}
			for _, a := range r.Addresses {
				r.Config.Addrs = append(r.Config.Addrs, a.Addr())
			}
			if err := r.Config.Check(); err != nil {
				t.Errorf("%s: %v", r.Vip, err)
			}
		}
	}
}

// TestAuthenticate: which routers authenticate, by auth, peers and whether there is a secret.
func TestAuthenticate(t *testing.T) {
	f := func(keys string, secrets, want bool) {
		t.Helper()
		who := identity{}
		if secrets {
			who.secrets = [][]byte{{1}}
		}
		p := mustParse(t, "a: {interface: eth0, vrid: 1, addresses: [10.0.0.5]"+keys+"}").plan(who, nil, nil)
		if got := p.Groups[0].Routers[0].Authenticate; got != want || (len(p.Secrets) > 0) != want {
			t.Errorf("%s, secrets %v: authenticate %v with %d secrets, want %v", keys, secrets, got, len(p.Secrets), want)
		}
	}
	f("", true, false)
	f(", peers: [10.0.0.2]", true, true)
	f(", peers: [10.0.0.2]", false, false)
	f(", peers: [10.0.0.2], auth: 'off'", true, false)
	f(", peers: [10.0.0.2], auth: fleet", true, true)
}

func TestSenderOf(t *testing.T) {
	if a, b := senderOf("n1"), senderOf("n2"); a == b || a == 0 || a != senderOf("n1") {
		t.Errorf("senders %x and %x", a, b)
	}
}
