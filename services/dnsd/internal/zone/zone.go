// Package zone holds one authoritative zone in memory and answers what is in it, as RFC 1034 4.3.2 and RFC 4592 (wildcards) say.
//
// A Zone is read once from a master file (RFC 1035, 5) and never changes: a reload reads a new one and swaps it in.
package zone

import (
	"io"
	"strings"

	"github.com/everup/everup/shared/fault"
	"github.com/miekg/dns"
)

// MaxRecords bounds a zone in this plain engine.
const MaxRecords = 2_000_000

// node is a name that owns records, or an empty non-terminal.
type node struct {
	sets map[uint16][]dns.RR
}

// Zone is an immutable zone.
type Zone struct {
	origin string // canonical: lower case, ends in a dot
	soa    *dns.SOA
	names  map[string]*node
	count  int
}

// Parse reads a master file. file names it in messages; $INCLUDE is refused, so that a zone file cannot read other files.
func Parse(origin string, r io.Reader, file string) (*Zone, error) {
	z := &Zone{origin: dns.CanonicalName(origin), names: map[string]*node{}}
	p := dns.NewZoneParser(r, z.origin, file)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if err := z.add(rr); err != nil {
			return nil, fault.Wrap(fault.Config, err, "zone %s: %s", z.origin, file)
		}
	}
	if err := p.Err(); err != nil {
		return nil, fault.Wrap(fault.Config, err, "zone %s", z.origin)
	}
	return z, z.check(file)
}

func (z *Zone) add(rr dns.RR) error {
	h := rr.Header()
	name := dns.CanonicalName(h.Name)
	switch {
	case h.Class != dns.ClassINET:
		return fault.New(fault.Config, "%s: class %s is not served", h.Name, dns.ClassToString[h.Class])
	case !dns.IsSubDomain(z.origin, name):
		return fault.New(fault.Config, "%s lies outside of the zone", h.Name)
	case z.count >= MaxRecords:
		return fault.New(fault.Full, "more than %d records", MaxRecords)
	}
	n := z.node(name)
	for _, old := range n.sets[h.Rrtype] {
		if dns.IsDuplicate(old, rr) {
			return nil // RFC 2181, 5: a set holds a record once
		}
	}
	n.sets[h.Rrtype] = append(n.sets[h.Rrtype], rr)
	z.count++
	return nil
}

// node returns the node of name, made with its empty non-terminals where it is missing.
func (z *Zone) node(name string) *node {
	for at := name; ; {
		if z.names[at] == nil {
			z.names[at] = &node{sets: map[uint16][]dns.RR{}}
		}
		if at == z.origin {
			return z.names[name]
		}
		i, end := dns.NextLabel(at, 0)
		if end {
			return z.names[name]
		}
		at = at[i:]
	}
}

// check refuses what would give wrong answers.
func (z *Zone) check(file string) error {
	apex := z.names[z.origin]
	if apex == nil || len(apex.sets[dns.TypeSOA]) != 1 {
		return fault.New(fault.Config, "zone %s: %s: the apex has no SOA record, or more than one", z.origin, file)
	}
	if len(apex.sets[dns.TypeNS]) == 0 {
		return fault.New(fault.Config, "zone %s: %s: the apex has no NS record", z.origin, file)
	}
	z.soa = apex.sets[dns.TypeSOA][0].(*dns.SOA)
	for name, n := range z.names {
		if c := n.sets[dns.TypeCNAME]; len(c) > 1 || len(c) == 1 && others(n) {
			return fault.New(fault.Config, "zone %s: %s: %s has a CNAME beside other records (RFC 1034, 3.6.2)", z.origin, file, name)
		}
		for t, set := range n.sets {
			unify(set)
			if t == dns.TypeSOA && name != z.origin {
				return fault.New(fault.Config, "zone %s: %s: a second SOA at %s", z.origin, file, name)
			}
		}
	}
	return nil
}

// others reports whether n holds something that may not stand beside a CNAME.
func others(n *node) bool {
	for t := range n.sets {
		switch t {
		case dns.TypeCNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeKEY:
		default:
			return true
		}
	}
	return false
}

// unify gives a set one TTL, the least: RFC 2181, 5.2.
func unify(set []dns.RR) {
	ttl := set[0].Header().Ttl
	for _, rr := range set {
		ttl = min(ttl, rr.Header().Ttl)
	}
	for _, rr := range set {
		rr.Header().Ttl = ttl
	}
}

// Origin returns the zone's name, canonical.
func (z *Zone) Origin() string { return z.origin }

// Serial returns the SOA's serial.
func (z *Zone) Serial() uint32 { return z.soa.Serial }

// Records returns how many records the zone holds.
func (z *Zone) Records() int { return z.count }

// parent returns name without its first label.
func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

// isWild reports whether the first label is the asterisk.
func isWild(name string) bool { return strings.HasPrefix(name, "*.") }
