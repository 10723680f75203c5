package vrrp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
)

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.VRID, cfg.Primary = 51, netip.MustParseAddr("10.77.0.2")
	cfg.Addrs = []netip.Addr{netip.MustParseAddr("10.77.0.100"), netip.MustParseAddr("10.77.0.101")}
	return cfg
}

func newMachine(t testing.TB, cfg Config) *Machine {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// advertOf is an advert of a peer that has our configuration.
func advertOf(cfg Config, p Priority) *Advert {
	return &Advert{
		Packet: Packet{Version: cfg.Version, VRID: cfg.VRID, Priority: p, Interval: cfg.Interval, Addrs: cfg.Addrs},
		Src:    netip.MustParseAddr("10.77.0.1"),
	}
}

func TestConfigCheck(t *testing.T) {
	f := func(why string, change func(c *Config)) {
		t.Helper()
		cfg := testConfig()
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want an error with %q", err, why)
		}
	}
	six := func(c *Config, primary string, addrs ...string) {
		c.Primary, c.Addrs = netip.MustParseAddr(primary), nil
		for _, a := range addrs {
			c.Addrs = append(c.Addrs, netip.MustParseAddr(a))
		}
	}
	f("VRID 0", func(c *Config) { c.VRID = 0 })
	f("priority 0", func(c *Config) { c.Priority = 0 })
	f("version 1", func(c *Config) { c.Version = 1 })
	f("interval 5ms", func(c *Config) { c.Interval = 5 * time.Millisecond })
	f("interval 100ms", func(c *Config) { c.Version, c.Interval = V2, 100*time.Millisecond })
	f("delays of -1ns", func(c *Config) { c.PreemptDelay = -1 })
	f("16m41s", func(c *Config) { c.StartDelay = 1001 * time.Second })
	f("authentication type 1 in version 3", func(c *Config) { c.AuthType = AuthText })
	f("invalid IP is no primary", func(c *Config) { c.Primary = netip.Addr{} })
	f("0 addresses", func(c *Config) { c.Addrs = nil })
	f("256 addresses", func(c *Config) { c.Addrs = make([]netip.Addr, 256) })
	f("10.77.0.100 is listed twice", func(c *Config) { c.Addrs = append(c.Addrs, c.Addrs[0]) })
	f("fd77::1 is no virtual address", func(c *Config) { c.Addrs = append(c.Addrs, netip.MustParseAddr("fd77::1")) })
	f("is to be link-local", func(c *Config) { six(c, "fe80::1", "fd77::1") })
	f("sent from a link-local address, not fd77::1", func(c *Config) { six(c, "fd77::1", "fe80::1") })
	f("version 2 has no IPv6", func(c *Config) { six(c, "fe80::1", "fe80::2"); c.Version = V2 })
	f("0 rounds", func(c *Config) { c.Announce.Rounds = 0 })
	f("gap of 0s", func(c *Config) { c.Announce.Gap = 0 })
	f("refreshed each -1s", func(c *Config) { c.Announce.Refresh = -time.Second })

	cfg := testConfig()
	six(&cfg, "fe80::1", "fe80::51", "fd77::100")
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}

// TestSkew compares the timers with the table of the handbook: the outages of a Backup with priority 100.
func TestSkew(t *testing.T) {
	f := func(v Version, interval time.Duration, p Priority, skew, down string) {
		t.Helper()
		cfg := testConfig()
		cfg.Version, cfg.Interval, cfg.Priority = v, interval, p
		s := newMachine(t, cfg).Status()
		if got := [2]string{s.Skew.String(), s.Down.String()}; got != [2]string{skew, down} {
			t.Errorf("%v, want %s and %s", got, skew, down)
		}
	}
	f(V2, time.Second, 100, "609.375ms", "3.609375s")
	f(V2, 2*time.Second, 100, "609.375ms", "6.609375s")
	f(V3, 100*time.Millisecond, 100, "60.9375ms", "360.9375ms")
	f(V3, 10*time.Millisecond, 100, "6.09375ms", "36.09375ms")
	f(V3, 100*time.Millisecond, 254, "781.25µs", "300.78125ms")
	f(V3, 40950*time.Millisecond, 1, "40.790039062s", "2m43.640039062s")
}

