package probe

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// zone answers for up.example with two addresses, for nx.example with NXDOMAIN, and for other names badly.
func zone(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	switch name := strings.ToLower(q.Question[0].Name); name {
	case "up.example.":
		for _, a := range []string{"192.0.2.1", "192.0.2.2"} {
			rr, _ := dns.NewRR(name + " 60 IN A " + a)
			m.Answer = append(m.Answer, rr)
		}
	case "nx.example.":
		m.Rcode = dns.RcodeNameError
	case "other-id.example.":
		m.Id++
	case "other-question.example.":
		m.Question[0].Name = "up.example."
	case "query.example.":
		m.Response = false
	case "stray.example.":
		stray := m.Copy()
		stray.Id++
		w.WriteMsg(stray)
	default:
		m.Rcode = dns.RcodeServerFailure
	}
	w.WriteMsg(m)
}

// serveDNS serves zone by one transport.
func serveDNS(t testing.TB, s *dns.Server) {
	t.Helper()
	s.Handler = dns.HandlerFunc(zone)
	started := make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	done := make(chan struct{})
	go func() { defer close(done); s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { s.Shutdown(); <-done })
}

func TestDNS(t *testing.T) {
	labtest.LeakCheck(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveDNS(t, &dns.Server{PacketConn: pc})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveDNS(t, &dns.Server{Listener: ln})
	cert, ca := certificate(t, days(20))
	tl, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	serveDNS(t, &dns.Server{Listener: tl, Net: "tcp-tls"})

	for proto, addr := range map[string]string{"udp": pc.LocalAddr().String(), "tcp": ln.Addr().String(), "tls": tl.Addr().String()} {
		ask := func(options string) Result {
			t.Helper()
			text := "{type: dns, dns: {protocol: " + proto + ", " + options + "}"
			if proto == "tls" {
				text += ", tls: {ca_file: " + ca + "}"
			}
			return check(t, addr, text+"}")
		}
		wantOK(t, ask("name: up.example"), "NOERROR")
		wantOK(t, ask("name: Up.Example, answers: 2, contains: 192.0.2.2, recursion: true"))
		wantBad(t, ask("name: up.example, answers: 3"), fault.Unavailable, "2 records, wanted 3")
		wantBad(t, ask("name: up.example, contains: 192.0.2.9"), fault.Unavailable, "no record contains")
		wantBad(t, ask("name: nx.example"), fault.Unavailable, "NXDOMAIN")
		wantOK(t, ask("name: nx.example, rcode: [NOERROR, NXDOMAIN]"), "NXDOMAIN")
		wantBad(t, ask("name: broken.example"), fault.Unavailable, "SERVFAIL")
		wantOK(t, ask("name: stray.example"))
	}
}

func TestDNSForeignAnswers(t *testing.T) {
	labtest.LeakCheck(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveDNS(t, &dns.Server{PacketConn: pc})
	for _, name := range []string{"other-id", "other-question", "query"} {
		r := checkTarget(t, Target{Addr: mustAddrPort(pc.LocalAddr().String())},
			"{type: dns, dns: {name: "+name+".example}}", 200*time.Millisecond)
		wantBad(t, r, fault.Timeout)
	}
	r := check(t, labtest.FreeAddr(t), "{type: dns, dns: {name: a.example}}")
	wantBad(t, r, fault.Unavailable, "refused") // the kernel tells of the closed port by ICMP
}
