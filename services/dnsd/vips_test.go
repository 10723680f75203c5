package dnsd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/dnsd/internal/fleet"
	"github.com/everup/everup/services/dnsd/internal/serve"
	"github.com/everup/everup/services/dnsd/internal/zone"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/vip"
	"github.com/miekg/dns"
)

func siteData(t *testing.T, origin string, serial int) *serve.Data {
	t.Helper()
	d := &serve.Data{Zones: map[string]*zone.Zone{}, View: func() member.View { return member.View{} }}
	if origin != "" {
		z, err := zone.Parse(origin, strings.NewReader(fmt.Sprintf(siteZone, serial, "x")), "test")
		if err != nil {
			t.Fatal(err)
		}
		d.Zones[z.Origin()] = z
	}
	return d
}

// What the server asks itself depends on what it serves, and another server's answer is not right.
func TestQuestion(t *testing.T) {
	none, domain := siteData(t, "", 0), siteData(t, "", 0)
	domain.Fleet = fleet.New("everup.internal", 2)
	one, two, other := siteData(t, "site.test", 1), siteData(t, "site.test", 2), siteData(t, "other.test", 1)
	f := func(what string, asked, then *serve.Data, want string, right ...*serve.Data) {
		t.Helper()
		now := asked
		q := question(func() *serve.Data { return now })
		now = then
		if got := q.Ask.Question[0].Name + " " + dns.TypeToString[q.Ask.Question[0].Qtype]; got != want {
			t.Errorf("%s: asks %s, want %s", what, got, want)
		}
		for name, d := range map[string]*serve.Data{"none": none, "domain": domain, "one": one, "two": two, "other": other} {
			err := q.Check(d.Answer(t.Context(), q.Ask.Copy(), netip.Addr{}, false))
			wanted := false
			for _, r := range right {
				wanted = wanted || r == d
			}
			if (err == nil) != wanted {
				t.Errorf("%s: the answer of %s: %v", what, name, err)
			}
		}
	}
	f("a zone", one, one, "site.test. SOA", one)
	f("a zone that changes meanwhile", one, two, "site.test. SOA", one, two)
	f("no zone", domain, domain, "everup.internal. SOA", domain)
	f("a forwarder", none, none, "version.bind. TXT", none, domain, one, two, other)
}

// Two rounds without an answer are told, and so is that it answers again; the first good one makes the server take part.
func TestAnswers(t *testing.T) {
	var (
		mu    sync.Mutex
		told  []int
		ready int
	)
	reg := health.NewRegistry()
	s := &Service{
		answers: reg.Item("dnsd.answers", health.Options{}), vipsNew: make(chan struct{}, 1),
		tell:   func(value string, n int) { mu.Lock(); defer mu.Unlock(); told = append(told, n) },
		serves: func() { mu.Lock(); defer mu.Unlock(); ready++ },
	}
	s.asking, s.endAsk = context.WithCancel(t.Context())
	s.cfg.Store(&Config{})
	s.data.Store(siteData(t, "site.test", 1))
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s.targets = []netip.AddrPort{pc.LocalAddr().(*net.UDPAddr).AddrPort()}
	var wrong sync.Map
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := s.engine(q)
		if _, ok := wrong.Load("yes"); ok {
			r = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
		}
		w.WriteMsg(r)
	})
	var wg sync.WaitGroup
	for _, srv := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		wg.Go(func() { srv.ActivateAndServe() })
	}
	defer wg.Wait()
	defer ln.Close()
	defer pc.Close()
	done := make(chan struct{})
	go func() { defer close(done); s.watchAnswers(t.Context()) }()
	last := func(want int) {
		t.Helper()
		labtest.Eventually(t, 10*time.Second, fmt.Sprintf("%d is told", want), func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(told) == 0 || told[len(told)-1] != want {
				return fmt.Errorf("told %v", told)
			}
			return nil
		})
	}
	s.cfg.Store(&Config{VIPs: vip.Config{"a": {}}}) // by a reload
	s.vipsNew <- struct{}{}
	last(1)
	wrong.Store("yes", true)
	last(0)
	if reg.Worst() != health.Fail {
		t.Error("a server that does not answer itself is not shown")
	}
	wrong.Delete("yes")
	last(1)
	if ready != 1 || reg.Worst() != health.OK {
		t.Errorf("ready %d times, health %v", ready, reg.Worst())
	}
	s.endAsk() // a drain begins: what it closes is no failure
	<-done
}
