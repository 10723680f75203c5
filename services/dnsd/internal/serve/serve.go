// Package serve decides what a DNS question gets: one place for UDP and TCP.
//
//	malformed, or not a question      no answer, or FORMERR/NOTIMP (mostly by miekg/dns)
//	no question, or two OPT records   FORMERR (RFC 6891, 6.1.1)
//	another opcode, like NOTIFY       NOTIMP
//	EDNS version above 0              BADVERS (RFC 6891, 6.1.3)
//	another class, AXFR, IXFR         REFUSED
//	in the fleet's domain             from membership
//	in a zone                         authoritative
//	else, forwarding and allowed      from the cache or the upstreams
//	else                              REFUSED
package serve

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"github.com/everup/everup/services/dnsd/internal/fleet"
	"github.com/everup/everup/services/dnsd/internal/forward"
	"github.com/everup/everup/services/dnsd/internal/zone"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/member"
	"github.com/miekg/dns"
)

const (
	// minUDP is the answer size every client takes (RFC 1035, 4.2.1).
	minUDP = 512
	// ourUDP is the largest answer sent over UDP, and what we say we take: no fragments (DNS flag day 2020).
	ourUDP = 1232
)

// Data is what is served; a reload makes a new one.
type Data struct {
	Zones   map[string]*zone.Zone // by origin, canonical
	Fleet   *fleet.Domain         // nil: none
	Forward *forward.Forwarder    // nil: none
	Allow   []conf.Prefix         // who may have questions forwarded; none means loopback
	View    func() member.View
}

// Answer returns the reply to q from client.
func (d *Data) Answer(ctx context.Context, q *dns.Msg, client netip.Addr, tcp bool) *dns.Msg {
	r := new(dns.Msg).SetReply(q)
	r.Compress = true
	switch {
	case len(q.Question) != 1 || options(q) > 1: // miekg/dns lets a head alone pass, whatever it counts
		r.Rcode = dns.RcodeFormatError
		return r
	case q.Opcode != dns.OpcodeQuery:
		r.Rcode = dns.RcodeNotImplemented
		return r
	}
	opt := q.IsEdns0()
	if opt != nil && opt.Version() != 0 {
		r.SetEdns0(ourUDP, false)
		r.Rcode = dns.RcodeBadVers // its upper bits go into OPT when packed
		return r
	}
	r = d.route(ctx, q, r, client)
	if opt != nil {
		r.SetEdns0(ourUDP, opt.Do())
	}
	if tcp {
		r.Truncate(dns.MaxMsgSize)
	} else {
		r.Truncate(udpSize(opt))
	}
	return r
}

// options returns the number of OPT records.
func options(q *dns.Msg) (n int) {
	for _, rr := range q.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			n++
		}
	}
	return n
}

// udpSize is the room the client gives, within our own bound.
func udpSize(opt *dns.OPT) int {
	if opt == nil {
		return minUDP
	}
	return min(max(int(opt.UDPSize()), minUDP), ourUDP)
}

// route finds who answers.
func (d *Data) route(ctx context.Context, q, r *dns.Msg, client netip.Addr) *dns.Msg {
	ask := q.Question[0]
	if ask.Qclass != dns.ClassINET || ask.Qtype == dns.TypeAXFR || ask.Qtype == dns.TypeIXFR {
		r.Rcode = dns.RcodeRefused
		return r
	}
	if d.Fleet != nil && d.Fleet.Covers(ask.Name) {
		a := d.Fleet.Lookup(d.View(), ask.Name, ask.Qtype, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
		r.Authoritative, r.Rcode = true, a.Rcode
		r.Answer, r.Ns, r.Extra = a.Answer, a.Ns, a.Additional
		return r
	}
	if z := d.zone(ask.Name); z != nil {
		a := z.Lookup(ask.Name, ask.Qtype)
		r.Authoritative, r.Rcode = a.Authority, a.Rcode
		r.Answer, r.Ns, r.Extra = a.Answer, a.Ns, a.Additional
		return r
	}
	if d.Forward == nil || !q.RecursionDesired || !d.allowed(client) {
		r.Rcode = dns.RcodeRefused
		return r
	}
	m, err := d.Forward.Resolve(ctx, q)
	if err != nil { // the forwarder counts why
		r.Rcode, r.RecursionAvailable = dns.RcodeServerFailure, true
		return r
	}
	m.Compress = true
	return m
}

// zone returns the closest zone that holds name.
func (d *Data) zone(name string) *zone.Zone {
	for at := dns.CanonicalName(name); ; {
		if z := d.Zones[at]; z != nil {
			return z
		}
		i := strings.IndexByte(at, '.')
		if i < 0 || at == "." {
			return nil
		}
		if at = at[i+1:]; at == "" {
			at = "."
		}
	}
}

func (d *Data) allowed(client netip.Addr) bool {
	client = client.Unmap()
	if len(d.Allow) == 0 {
		return client.IsLoopback()
	}
	for _, p := range d.Allow {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// Client returns the address behind a connection's remote address.
func Client(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr()
	case *net.TCPAddr:
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}