// TestStatus follows what is told of a Backup and of an Active router that leaves.
func TestStatus(t *testing.T) {
	cfg := testConfig()
	m := newMachine(t, cfg)
	m.Step(0, Event{Kind: EvStartup}, nil)
	m.Step(time.Second, Event{Kind: EvAdvert, Advert: advertOf(cfg, 200)}, nil)
	if s := m.Status(); s.State != Backup || s.Holder != netip.MustParseAddr("10.77.0.1") || s.HolderPri != 200 || s.Priority != 100 {
		t.Errorf("%+v", s)
	}
	m.Step(2*time.Second, Event{Kind: EvTakeOver}, nil)
	if s := m.Status(); s.State != Active || s.Cause != ByTakeOver || s.Priority != 201 || s.Tenure != Appointed || s.Since != 2*time.Second || s.Holder.IsValid() {
		t.Errorf("%+v", s)
	}
	m.Step(3*time.Second, Event{Kind: EvSwitchOver}, nil)
	if s := m.Status(); !s.Leaving || s.Held {
		t.Errorf("%+v", s)
	}
	m.Step(3*time.Second, Event{Kind: EvAdvert, Advert: advertOf(cfg, 50)}, nil)
	if s := m.Status(); s.State != Backup || s.Leaving || !s.Held {
		t.Errorf("%+v", s)
	}
}

// TestPacketOfMachine: what one machine sends another takes.
func TestPacketOfMachine(t *testing.T) {
	cfg := testConfig()
	m := newMachine(t, cfg)
	var p, got Packet
	m.Packet(Effect{Kind: DoSend, Priority: 7}, &p)
	dst := netip.MustParseAddr("224.0.0.18")
	b, err := p.Append(nil, cfg.Primary, dst)
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Parse(b, Envelope{Src: cfg.Primary, Dst: dst, TTL: 255}); r != Accepted || got.Priority != 7 {
		t.Fatal(r, got)
	}
	cfg.Primary = netip.MustParseAddr("10.77.0.9")
	other := newMachine(t, cfg)
	other.Step(0, Event{Kind: EvStartup}, nil)
	fx := other.Step(0, Event{Kind: EvAdvert, Advert: &Advert{Packet: got, Src: m.cfg.Primary}}, nil)
	if len(fx) != 0 || len(other.Conflicts(nil)) != 0 {
		t.Errorf("%v, %v", fx, other.Conflicts(nil))
	}
}

// rounds are an Active router's and a Backup's daily work.
func rounds(t testing.TB) map[string]func() {
	cfg := testConfig()
	backup, active := newMachine(t, cfg), newMachine(t, cfg)
	backup.Step(0, Event{Kind: EvStartup}, nil)
	active.Step(0, Event{Kind: EvAdopt}, nil)
	for at := active.Deadline(); at < time.Minute; at = active.Deadline() {
		active.Step(at, Event{Kind: EvTimer}, nil)
	}
	higher := advertOf(cfg, 200)
	fx := make([]Effect, 0, 16)
	return map[string]func(){
		"backup hears an advert": func() {
			fx = backup.Step(backup.now+time.Second, Event{Kind: EvAdvert, Advert: higher}, fx[:0])
		},
		"active sends": func() {
			fx = active.Step(active.Deadline(), Event{Kind: EvTimer}, fx[:0])
		},
	}
}

func TestStepAllocations(t *testing.T) {
	for name, round := range rounds(t) {
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	cfg := testConfig()
	m := newMachine(t, cfg)
	conflicting := advertOf(cfg, 0)
	conflicting.Interval *= 2
	conflicting.Addrs = conflicting.Addrs[:1]
	fx := make([]Effect, 0, 64)
	at := time.Duration(0)
	n := testing.AllocsPerRun(100, func() { // a whole life, with conflicts that come and go
		at += time.Minute
		fx = m.Step(at, Event{Kind: EvStartup}, fx[:0])
		fx = m.Step(at+time.Second, Event{Kind: EvAdvert, Advert: conflicting}, fx)
		fx = m.Step(at+2*time.Second, Event{Kind: EvDrained}, fx)
		fx = m.Step(at+2*time.Second, Event{Kind: EvAdvert, Advert: conflicting}, fx)
		fx = m.Step(at+2*time.Second, Event{Kind: EvRelease}, fx)
		fx = m.Step(at+3*time.Second, Event{Kind: EvShutdown}, fx)
	})
	if n != 0 {
		t.Errorf("a life: %v allocations", n)
	}
}

func BenchmarkStep(b *testing.B) {
	for name, round := range rounds(b) {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				round()
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	packets, envs := samples()
	wire, err := packets[3].Append(nil, envs[3].Src, envs[3].Dst)
	if err != nil {
		b.Fatal(err)
	}
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Parse(wire, envs[3]); r != Accepted {
			b.Fatal(r)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	packets, envs := samples()
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out, _ = packets[3].Append(out[:0], envs[3].Src, envs[3].Dst)
	}
}
