package vip

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// TestConflict: both sides are named in the item and the event; it goes when the peer mends it, or when the child does not know of it any
// more.
func TestConflict(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, bothFam), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		const text = "10.0.0.2 sends adverts each 1s, this host each 100ms"
		tell := wire.Tell{Kind: wire.TellConflict, Vip: "dual", Family: 4, Conflict: "interval", Peer: netip.MustParseAddr("10.0.0.2"), Detail: text}
		r.as(func(h *fakeHolder) {
			h.groups["g"].conflicts = []string{text}
			h.emit(&wire.Message{Tell: &tell})
			h.snapshot()
		})
		r.says(time.Second, "vip-conflict vip/dual interval "+text+" false peer 10.0.0.2")
		r.shows("vip.dual.conflict warn " + text) // once, although both routers have it
		r.states("dual active")
		gone := tell
		gone.Gone = true
		r.as(func(h *fakeHolder) {
			h.groups["g"].conflicts = nil
			h.emit(&wire.Message{Tell: &gone})
			h.snapshot()
		})
		r.says(time.Second, "vip-conflict vip/dual interval "+text+" true peer 10.0.0.2")
		r.shows()
		for _, want := range []string{"a peer's configuration contradicts ours", "a peer's configuration no longer contradicts ours"} {
			if n := strings.Count(r.log.String(), want); n != 1 {
				t.Errorf("%q is logged %d times", want, n)
			}
		}
		r.as(func(h *fakeHolder) { h.groups["g"].conflicts = []string{text}; h.snapshot() }) // its Tell was lost
		r.shows("vip.dual.conflict warn " + text)
		r.child().Kill(errors.New("crash"))
		waitInBubble(time.Second)
		r.shows()
	})
}

func TestReaddedAndFailing(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, bothFam), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		emit := func(tells ...wire.Tell) {
			r.as(func(h *fakeHolder) {
				for i := range tells {
					tells[i].Vip = "dual"
					h.emit(&wire.Message{Tell: &tells[i]})
				}
			})
		}
		emit(wire.Tell{Kind: wire.TellReadded, Family: 4, Detail: "10.0.0.6/24 on eth0"})
		r.shows("vip.dual.readded warn 10.0.0.6/24 on eth0 at 2000-01-01T00:00:01Z")
		waitInBubble(readdedShown - time.Minute)
		emit(wire.Tell{Kind: wire.TellReadded, Family: 6, Detail: "fe80::6/128 on eth0"})
		waitInBubble(2 * time.Minute)
		r.shows("vip.dual.readded warn fe80::6/128 on eth0 at 2000-01-01T00:09:01Z")
		waitInBubble(readdedShown)
		r.shows()

		emit(wire.Tell{Kind: wire.TellFailed, Family: 6, Detail: "no IPv6"}, wire.Tell{Kind: wire.TellFailed, Family: 4, Detail: "denied"})
		r.shows("vip.dual.system fail IPv4: denied; IPv6: no IPv6")
		emit(wire.Tell{Kind: wire.TellFailed, Family: 4, Gone: true})
		r.shows("vip.dual.system fail IPv6: no IPv6")
		emit(wire.Tell{Kind: wire.TellFailed, Family: 6, Gone: true})
		r.shows()
		r.says(0)
	})
}

// TestReasserted runs the commands that are for it, and what repeats itself is not logged each time.
func TestReasserted(t *testing.T) {
	cfg := mustParse(t, "web: {interface: eth0, vrid: 51, addresses: [10.0.0.5/24], notify: [{command: [/bin/a], on: [reasserted]}, {command: [/bin/b]}]}")
	inBubble(t, t.TempDir(), cfg, func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		r.commands.take()
		tell := func(kind wire.TellKind, vip string) {
			r.as(func(h *fakeHolder) {
				h.emit(&wire.Message{Tell: &wire.Tell{Kind: kind, Vip: vip, Family: 4, Peer: netip.MustParseAddr("10.0.0.2"), Late: time.Second}})
			})
		}
		tell(wire.TellReasserted, "web")
		tell(wire.TellReasserted, "none") // of a VIP that has gone with a reload
		r.says(0, "vip-reasserted vip/web →active  peer 10.0.0.2")
		r.ran("/bin/a EVERUP_VIP=web EVERUP_STATE=reasserted EVERUP_CAUSE= EVERUP_INTERFACE=eth0 EVERUP_PRIORITY=100 EVERUP_ADDRESSES=10.0.0.5/24")
		for range 100 {
			tell(wire.TellLate, "web")
			waitInBubble(100 * time.Millisecond)
		}
		tell(wire.TellLate, "web")
		waitInBubble(0)
		if n := strings.Count(r.log.String(), `"the VRRP process was late, and did nothing"`); n != 2 || !strings.Contains(r.log.String(), `"held_back":99`) {
			t.Errorf("%d lines: %s", n, r.log)
		}
		for _, kind := range []wire.TellKind{wire.TellKept, wire.TellRefused, wire.TellChecksum, "unheard of"} {
			tell(kind, "web")
		}
		r.says(time.Second)
	})
}

// TestLostTell: the next snapshot tells it.
func TestLostTell(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		r.as(func(h *fakeHolder) {
			s := &h.groups["web"].routers[0]
			s.State, s.Cause, s.Since, s.Holder = "Backup", "priority", time.Now(), netip.MustParseAddr("10.0.0.2")
			h.snapshot()
		})
		r.says(0, "vip-backup vip/web active→backup priority peer 10.0.0.2")
		r.states("web backup, held by 10.0.0.2")
		r.says(time.Minute)
	})
}

