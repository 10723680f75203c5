package fleet

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func web(node, addr string, weight uint16) member.Member {
	return member.Member{
		ID: member.ID(node + "/lbd"), Node: node, Service: "lbd", State: member.Alive, Addr: at(strings.Split(addr, "|")[0]),
		Announcement: member.Announcement{Weight: weight, Endpoints: []member.Endpoint{
			{Name: "http", Proto: "tcp", Addr: at(strings.Split(addr, "|")[0])},
		}},
	}
}

func view() member.View {
	dead, failed, draining, zero := web("n3", "10.0.0.3:80", 100), web("n4", "10.0.0.4:80", 100), web("n5", "10.0.0.5:80", 100), web("n6", "10.0.0.6:80", 0)
	dead.State = member.Dead
	failed.Health = health.Fail
	draining.Draining = true
	gone := web("g1", "10.0.1.1:80", 100)
	gone.Service, gone.State = "gone", member.Left
	return member.View{Members: []member.Member{
		web("n1", "10.0.0.1:80", 300), web("n2", "10.0.0.2:8080", 100), web("n7", "[fd00::7]:80", 100),
		dead, failed, draining, zero, gone,
	}}
}

func show(a Answer) string {
	var out []string
	for _, rr := range append(append(a.Answer, a.Ns...), a.Additional...) {
		f := strings.Fields(rr.String())
		out = append(out, strings.Join(append([]string{f[0], f[1]}, f[3:min(len(f), 8)]...), " "))
	}
	return strings.ReplaceAll(dns.RcodeToString[a.Rcode]+" "+strings.Join(out, "; "), "everup.internal.", "@")
}

func TestLookup(t *testing.T) {
	d := New("everup.internal", 2)
	f := func(name, qtype, want string) {
		t.Helper()
		rnd := rand.New(rand.NewPCG(1, 1))
		if diff := cmp.Diff(want, show(d.Lookup(view(), name, dns.StringToType[qtype], rnd))); diff != "" {
			t.Errorf("%s %s: -want +got\n%s", name, qtype, diff)
		}
	}
	const neg = "@ 2 SOA dnsd.@ hostmaster.@ 1 3600"
	f("lbd.service.everup.internal.", "A", "NOERROR lbd.service.@ 2 A 10.0.0.1; lbd.service.@ 2 A 10.0.0.2")
	f("LBD.Service.EVERUP.internal.", "AAAA", "NOERROR LBD.Service.EVERUP.internal. 2 AAAA fd00::7")
	f("lbd.service.everup.internal.", "TXT", "NOERROR "+neg)
	f("nope.service.everup.internal.", "A", "NXDOMAIN "+neg)
	f("gone.service.everup.internal.", "A", "NOERROR "+neg) // known, all away
	f("lbd.service.everup.internal.", "SRV",
		"NOERROR lbd.service.@ 2 SRV 0 300 80 n1.node.@; lbd.service.@ 2 SRV 0 100 8080 n2.node.@; lbd.service.@ 2 SRV 0 100 80 n7.node.@; n1.node.@ 2 A 10.0.0.1; n2.node.@ 2 A 10.0.0.2; n7.node.@ 2 AAAA fd00::7")
	f("_http._tcp.lbd.service.everup.internal.", "SRV",
		"NOERROR _http._tcp.lbd.service.@ 2 SRV 0 300 80 n1.node.@; _http._tcp.lbd.service.@ 2 SRV 0 100 8080 n2.node.@; _http._tcp.lbd.service.@ 2 SRV 0 100 80 n7.node.@; n1.node.@ 2 A 10.0.0.1; n2.node.@ 2 A 10.0.0.2; n7.node.@ 2 AAAA fd00::7")
	f("_http._udp.lbd.service.everup.internal.", "SRV", "NXDOMAIN "+neg)
	f("n1.node.everup.internal.", "A", "NOERROR n1.node.@ 2 A 10.0.0.1")
	f("n1.node.everup.internal.", "AAAA", "NOERROR "+neg)
	f("n3.node.everup.internal.", "A", "NOERROR "+neg) // dead
	f("n9.node.everup.internal.", "A", "NXDOMAIN "+neg)
	f("everup.internal.", "SOA", "NOERROR "+neg)
	f("service.everup.internal.", "A", "NOERROR "+neg)
	f("x.y.everup.internal.", "A", "NXDOMAIN "+neg)
	if d.Covers("internal.") || !d.Covers("a.Everup.internal.") || d.Covers("xeverup.internal.") {
		t.Error("Covers is wrong")
	}
}

// The first address of an answer goes to most clients: it must follow the weights.
func TestShuffleFollowsWeights(t *testing.T) {
	d := New("everup.internal", 2)
	rnd := rand.New(rand.NewPCG(1, 2))
	first := map[string]int{}
	const n = 10_000
	for range n {
		a := d.Lookup(view(), "lbd.service.everup.internal.", dns.TypeA, rnd)
		first[a.Answer[0].(*dns.A).A.String()]++
	}
	// n1 has 300 of 500, n2 100 and n7 (IPv6, left out here) 100: n1 is first in 3 of 4.
	if got := first["10.0.0.1"]; got < n*73/100 || got > n*77/100 {
		t.Errorf("10.0.0.1 was first in %d of %d", got, n)
	}
}
