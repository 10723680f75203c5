package serve

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/dnsd/internal/fleet"
	"github.com/everup/everup/services/dnsd/internal/forward"
	"github.com/everup/everup/services/dnsd/internal/zone"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/member"
	"github.com/miekg/dns"
)

const head = `$TTL 60
@ IN SOA ns1 host 1 1 1 1 30
@ IN NS ns1
ns1 IN A 127.0.0.1
www IN A 192.0.2.80
`

func parse(t testing.TB, origin, text string) *zone.Zone {
	t.Helper()
	z, err := zone.Parse(origin, strings.NewReader(text), "test")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// data serves site.test, its child sub.site.test and the fleet's domain.
func data(t testing.TB, more string) *Data {
	t.Helper()
	return &Data{
		Zones: map[string]*zone.Zone{
			"site.test.":     parse(t, "site.test", head+more),
			"sub.site.test.": parse(t, "sub.site.test", strings.ReplaceAll(head, "192.0.2.80", "192.0.2.81")),
		},
		Fleet: fleet.New("everup.internal", 2),
		View:  func() member.View { return member.View{} },
	}
}

var (
	local  = netip.MustParseAddr("127.0.0.1")
	remote = netip.MustParseAddr("192.0.2.7")
)

func question(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }

func TestRoutes(t *testing.T) {
	d := data(t, "")
	f := func(name string, qtype uint16, want int, wantAA bool, wantAnswer string) {
		t.Helper()
		r := d.Answer(t.Context(), question(name, qtype), local, false)
		got := ""
		if len(r.Answer) > 0 {
			got = strings.ReplaceAll(r.Answer[0].String(), "\t", " ")
		}
		if r.Rcode != want || r.Authoritative != wantAA || got != wantAnswer {
			t.Errorf("%s %s: %s, authoritative %v, %q", name, dns.TypeToString[qtype], dns.RcodeToString[r.Rcode], r.Authoritative, got)
		}
	}
	f("www.site.test.", dns.TypeA, dns.RcodeSuccess, true, "www.site.test. 60 IN A 192.0.2.80")
	f("WWW.Site.Test.", dns.TypeA, dns.RcodeSuccess, true, "www.site.test. 60 IN A 192.0.2.80")
	f("www.sub.site.test.", dns.TypeA, dns.RcodeSuccess, true, "www.sub.site.test. 60 IN A 192.0.2.81") // the closest zone
	f("no.site.test.", dns.TypeA, dns.RcodeNameError, true, "")
	f("no.service.everup.internal.", dns.TypeA, dns.RcodeNameError, true, "")
	f("site.test.", dns.TypeAXFR, dns.RcodeRefused, false, "")
	f("elsewhere.test.", dns.TypeA, dns.RcodeRefused, false, "")
	f(".", dns.TypeNS, dns.RcodeRefused, false, "")
	f("notsite.test.", dns.TypeA, dns.RcodeRefused, false, "")
}

// What passes miekg/dns's own checks and is no question to answer.
func TestOddMessages(t *testing.T) {
	d := data(t, "")
	f := func(what string, want int, change func(q *dns.Msg)) {
		t.Helper()
		q := question("www.site.test.", dns.TypeA)
		change(q)
		r := d.Answer(t.Context(), q, local, false)
		if r.Rcode != want || len(r.Answer) > 0 || r.Id != q.Id || !r.Response {
			t.Errorf("%s: %v", what, r)
		}
		if _, err := r.Pack(); err != nil {
			t.Errorf("%s: the answer cannot be sent: %v", what, err)
		}
	}
	f("a head alone", dns.RcodeFormatError, func(q *dns.Msg) { q.Question = nil })
	f("two questions", dns.RcodeFormatError, func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) })
	f("NOTIFY", dns.RcodeNotImplemented, func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify })
	f("class CH", dns.RcodeRefused, func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS })
	f("EDNS 1", dns.RcodeBadVers, func(q *dns.Msg) { q.SetEdns0(4096, false).IsEdns0().SetVersion(1) })
	f("two OPT records", dns.RcodeFormatError, func(q *dns.Msg) { q.SetEdns0(4096, false).SetEdns0(4096, false) })
}

// An answer that does not fit is cut and says so, on every transport: one that cannot be sent would never come.
func TestSizes(t *testing.T) {
	var more strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&more, "huge IN A 10.1.%d.%d\n", i>>8, i&255)
	}
	d := data(t, more.String())
	f := func(tcp bool, edns int, wantMost int) {
		t.Helper()
		q := question("huge.site.test.", dns.TypeA)
		if edns >= 0 {
			q.SetEdns0(uint16(edns), false)
		}
		r := d.Answer(t.Context(), q, local, tcp)
		b, err := r.Pack()
		if err != nil || len(b) > wantMost || len(b) < wantMost-40 || !r.Truncated {
			t.Errorf("TCP %v, EDNS %d: %d bytes, truncated %v, %v; want at most %d", tcp, edns, len(b), r.Truncated, err, wantMost)
		}
	}
	f(false, -1, 512)
	f(false, 0, 512)
	f(false, 1000, 1000)
	f(false, 65535, ourUDP)
	f(true, -1, dns.MaxMsgSize)
	f(true, 512, dns.MaxMsgSize)
	if r := d.Answer(t.Context(), question("www.site.test.", dns.TypeA), local, true); r.Truncated {
		t.Error("an answer that fits is cut")
	}
}

func TestWhoIsForwarded(t *testing.T) {
	d := data(t, "")
	d.Forward = forward.New(forward.Config{Upstreams: []string{"127.0.0.1:1"}, Timeout: time.Millisecond, Pending: 1})
	f := func(client netip.Addr, recursion bool, want int, allow ...string) {
		t.Helper()
		d.Allow = nil
		for _, a := range allow {
			d.Allow = append(d.Allow, conf.Prefix{Prefix: netip.MustParsePrefix(a)})
		}
		q := question("elsewhere.test.", dns.TypeA)
		q.RecursionDesired = recursion
		if r := d.Answer(t.Context(), q, client, false); r.Rcode != want {
			t.Errorf("%s, recursion %v, allow %v: %s", client, recursion, allow, dns.RcodeToString[r.Rcode])
		}
	}
	const forwarded = dns.RcodeServerFailure // nobody answers at the upstream
	f(local, true, forwarded)
	f(local, false, dns.RcodeRefused)
	f(remote, true, dns.RcodeRefused)
	f(remote, true, forwarded, "192.0.2.0/24")
	f(netip.MustParseAddr("::ffff:192.0.2.7"), true, forwarded, "192.0.2.0/24")
	f(local, true, dns.RcodeRefused, "192.0.2.0/24")
	f(netip.Addr{}, true, dns.RcodeRefused)
}

// Whatever parses as a message is answered with something that can be sent.
func FuzzAnswer(f *testing.F) {
	for _, q := range []*dns.Msg{question("www.site.test.", dns.TypeA), question(".", dns.TypeANY), question("a.b.site.test.", dns.TypeSRV)} {
		b, err := q.SetEdns0(1232, true).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:12])
	}
	d := data(f, "* IN CNAME loop\nloop IN CNAME loop\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		q := new(dns.Msg)
		if q.Unpack(in) != nil {
			return
		}
		for _, tcp := range []bool{false, true} {
			r := d.Answer(t.Context(), q.Copy(), local, tcp)
			if _, err := r.Pack(); err != nil {
				t.Errorf("%v is answered with %v: %v", q, r, err)
			}
		}
	})
}
