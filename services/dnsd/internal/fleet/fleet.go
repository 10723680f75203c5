// Package fleet makes DNS answers from the members of the fleet:
//
//	<service>.service.<domain>         A, AAAA   the addresses that serve it, shuffled by weight
//	<service>.service.<domain>         SRV       with ports; targets are <node>.node.<domain>
//	_<name>._<proto>.<service>.service.<domain>  SRV   one endpoint name only (RFC 2782)
//	<node>.node.<domain>               A, AAAA   the node's addresses
//
// Only members that are alive, not draining and not failed are answered; a name whose members are all away has no data.
// The package is pure: the view, the question and the random numbers come from the caller.
package fleet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
	"github.com/miekg/dns"
)

// maxAnswer bounds the addresses of one answer.
const maxAnswer = 32

// Domain answers for one domain.
type Domain struct {
	origin string // canonical
	ttl    uint32 // seconds
}

// New returns the answerer for domain with the given TTL in seconds.
func New(domain string, ttl uint32) *Domain {
	return &Domain{origin: dns.CanonicalName(domain), ttl: ttl}
}

// Origin returns the domain, canonical.
func (d *Domain) Origin() string { return d.origin }

// Covers reports whether name lies in the domain.
func (d *Domain) Covers(name string) bool { return dns.IsSubDomain(d.origin, name) }

// Answer is what the domain says.
type Answer struct {
	Rcode      int
	Answer     []dns.RR
	Ns         []dns.RR
	Additional []dns.RR
}

// Lookup answers a question for name, which Covers holds for. rnd shuffles.
func (d *Domain) Lookup(v member.View, name string, qtype uint16, rnd *rand.Rand) Answer {
	rel := strings.TrimSuffix(strings.TrimSuffix(dns.CanonicalName(name), d.origin), ".")
	labels := strings.Split(rel, ".")
	var a Answer
	known := false
	switch n := len(labels); {
	case rel == "" || rel == "service" || rel == "node":
		known = true
		a.Answer = d.apex(rel, qtype)
	case n == 2 && labels[1] == "service":
		known = d.service(&a, v, name, labels[0], "", "", qtype, rnd)
	case n == 4 && labels[3] == "service" && strings.HasPrefix(labels[0], "_") && strings.HasPrefix(labels[1], "_"):
		known = d.service(&a, v, name, labels[2], labels[0][1:], labels[1][1:], qtype, rnd)
	case n == 2 && labels[1] == "node":
		known = d.node(&a, v, name, labels[0], qtype)
	}
	if !known {
		a.Rcode = dns.RcodeNameError
	}
	if len(a.Answer) == 0 {
		a.Ns = []dns.RR{d.soa()}
	}
	return a
}

// soa is the domain's own: there is no zone file behind it, so most of it is for form.
func (d *Domain) soa() *dns.SOA {
	return &dns.SOA{
		Hdr: d.header(d.origin, dns.TypeSOA), Ns: "dnsd." + d.origin, Mbox: "hostmaster." + d.origin,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: d.ttl,
	}
}

func (d *Domain) header(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: d.ttl}
}

func (d *Domain) apex(rel string, qtype uint16) []dns.RR {
	if rel != "" {
		return nil
	}
	switch qtype {
	case dns.TypeSOA:
		return []dns.RR{d.soa()}
	case dns.TypeNS:
		return []dns.RR{&dns.NS{Hdr: d.header(d.origin, dns.TypeNS), Ns: "dnsd.service." + d.origin}}
	}
	return nil
}

// usable reports whether clients may be sent to m.
func usable(m member.Member) bool {
	return m.State == member.Alive && !m.Draining && m.Health != health.Fail && m.Weight > 0
}

// target is one endpoint of one member.
type target struct {
	node   string
	addr   netip.AddrPort
	weight uint16
}

// targets returns the endpoints of service, and whether the fleet knows the service at all. name and proto, unless
// empty, choose among them.
func targets(v member.View, service, name, proto string) (out []target, known bool) {
	for _, m := range v.Members {
		if strings.ToLower(m.Service) != service {
			continue
		}
		for _, e := range m.Endpoints {
			if name != "" && strings.ToLower(e.Name) != name || proto != "" && e.Proto != proto {
				continue
			}
			known = true
			if usable(m) && !e.Addr.Addr().IsUnspecified() {
				out = append(out, target{m.Node, e.Addr, m.Weight})
			}
		}
	}
	return out, known
}

func (d *Domain) service(a *Answer, v member.View, owner, service, name, proto string, qtype uint16, rnd *rand.Rand) bool {
	ts, known := targets(v, service, name, proto)
	switch qtype {
	case dns.TypeA, dns.TypeAAAA:
		if name == "" {
			a.Answer = d.addresses(owner, byWeight(ts, rnd), qtype)
		}
	case dns.TypeSRV:
		d.srv(a, owner, ts)
	}
	return known
}

// byWeight orders targets so that the first is each one's with a chance in proportion to its weight: clients take the first.
func byWeight(ts []target, rnd *rand.Rand) []target {
	rest := slices.Clone(ts)
	out := make([]target, 0, len(rest))
	for len(rest) > 0 {
		sum := 0
		for _, t := range rest {
			sum += int(t.weight)
		}
		pick, i := rnd.IntN(sum), 0
		for pick >= int(rest[i].weight) {
			pick -= int(rest[i].weight)
			i++
		}
		out = append(out, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return out
}

func (d *Domain) addresses(owner string, ts []target, qtype uint16) []dns.RR {
	var out []dns.RR
	seen := map[netip.Addr]bool{}
	for _, t := range ts {
		ip := t.addr.Addr().Unmap()
		if seen[ip] || ip.Is4() != (qtype == dns.TypeA) || len(out) == maxAnswer {
			continue
		}
		seen[ip] = true
		out = append(out, d.address(owner, ip))
	}
	return out
}

func (d *Domain) address(owner string, ip netip.Addr) dns.RR {
	if ip.Is4() {
		return &dns.A{Hdr: d.header(owner, dns.TypeA), A: ip.AsSlice()}
	}
	return &dns.AAAA{Hdr: d.header(owner, dns.TypeAAAA), AAAA: ip.AsSlice()}
}

func (d *Domain) srv(a *Answer, owner string, ts []target) {
	seen := map[string]bool{}
	for _, t := range ts {
		host := t.node + ".node." + d.origin
		key := fmt.Sprint(host, t.addr.Port())
		if seen[key] || len(a.Answer) == maxAnswer {
			continue
		}
		seen[key] = true
		a.Answer = append(a.Answer, &dns.SRV{
			Hdr: d.header(owner, dns.TypeSRV), Priority: 0, Weight: t.weight, Port: t.addr.Port(), Target: host,
		})
		if !seen[host] {
			seen[host] = true
			a.Additional = append(a.Additional, d.address(host, t.addr.Addr().Unmap()))
		}
	}
}

func (d *Domain) node(a *Answer, v member.View, owner, node string, qtype uint16) bool {
	known := false
	seen := map[netip.Addr]bool{}
	for _, m := range v.Members {
		if strings.ToLower(m.Node) != node {
			continue
		}
		known = true
		ip := m.Addr.Addr().Unmap()
		if m.State != member.Alive || !ip.IsValid() || seen[ip] || ip.Is4() != (qtype == dns.TypeA) || qtype != dns.TypeA && qtype != dns.TypeAAAA {
			continue
		}
		seen[ip] = true
		a.Answer = append(a.Answer, d.address(owner, ip))
	}
	return known
}