// TestMetrics: counters go on growing when a child begins anew.
func TestMetrics(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		count := func(sent, ttl uint64) {
			r.as(func(h *fakeHolder) {
				h.groups["web"].routers[0].Counters = wire.Counters{Sent: sent, Received: 2, Announced: 3, Readded: 1, Reasserted: 1, Late: 1, SendFailed: 1}
				h.drops = map[string]uint64{"ttl": ttl, "checksum": 0}
				h.snapshot()
			})
			waitInBubble(0)
		}
		f := func(want string) {
			t.Helper()
			if got := r.metric("vip_adverts"); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
		count(10, 1)
		count(15, 4)
		f(`vip_adverts_dropped_total{vip="web",family="4",reason="ttl"} 4; vip_adverts_received_total{vip="web",family="4"} 2; vip_adverts_sent_total{vip="web",family="4"} 15`)
		r.child().Kill(errors.New("crash"))
		waitInBubble(time.Second)
		count(50, 1) // more than the last one had, and all new
		f(`vip_adverts_dropped_total{vip="web",family="4",reason="ttl"} 5; vip_adverts_received_total{vip="web",family="4"} 4; vip_adverts_sent_total{vip="web",family="4"} 65`)
		if err := r.Reload(mustParse(t, third)); err != nil {
			t.Fatal(err)
		}
		waitInBubble(time.Second)
		if got := r.metric("vip_"); strings.Contains(got, "web") {
			t.Errorf("of a VIP that is gone: %s", got)
		}
		if got := r.metric("vip_child"); got != "vip_child_restarts_total 1; vip_child_running 1" {
			t.Error(got)
		}
	})
}

// TestHello: what the child may not is said, with the way to grant it.
func TestHello(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Manager.onHello(&wire.Hello{Missing: []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}, Error: "operation not permitted"})
		waitInBubble(2 * time.Second)
		r.shows("vip.child fail it may not do its work: it lacks CAP_NET_ADMIN and CAP_NET_RAW (operation not permitted)")
		for _, s := range r.env.Health.Snapshot() {
			if s.ID == childItem && (!strings.Contains(s.Hint, "AmbientCapabilities=CAP_NET_ADMIN") || !strings.Contains(s.Hint, "setcap cap_net_admin")) {
				t.Errorf("hint %q", s.Hint)
			}
		}
		r.Manager.onHello(&wire.Hello{Locked: true, Error: "operation not permitted"})
		waitInBubble(2 * time.Second)
		r.shows("vip.child warn it has no real-time scheduling (CAP_SYS_NICE): on a busy machine adverts may be late (operation not permitted)")
		r.Manager.onHello(&wire.Hello{Realtime: true, Locked: true})
		r.shows()
	})
}

// TestYoungChild: a child that has not been told to begin yet says nothing of the VIP.
func TestYoungChild(t *testing.T) {
	f := func(name string, v func() *vipRun, g wire.GroupStatus, state, cause string, young bool, want State) {
		t.Helper()
		run := v()
		_, _ = run.onStatus(time.Now(), &g, []*wire.RouterStatus{{Family: 4, State: state, Cause: cause}}, young)
		if run.state != want {
			t.Errorf("%s: %q, want %q", name, run.state, want)
		}
	}
	fresh := newVIPRun
	was := func() *vipRun {
		v := newVIPRun()
		_, _ = v.onState(&wire.Tell{Family: 4, State: "Active"}, 1)
		v.newChild()
		return v
	}
	none, starting := wire.GroupStatus{}, wire.GroupStatus{Faults: []string{"starting"}}
	fault, released := wire.GroupStatus{Faults: []string{"no carrier"}}, wire.GroupStatus{Released: true}
	f("fresh", fresh, none, "Initialize", "startup", false, Unknown)
	f("fresh, starting", fresh, starting, "Initialize", "startup", false, Unknown)
	f("fresh, at fault, young", fresh, fault, "Initialize", "startup", true, Unknown)
	f("fresh, at fault", fresh, fault, "Initialize", "startup", false, Fault)
	f("fresh, released", fresh, released, "Initialize", "startup", false, Fault)
	f("fresh, backup", fresh, none, "Backup", "startup", true, Backup)
	f("was active", was, none, "Initialize", "startup", false, Active)
	f("was active, at fault, young", was, fault, "Initialize", "startup", true, Active)
	f("was active, at fault", was, fault, "Initialize", "startup", false, Fault)
	f("was active, yields", was, none, "Backup", "startup", true, Backup)
	f("was active, fails", was, fault, "Initialize", "fault", true, Fault)
}

// TestCountersOfANewChild: they are all new, also if they are more than the last one's were.
func TestCountersOfANewChild(t *testing.T) {
	m := newMetrics(metric.NewRegistry("everup_lbd"))
	take := func(sent, lost uint64) {
		m.take(&wire.Snapshot{Lost: lost, Groups: []wire.GroupStatus{{Routers: []wire.RouterStatus{{Vip: "web", Family: 4, Counters: wire.Counters{Sent: sent}}}}}}, func(string) bool { return true })
	}
	take(10, 1)
	take(12, 3)
	m.newChild()
	take(20, 4)
	if sent, lost := m.sent.With("web", "4").Value(), m.lost.Value(); sent != 32 || lost != 7 {
		t.Errorf("%d sent and %d lost, want 32 and 7", sent, lost)
	}
}
