package selfquery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestMachine(t *testing.T) {
	f := func(rounds, want string) { // + and -; the verdict after each: ? not known, 1, 0
		t.Helper()
		var m Machine
		var got strings.Builder
		for _, r := range rounds {
			switch answers, known := m.Step(r == '+'); {
			case !known:
				got.WriteByte('?')
			case answers:
				got.WriteByte('1')
			default:
				got.WriteByte('0')
			}
		}
		if got.String() != want {
			t.Errorf("%s gives %s, want %s", rounds, got.String(), want)
		}
	}
	f("+++", "111")
	f("+-+-+-", "111111") // never two in a row
	f("+--", "110")
	f("+--++-+++", "110000001")
	f("-+", "?1")
	f("--++", "?000")
	f("--+++", "?0001")
	f("+-+--", "11110")
}

func TestTargets(t *testing.T) {
	f := func(addr conf.Addr, at string, want ...string) {
		t.Helper()
		var got []string
		for _, a := range Targets(addr, netip.MustParseAddrPort(at)) {
			got = append(got, a.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s, bound to %s: -want +got\n%s", addr, at, d)
		}
	}
	f("192.0.2.1:53", "192.0.2.1:53", "192.0.2.1:53")
	f("[fd00::1]:0", "[fd00::1]:5353", "[fd00::1]:5353")
	f("0.0.0.0:53", "0.0.0.0:53", "127.0.0.1:53")
	f("[::]:53", "[::]:53", "[::1]:53")
	f(":53", "[::]:53", "127.0.0.1:53", "[::1]:53")
	f(":53", "0.0.0.0:53", "127.0.0.1:53")
	f("127.0.0.1:53", "[::ffff:127.0.0.1]:53", "127.0.0.1:53")
}

// server answers over UDP and TCP at one address: as h says.
func server(t *testing.T, h dns.HandlerFunc) (at netip.AddrPort, closeTCP func()) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		ended := make(chan struct{})
		go func() { defer close(ended); s.ActivateAndServe() }()
		t.Cleanup(func() { pc.Close(); ln.Close(); <-ended })
	}
	return pc.LocalAddr().(*net.UDPAddr).AddrPort(), func() { ln.Close() }
}

var question = Question{
	Ask: new(dns.Msg).SetQuestion("site.test.", dns.TypeSOA),
	Check: func(m *dns.Msg) error {
		if m.Rcode != dns.RcodeSuccess {
			return errors.New("it says " + dns.RcodeToString[m.Rcode])
		}
		return nil
	},
}

func TestRound(t *testing.T) {
	var rcode, deaf atomic.Int32
	at, closeTCP := server(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if deaf.Add(-1) >= 0 {
			return
		}
		w.WriteMsg(new(dns.Msg).SetRcode(q, int(rcode.Load())))
	})
	engine := func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeNotAuth) } // not asked, unless nothing else can be
	f := func(what string, want string, at ...netip.AddrPort) {
		t.Helper()
		err := Round(t.Context(), at, question, engine)
		if got := ""; err != nil || want != "" {
			if err != nil {
				got = err.Error()
			}
			if want == "" || !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
	}
	f("all is well", "", at)
	deaf.Store(2)
	f("UDP is asked again", "", netip.AddrPortFrom(at.Addr(), udpOnly(t, &deaf)))
	rcode.Store(dns.RcodeServerFailure)
	f("a wrong answer", "it says SERVFAIL", at)
	rcode.Store(dns.RcodeSuccess)
	elsewhere := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), at.Port())
	f("an address elsewhere", "", elsewhere, at)
	f("all addresses elsewhere", "it says NOTAUTH", elsewhere)
	deaf.Store(100)
	f("no answer", "i/o timeout", at)
	deaf.Store(0)
	closeTCP()
	f("TCP alone is dead", "over tcp: dial tcp", at)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Round(ctx, []netip.AddrPort{at}, question, engine) == nil {
		t.Error("a round that was cut off is a good one")
	}
}

// udpOnly returns the port of a server that does not answer the first datagrams, as many as deaf says, and always over TCP.
func udpOnly(t *testing.T, deaf *atomic.Int32) uint16 {
	at, _ := server(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && deaf.Add(-1) >= 0 {
			return
		}
		w.WriteMsg(new(dns.Msg).SetReply(q))
	})
	return at.Port()
}
