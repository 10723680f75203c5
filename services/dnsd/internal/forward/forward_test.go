package forward

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/miekg/dns"
)

// upstream serves h on a free port of loopback, UDP and TCP.
func upstream(t *testing.T, h dns.HandlerFunc) string {
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
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		done := make(chan error, 1)
		go func() { done <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-done })
	}
	return pc.LocalAddr().String()
}

func rr(t testing.TB, s string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResolve(t *testing.T) {
	var asked atomic.Int32
	addr := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Add(1)
		r := new(dns.Msg).SetReply(q)
		switch q.Question[0].Name {
		case "forged.test.":
			bad := r.Copy()
			bad.Id++
			bad.Answer = []dns.RR{rr(t, "forged.test. 60 IN A 6.6.6.6")}
			w.WriteMsg(bad)
			other := r.Copy()
			other.Question[0].Name = "other.test."
			w.WriteMsg(other)
			w.Write([]byte{1, 2, 3})
			r.Answer = []dns.RR{rr(t, "forged.test. 60 IN A 192.0.2.1")}
		case "big.test.":
			if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
				r.Truncated = true
				break
			}
			r.Answer = []dns.RR{rr(t, "big.test. 60 IN A 192.0.2.2")}
		case "fail.test.":
			r.Rcode = dns.RcodeServerFailure
		default:
			r.Answer = []dns.RR{rr(t, q.Question[0].Name+" 60 IN A 192.0.2.3")}
		}
		w.WriteMsg(r)
	})
	f := New(Config{Upstreams: []string{addr}, Timeout: 5 * time.Second, Cache: 10, Pending: 10})
	ask := func(name string, wantRcode int, wantA string, wantAsked int32) {
		t.Helper()
		asked.Store(0)
		q := new(dns.Msg).SetQuestion(name, dns.TypeA)
		r, err := f.Resolve(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(r.Answer) > 0 {
			got = r.Answer[0].(*dns.A).A.String()
		}
		if r.Rcode != wantRcode || got != wantA || r.Id != q.Id || r.Question[0].Name != name || asked.Load() != wantAsked {
			t.Errorf("%s: rcode %d, A %q, asked %d times; want %d, %q, %d", name, r.Rcode, got, asked.Load(), wantRcode, wantA, wantAsked)
		}
	}
	ask("a.test.", 0, "192.0.2.3", 1)
	ask("a.test.", 0, "192.0.2.3", 0) // from the cache
	ask("A.Test.", 0, "192.0.2.3", 0) // names do not differ by case
	ask("forged.test.", 0, "192.0.2.1", 1)
	ask("big.test.", 0, "192.0.2.2", 2)
	ask("fail.test.", dns.RcodeServerFailure, "", 1)
	ask("fail.test.", dns.RcodeServerFailure, "", 1) // failures are not kept
	if f.Hits.Load() != 2 {
		t.Errorf("%d hits", f.Hits.Load())
	}
}

func TestDeadUpstreamIsPassedOver(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0") // takes questions, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	good := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetReply(q)) })
	f := New(Config{Upstreams: []string{dead.LocalAddr().String(), good}, Timeout: 100 * time.Millisecond, Pending: 10})
	for range 2 {
		if _, err := f.Resolve(t.Context(), new(dns.Msg).SetQuestion("a.test.", dns.TypeA)); err != nil {
			t.Error(err)
		}
	}
	f = New(Config{Upstreams: []string{dead.LocalAddr().String()}, Timeout: 50 * time.Millisecond, Pending: 10})
	if _, err := f.Resolve(t.Context(), new(dns.Msg).SetQuestion("a.test.", dns.TypeA)); fault.Of(err) != fault.Unavailable {
		t.Errorf("all upstreams dead: %v", err)
	}
}

func TestPendingIsBounded(t *testing.T) {
	f := New(Config{Upstreams: []string{"127.0.0.1:1"}, Timeout: time.Second, Pending: 1})
	f.pending <- struct{}{}
	if _, err := f.Resolve(t.Context(), new(dns.Msg).SetQuestion("a.test.", dns.TypeA)); fault.Of(err) != fault.Full {
		t.Errorf("one too many: %v", err)
	}
}

func TestCacheAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(2)
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
		m.Answer = []dns.RR{rr(t, "a.test. 60 IN A 192.0.2.1"), rr(t, "a.test. 90 IN A 192.0.2.2")}
		c.put(time.Now(), key{name: "a."}, m)
		time.Sleep(20 * time.Second)
		got := c.get(time.Now(), key{name: "a."})
		if got == nil || got.Answer[0].Header().Ttl != 40 || got.Answer[1].Header().Ttl != 70 {
			t.Errorf("after 20 s: %v", got)
		}
		time.Sleep(40 * time.Second)
		if got := c.get(time.Now(), key{name: "a."}); got != nil {
			t.Errorf("after its least TTL: %v", got)
		}
		neg := new(dns.Msg).SetQuestion("b.test.", dns.TypeA)
		neg.Rcode = dns.RcodeNameError
		c.put(time.Now(), key{name: "b."}, neg)
		if c.len() != 0 {
			t.Error("a negative answer without SOA was kept (RFC 2308, 5)")
		}
		neg.Ns = []dns.RR{rr(t, "test. 300 IN SOA a. b. 1 2 3 4 30")}
		c.put(time.Now(), key{name: "b."}, neg)
		time.Sleep(29 * time.Second)
		if c.get(time.Now(), key{name: "b."}) == nil {
			t.Error("a negative answer was dropped before its time")
		}
		time.Sleep(time.Second)
		if c.get(time.Now(), key{name: "b."}) != nil {
			t.Error("a negative answer outlived its SOA's minimum")
		}
		for i := range 5 {
			c.put(time.Now(), key{name: string(rune('a' + i))}, m)
		}
		if c.len() != 2 {
			t.Errorf("%d answers kept, the bound is 2", c.len())
		}
	})
}

// A probe counts as nothing, and any answer will do.
func TestProbe(t *testing.T) {
	addr := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused)) })
	const dead = "127.0.0.1:1"
	f := New(Config{Upstreams: []string{dead, addr}, Timeout: time.Second, Pending: 1})
	for range 2 { // whichever comes first
		if err := f.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := f.Misses.Load() + f.Answered.Load() + f.Failures.Load(); n != 0 {
		t.Errorf("the probe was counted %d times", n)
	}
	if err := New(Config{Upstreams: []string{dead}, Timeout: time.Second}).Probe(t.Context()); fault.Of(err) != fault.Unavailable {
		t.Errorf("a dead upstream: %v", err)
	}
}
