package zone

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

const master = `$ORIGIN example.test.
$TTL 300
@        IN SOA ns1 hostmaster 7 3600 600 86400 60
         IN NS  ns1
         IN NS  ns2.other.test.
         IN MX  10 mail
ns1      IN A   192.0.2.1
ns1      IN AAAA 2001:db8::1
mail     IN A   192.0.2.2
www      IN A   192.0.2.10
www   60 IN A   192.0.2.11
alias    IN CNAME www
out      IN CNAME www.other.test.
loop1    IN CNAME loop2
loop2    IN CNAME loop1
dangling IN CNAME nowhere
*.wild   IN A   192.0.2.20
*.wild   IN TXT "any"
a.wild   IN TXT "own"
deep.empty.term IN A 192.0.2.30
sub      IN NS  ns.sub
ns.sub   IN A   192.0.2.40
sub      IN DS  1 8 2 0000000000000000000000000000000000000000000000000000000000000000
walias.wild2 IN A 192.0.2.50
*.wild2  IN CNAME www
`

func parse(t testing.TB, text string) *Zone {
	t.Helper()
	z, err := Parse("example.test", strings.NewReader(text), "example.test.zone")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// show prints an answer on one line: code, AA, then the sections.
func show(a Answer) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[a.Rcode])
	if a.Authority {
		b.WriteString(" aa")
	}
	for _, s := range []struct {
		name string
		rrs  []dns.RR
	}{{"an", a.Answer}, {"ns", a.Ns}, {"ad", a.Additional}} {
		for _, rr := range s.rrs {
			f := strings.Fields(rr.String())
			b.WriteString(" | " + s.name + " " + strings.Join(append([]string{f[0], f[1]}, f[3:min(len(f), 6)]...), " "))
		}
	}
	return strings.ReplaceAll(b.String(), "example.test.", "@")
}

func TestLookup(t *testing.T) {
	z := parse(t, master)
	f := func(name, qtype, want string) {
		t.Helper()
		if d := cmp.Diff(want, show(z.Lookup(name, dns.StringToType[qtype]))); d != "" {
			t.Errorf("%s %s: -want +got\n%s", name, qtype, d)
		}
	}
	const neg = " | ns @ 60 SOA ns1.@ hostmaster.@"
	f("www.example.test.", "A", "NOERROR aa | an www.@ 60 A 192.0.2.10 | an www.@ 60 A 192.0.2.11")
	f("WWW.Example.TEST.", "A", "NOERROR aa | an www.@ 60 A 192.0.2.10 | an www.@ 60 A 192.0.2.11")
	f("www.example.test.", "AAAA", "NOERROR aa"+neg)
	f("no.example.test.", "A", "NXDOMAIN aa"+neg)
	f("alias.example.test.", "A", "NOERROR aa | an alias.@ 300 CNAME www.@ | an www.@ 60 A 192.0.2.10 | an www.@ 60 A 192.0.2.11")
	f("alias.example.test.", "CNAME", "NOERROR aa | an alias.@ 300 CNAME www.@")
	f("out.example.test.", "A", "NOERROR aa | an out.@ 300 CNAME www.other.test.")
	f("dangling.example.test.", "A", "NXDOMAIN aa | an dangling.@ 300 CNAME nowhere.@"+neg)
	f("example.test.", "MX", "NOERROR aa | an @ 300 MX 10 mail.@ | ad mail.@ 300 A 192.0.2.2")
	f("example.test.", "NS", "NOERROR aa | an @ 300 NS ns1.@ | an @ 300 NS ns2.other.test. | ad ns1.@ 300 A 192.0.2.1 | ad ns1.@ 300 AAAA 2001:db8::1")
	f("x.wild.example.test.", "A", "NOERROR aa | an x.wild.@ 300 A 192.0.2.20")
	f("x.y.wild.example.test.", "A", "NOERROR aa | an x.y.wild.@ 300 A 192.0.2.20")
	f("x.wild.example.test.", "MX", "NOERROR aa"+neg)
	f("a.wild.example.test.", "A", "NOERROR aa"+neg)    // its own node hides the wildcard
	f("b.a.wild.example.test.", "A", "NXDOMAIN aa"+neg) // a.wild is the closest encloser
	f("*.wild.example.test.", "A", "NOERROR aa | an *.wild.@ 300 A 192.0.2.20")
	f("z.wild2.example.test.", "A", "NOERROR aa | an z.wild2.@ 300 CNAME www.@ | an www.@ 60 A 192.0.2.10 | an www.@ 60 A 192.0.2.11")
	f("empty.term.example.test.", "A", "NOERROR aa"+neg)
	f("term.example.test.", "A", "NOERROR aa"+neg)
	f("x.sub.example.test.", "A", "NOERROR | ns sub.@ 300 NS ns.sub.@ | ad ns.sub.@ 300 A 192.0.2.40")
	f("ns.sub.example.test.", "A", "NOERROR | ns sub.@ 300 NS ns.sub.@ | ad ns.sub.@ 300 A 192.0.2.40")
	f("sub.example.test.", "DS", "NOERROR aa | an sub.@ 300 DS 1 8")
	f("sub.example.test.", "NS", "NOERROR | ns sub.@ 300 NS ns.sub.@ | ad ns.sub.@ 300 A 192.0.2.40")
	f("www.example.test.", "ANY", "NOERROR aa | an www.@ 60 A 192.0.2.10 | an www.@ 60 A 192.0.2.11")
	if a := z.Lookup("loop1.example.test.", dns.TypeA); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("a loop of CNAMEs: %s", show(a))
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "@ 300 IN SOA ns1 host 1 2 3 4 5\n@ 300 IN NS ns1\n"
	f := func(text, want string) {
		t.Helper()
		_, err := Parse("example.test.", strings.NewReader(text), "f.zone")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("", "no SOA")
	f("@ 300 IN SOA ns1 host 1 2 3 4 5\n", "no NS")
	f(head+"@ 300 IN SOA ns2 host 1 2 3 4 5\n", "more than one")
	f(head+"x 300 IN CNAME y\nx 300 IN A 192.0.2.1\n", "CNAME beside other")
	f(head+"other.test. 300 IN A 192.0.2.1\n", "outside of the zone")
	f(head+"x 300 CH A 192.0.2.1\n", "class CH")
	f(head+"x 300 IN A 192.0.2.300\n", "f.zone")
	f(head+"x 300 IN SOA ns1 host 1 2 3 4 5\n", "second SOA")
	f("$INCLUDE /etc/passwd\n", "f.zone")
}

func FuzzParse(f *testing.F) {
	f.Add(master)
	f.Add("$GENERATE 1-10 a$ A 192.0.2.$\n")
	f.Fuzz(func(t *testing.T, text string) {
		z, err := Parse("example.test.", strings.NewReader(text), "f.zone")
		if err != nil {
			return
		}
		for _, q := range []string{"example.test.", "a.b.c.example.test.", "*.example.test."} {
			z.Lookup(q, dns.TypeA)
			z.Lookup(q, dns.TypeANY)
		}
	})
}
