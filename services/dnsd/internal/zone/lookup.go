package zone

import "github.com/miekg/dns"

// maxChain bounds the CNAMEs followed inside the zone.
const maxChain = 8

// Answer is what a zone says to a question.
type Answer struct {
	Rcode      int
	Authority  bool // AA: the answer is the zone's own, not a referral
	Answer     []dns.RR
	Ns         []dns.RR
	Additional []dns.RR
}

// Lookup answers a question for a name at or below the origin. The records are the zone's own: they must not be changed.
func (z *Zone) Lookup(name string, qtype uint16) Answer {
	a := Answer{Authority: true}
	at := dns.CanonicalName(name)
	shown := name // the name as the client wrote it, for records made by a wildcard
	for range maxChain {
		if cut := z.cut(at, qtype); cut != "" {
			return z.refer(a, cut)
		}
		n, source := z.find(at)
		switch {
		case n == nil:
			// RFC 2308, 2.1: with a CNAME before it, the code is that of the last name.
			a.Rcode = dns.RcodeNameError
			a.Ns = append(a.Ns, z.negative())
			return a
		case len(n.sets[qtype]) > 0:
			a.Answer = append(a.Answer, owned(n.sets[qtype], source, shown)...)
			a.Additional = z.additional(n.sets[qtype])
			return a
		case qtype == dns.TypeANY && len(n.sets) > 0:
			a.Answer = append(a.Answer, owned(anySet(n), source, shown)...)
			return a
		case len(n.sets[dns.TypeCNAME]) == 0:
			a.Ns = append(a.Ns, z.negative()) // no data
			return a
		}
		cname := owned(n.sets[dns.TypeCNAME], source, shown)
		a.Answer = append(a.Answer, cname...)
		shown = cname[0].(*dns.CNAME).Target
		at = dns.CanonicalName(shown)
		if !dns.IsSubDomain(z.origin, at) {
			return a // the client asks on
		}
	}
	a.Rcode = dns.RcodeServerFailure // a loop of CNAMEs
	return a
}

// cut returns the delegation at or above name, below the origin; "" for none. The DS set belongs to the parent side.
func (z *Zone) cut(name string, qtype uint16) string {
	found := ""
	for at := name; at != z.origin; at = parent(at) {
		n := z.names[at]
		if n == nil || len(n.sets[dns.TypeNS]) == 0 {
			continue
		}
		if at == name && qtype == dns.TypeDS {
			continue
		}
		found = at // the highest one is the border
	}
	return found
}

func (z *Zone) refer(a Answer, cut string) Answer {
	ns := z.names[cut].sets[dns.TypeNS]
	a.Authority = len(a.Answer) > 0
	a.Ns = append(a.Ns, ns...)
	a.Additional = z.additional(ns)
	return a
}

// find returns the node that answers for name: its own, or the closest encloser's wildcard (RFC 4592, 3.3.1), and the name that node has.
func (z *Zone) find(name string) (*node, string) {
	if n := z.names[name]; n != nil {
		return n, name
	}
	for at := name; at != z.origin; {
		at = parent(at)
		if z.names[at] == nil {
			continue
		}
		wild := "*." + at
		return z.names[wild], wild
	}
	return nil, ""
}

// owned returns set under the name the client asked for, where a wildcard made it.
func owned(set []dns.RR, source, shown string) []dns.RR {
	if !isWild(source) {
		return set
	}
	out := make([]dns.RR, len(set))
	for i, rr := range set {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = shown
	}
	return out
}

// anySet picks one set: RFC 8482, 4.1.
func anySet(n *node) []dns.RR {
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeMX, dns.TypeTXT, dns.TypeNS, dns.TypeSOA} {
		if len(n.sets[t]) > 0 {
			return n.sets[t]
		}
	}
	for _, set := range n.sets {
		return set
	}
	return nil
}

// negative is the SOA for a negative answer, with the TTL of RFC 2308, 3.
func (z *Zone) negative() dns.RR {
	soa := dns.Copy(z.soa).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return soa
}

// additional returns the addresses, inside the zone, of the hosts that set names.
func (z *Zone) additional(set []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range set {
		var host string
		switch rr := rr.(type) {
		case *dns.NS:
			host = rr.Ns
		case *dns.MX:
			host = rr.Mx
		case *dns.SRV:
			host = rr.Target
		default:
			return nil
		}
		if n := z.names[dns.CanonicalName(host)]; n != nil {
			out = append(out, n.sets[dns.TypeA]...)
			out = append(out, n.sets[dns.TypeAAAA]...)
		}
	}
	return out
}
