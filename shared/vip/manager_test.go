package vip

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/child"
	"github.com/everup/everup/shared/vip/internal/wire"
)

const (
	oneVIP  = "web: {interface: eth0, vrid: 51, addresses: [10.0.0.5/24]}"
	bothFam = "dual: {interface: eth0, vrid: 52, addresses: [10.0.0.6/24, 'fe80::6'], group: g}"
	third   = "inner: {interface: eth1, vrid: 51, addresses: [192.168.0.5], group: g}"
)

// TestLife: from the start, through readiness, to the end.
func TestLife(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP, bothFam, third), func(r *rig) {
		r.says(time.Minute) // not ready: nothing happens
		r.states("dual not known yet; inner not known yet; web not known yet")
		r.shows()
		if got := r.placesOnDisk(); got != "eth0 10.0.0.6/24, eth0 fe80::6/128, eth1 192.168.0.5/32, eth0 10.0.0.5/24" {
			t.Errorf("record: %s", got)
		}
		r.Ready()
		r.says(20*time.Millisecond,
			"vip-backup vip/dual →backup startup", // its first family is Active by then, its second is not
			"vip-active vip/dual backup→active down_timer",
			"vip-backup vip/inner →backup startup", "vip-active vip/inner backup→active down_timer",
			"vip-backup vip/web →backup startup", "vip-active vip/web backup→active down_timer")
		r.states("dual active; inner active; web active")
		r.end()
		r.end = nil
		r.says(0, "vip-fault vip/dual active→fault release", "vip-fault vip/inner active→fault release", "vip-fault vip/web active→fault release")
		if got := r.placesOnDisk(); got != "" {
			t.Errorf("record at the end: %s", got)
		}
		if n := len(r.children()); n != 1 || r.metric("vip_child_restarts_total") != "vip_child_restarts_total 0" {
			t.Errorf("%d children, %s", n, r.metric("vip_child_restarts_total"))
		}
	})
}

// TestEmpty: without VIPs there is no child, until a reload brings some, and none after one has taken them away.
func TestEmpty(t *testing.T) {
	inBubble(t, t.TempDir(), nil, func(r *rig) {
		r.Ready()
		r.says(time.Minute)
		if n := len(r.children()); n != 0 {
			t.Fatalf("%d children", n)
		}
		if err := r.Reload(mustParse(t, oneVIP)); err != nil {
			t.Fatal(err)
		}
		r.says(time.Second, "vip-backup vip/web →backup startup", "vip-active vip/web backup→active down_timer")
		if err := r.Reload(nil); err != nil {
			t.Fatal(err)
		}
		r.says(10 * time.Second)
		select {
		case <-r.child().Done():
		default:
			t.Error("a child that holds nothing runs on")
		}
		if r.child().Err() != nil || r.placesOnDisk() != "" || len(r.children()) != 1 {
			t.Errorf("ended by %v, places %q, %d children", r.child().Err(), r.placesOnDisk(), len(r.children()))
		}
		r.shows()
		if err := r.Leave(r.t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestLeftovers: what an earlier life has planned is removed, also if the VIPs are no longer configured.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, dir, mustParse(t, oneVIP, third), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.starting(func(func(*wire.Message)) (process, error) { return nil, errors.New("no process") })
		r.child().Kill(errors.New("crash")) // at the end nobody can clean up
		waitInBubble(time.Second)
	})
	inBubble(t, dir, mustParse(t, oneVIP), func(r *rig) {
		waitInBubble(time.Second)
		plan := r.child().nth(0).Plan
		if len(plan.Leftovers) != 1 || plan.Leftovers[0].Interface != "eth1" || plan.Groups[0].Routers[0].Adopt {
			t.Errorf("plan %+v", plan)
		}
		waitInBubble(10 * time.Second)
		if got := r.placesOnDisk(); got != "eth0 10.0.0.5/24" {
			t.Errorf("record: %s", got)
		}
		r.starting(func(func(*wire.Message)) (process, error) { return nil, errors.New("no process") })
		r.child().Kill(errors.New("crash"))
		waitInBubble(time.Second)
	})
	inBubble(t, dir, nil, func(r *rig) {
		waitInBubble(10 * time.Second)
		if n := len(r.children()); n != 1 || len(r.child().nth(0).Plan.Leftovers) != 1 || r.placesOnDisk() != "" {
			t.Errorf("%d children, record %s", n, r.placesOnDisk())
		}
	})
}

// TestTracking: a value that falls makes a fault, one that rises mends it.
func TestTracking(t *testing.T) {
	cfg := mustParse(t, `web: {interface: eth0, vrid: 51, addresses: [10.0.0.5/24], track: [{value: backends}, {value: load, each: true, weight: -1}],
    notify: [{command: [/bin/tell, x]}, {command: [/bin/down], on: [fault]}]}`)
	inBubble(t, t.TempDir(), cfg, func(r *rig) {
		r.Set("backends", 2)
		r.Ready()
		env := " EVERUP_INTERFACE=eth0 EVERUP_PRIORITY=%P EVERUP_ADDRESSES=10.0.0.5/24"
		run := func(cmd, state, cause, priority string) string {
			return cmd + " EVERUP_VIP=web EVERUP_STATE=" + state + " EVERUP_CAUSE=" + cause + strings.ReplaceAll(env, "%P", priority)
		}
		waitInBubble(time.Second)
		r.take()
		r.commands.take()
		r.Set("backends", 0)
		r.says(time.Second, "vip-fault vip/web active→fault fault")
		r.ran(run("/bin/tell x", "fault", "fault", "100"), run("/bin/down", "fault", "fault", "100"))
		r.states("web fault, backends is 0, less than 1")
		r.shows("vip.web.fault fail backends is 0, less than 1")
		r.Set("load", 30)
		r.Set("backends", 1)
		r.says(time.Second, "vip-backup vip/web fault→backup startup", "vip-active vip/web backup→active down_timer")
		r.ran(run("/bin/tell x", "backup", "startup", "100"), run("/bin/tell x", "active", "down_timer", "100"))
		r.states("web active, priority 70 of 100")
		r.shows()
		if got := r.metric("vip_transitions_total"); got != `vip_transitions_total{vip="web",state="active"} 2; vip_transitions_total{vip="web",state="backup"} 2; vip_transitions_total{vip="web",state="fault"} 1` {
			t.Error(got)
		}
		if got := r.metric("vip_state") + r.metric("vip_priority") + r.metric("vip_notify_total"); got != `vip_state{vip="web"} 2vip_priority{vip="web"} 70vip_notify_total{vip="web"} 6` {
			t.Error(got)
		}
	})
}

// TestFaultFromTheStart is told too, although the router never began.
func TestFaultFromTheStart(t *testing.T) {
	cfg := mustParse(t, `web: {interface: eth0, vrid: 51, addresses: [10.0.0.5/24], track: [{value: backends}]}`)
	inBubble(t, t.TempDir(), cfg, func(r *rig) {
		r.Ready()
		r.says(500 * time.Millisecond)
		r.says(2*time.Second, "vip-fault vip/web →fault startup")
		r.shows("vip.web.fault fail value backends is not known yet")
	})
}

// TestReleaseStays: a release by hand outlives child and daemon, until it is resumed.
func TestReleaseStays(t *testing.T) {
	dir := t.TempDir()
	cfg := mustParse(t, oneVIP, bothFam, third)
	const shown = "by ada, since 2000-01-01T00:00:01Z: this host takes no part"
	inBubble(t, dir, cfg, func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		var v VIPStatus
		if status := r.call("POST", "/v1/vips/inner/release", &v); status != 200 || v.Name != "inner" || v.Released == nil || v.Released.By != "ada" {
			t.Errorf("%d %+v", status, v)
		}
		r.says(0, "vip-fault vip/dual active→fault release", "vip-fault vip/inner active→fault release")
		r.states("dual released by hand; inner released by hand; web active")
		r.shows("vip.dual.released warn "+shown, "vip.inner.released warn "+shown)
		r.child().Kill(errors.New("crash"))
		r.says(10 * time.Second)
		r.states("dual released by hand; inner released by hand; web active")
		// A reload keeps it too, and forgets it with the VIP.
		if err := r.Reload(mustParse(t, oneVIP, third)); err != nil {
			t.Fatal(err)
		}
		r.says(10 * time.Second)
		r.states("inner released by hand; web active")
		r.shows("vip.inner.released warn " + shown)
		if rec := r.record(); len(rec.Released) != 1 {
			t.Errorf("released: %v", rec.Released)
		}
	})
	inBubble(t, dir, mustParse(t, oneVIP, third), func(r *rig) {
		r.Ready()
		r.says(2*time.Second, "vip-backup vip/web →backup startup", "vip-active vip/web backup→active down_timer", "vip-fault vip/inner →fault startup")
		r.shows("vip.inner.released warn " + shown)
		if status := r.call("POST", "/v1/vips/inner/resume", nil); status != 200 {
			t.Error(status)
		}
		r.says(time.Second, "vip-backup vip/inner fault→backup startup", "vip-active vip/inner backup→active down_timer")
		r.shows()
		if rec := r.record(); len(rec.Released) != 0 {
			t.Errorf("released: %v", rec.Released)
		}
	})
}

// TestDo: what can be asked for, and how it may fail.
func TestDo(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		f := func(err error, class fault.Class, want string) {
			t.Helper()
			if fault.Of(err) != class || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %v %q", err, class, want)
			}
		}
		ctx := r.t.Context()
		f(r.SwitchOver(ctx, "none"), fault.NotFound, `there is no VIP "none"`)
		f(r.SwitchOver(ctx, ""), fault.Invalid, "which VIP?")
		f(r.SwitchOver(ctx, "web"), fault.Conflict, "no peer takes the addresses of web")
		r.as(func(h *fakeHolder) { h.peer = true })
		f(r.SwitchOver(ctx, "web"), 0, "")
		r.says(0, "vip-backup vip/web active→backup switch_over")
		f(r.TakeOver(ctx, "web"), 0, "")
		r.says(0, "vip-active vip/web backup→active take_over")
		f(r.Release(ctx, ""), 0, "")
		r.says(0, "vip-fault vip/web active→fault release")
		f(r.Release(ctx, "web"), 0, "")
		f(r.Resume(ctx, ""), 0, "")
		r.says(0, "vip-backup vip/web fault→backup startup")

		// A child that does not answer, and one that dies before it does.
		r.as(func(h *fakeHolder) { h.silent = true })
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		f(r.TakeOver(soon, "web"), fault.Timeout, "take-over web: no answer yet")
		errs := make(chan error)
		for range maxDoing {
			go func() { errs <- r.TakeOver(ctx, "web") }()
		}
		waitInBubble(time.Millisecond)
		f(r.TakeOver(ctx, "web"), fault.Full, "32 requests wait already")
		r.starting(func(func(*wire.Message)) (process, error) { return nil, errors.New("no process") })
		r.child().Kill(errors.New("crash"))
		for range maxDoing {
			f(<-errs, fault.Unavailable, "the VRRP process ended")
		}
		waitInBubble(3 * time.Second)
		f(r.TakeOver(ctx, "web"), fault.Unavailable, "the VRRP process does not run")
		f(r.Release(ctx, "web"), 0, "") // kept for the next child
		r.shows("vip.child fail it does not run: no process", "vip.web.released warn by lbd, since 2000-01-01T00:00:05Z: this host takes no part")
	})
}

// TestChildDies: the next one is started at once, adopts what was Active, and nobody is told of a change.
func TestChildDies(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP, bothFam), func(r *rig) {
		r.Ready()
		waitInBubble(time.Minute)
		r.take()
		epoch := r.record().Epoch
		r.child().Kill(errors.New("crash"))
		r.says(100 * time.Millisecond)
		r.states("dual active; web active")
		if n := len(r.children()); n != 2 {
			t.Fatalf("%d children", n)
		}
		plan := r.child().nth(0).Plan
		if plan.Epoch != epoch+60 && plan.Epoch <= epoch || r.record().Epoch != plan.Epoch {
			t.Errorf("epoch %d after %d, on disk %d", plan.Epoch, epoch, r.record().Epoch)
		}
		for _, g := range plan.Groups {
			for _, router := range g.Routers {
				if !router.Adopt {
					t.Errorf("%s is not adopted", router.Vip)
				}
			}
		}
		if d := r.child().nth(1); d.Verdict == nil {
			t.Errorf("second message %+v", d)
		}
		r.shows()
		// One that reloads does not adopt.
		if err := r.Reload(mustParse(t, oneVIP)); err != nil {
			t.Fatal(err)
		}
		r.says(time.Second)
		if plans := r.child().plans(); len(plans) != 2 || plans[1].Groups[0].Routers[0].Adopt {
			t.Errorf("plans %+v", plans)
		}
		if got := r.metric("vip_child_restarts_total"); got != "vip_child_restarts_total 1" {
			t.Error(got)
		}
	})
}

// TestNoAdoption: what a peer has taken over by now is not adopted.
func TestNoAdoption(t *testing.T) {
	f := func(name string, err error, crashes int, want bool) {
		t.Helper()
		inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
			r.Ready()
			waitInBubble(time.Minute)
			for range crashes {
				r.child().Kill(err)
				waitInBubble(time.Millisecond) // the next one dies before it has said anything
				if crashes > 1 {
					waitInBubble(100 * time.Millisecond)
				}
			}
			waitInBubble(time.Second)
			if got := r.child().nth(0).Plan.Groups[0].Routers[0].Adopt; got != want {
				t.Errorf("%s: adopt %v", name, got)
			}
		})
	}
	f("crash", errors.New("crash"), 1, true)
	f("stuck", fault.New(fault.Timeout, "stuck"), 1, false) // for longer than Active_Down_Interval
}

// TestCrashLoop: the pause between starts grows, and the earliest death counts for adoption.
func TestCrashLoop(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Minute)
		starts := []time.Time{}
		adopts := []bool{}
		r.starting(func(got func(*wire.Message)) (process, error) {
			p := &crashing{done: make(chan struct{}), adopts: &adopts}
			starts = append(starts, time.Now())
			close(p.done)
			return p, nil
		})
		r.child().Kill(errors.New("crash"))
		waitInBubble(time.Minute)
		if n := len(starts); n < 10 || n > 25 {
			t.Errorf("%d starts in a minute", n)
		}
		if !adopts[0] || adopts[len(adopts)-1] {
			t.Errorf("adopted: %v", adopts)
		}
		r.shows("vip.child fail it does not run: crash")
	})
}

// crashing is a child that has died before it said anything.
type crashing struct {
	done   chan struct{}
	adopts *[]bool
}

func (p *crashing) Send(ms ...*wire.Message) error {
	if ms[0].Plan != nil && len(ms[0].Plan.Groups) > 0 {
		*p.adopts = append(*p.adopts, ms[0].Plan.Groups[0].Routers[0].Adopt)
	}
	return nil
}
func (p *crashing) Kill(error)            {}
func (p *crashing) Hangup()               {}
func (p *crashing) Done() <-chan struct{} { return p.done }
func (p *crashing) Err() error            { return errors.New("crash") }
func (p *crashing) PID() int              { return 8 }

var _ process = (*child.Process)(nil)

// TestReload: what did not change is not told again, what is gone is forgotten, what cannot be is refused.
func TestReload(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP, third), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		plans := func() int { return r.child().count(func(m *wire.Message) bool { return m.Plan != nil }) }
		if err := r.Reload(mustParse(t, oneVIP, third)); err != nil || plans() != 1 {
			t.Errorf("%v, %d plans", err, plans())
		}
		if err := r.Reload(mustParse(t, oneVIP, bothFam)); err != nil || plans() != 2 {
			t.Errorf("%v, %d plans", err, plans())
		}
		r.says(time.Second, "vip-backup vip/dual →backup startup", "vip-active vip/dual backup→active down_timer")
		r.states("dual active; web active")
		// A router that is no longer planned may have its addresses for a while.
		if got := r.placesOnDisk(); !strings.Contains(got, "192.168.0.5") {
			t.Errorf("record: %s", got)
		}
		waitInBubble(10 * time.Second)
		if got := r.placesOnDisk(); got != "eth0 10.0.0.5/24, eth0 10.0.0.6/24, eth0 fe80::6/128" {
			t.Errorf("record: %s", got)
		}
		if got := r.metric("vip_transitions_total"); strings.Contains(got, "inner") {
			t.Error(got)
		}
		for _, s := range r.env.Health.Snapshot() {
			if strings.Contains(s.ID, "inner") {
				t.Errorf("health item %s of a VIP that is gone", s.ID)
			}
		}
		r.take()
		if err := r.Leave(r.t.Context()); err != nil {
			t.Error(err)
		}
		if err := r.Reload(nil); !errors.Is(err, fault.Unavailable) {
			t.Errorf("reload after Leave: %v", err)
		}
	})
}

func TestFleetAuthWithoutSecret(t *testing.T) {
	cfg := mustParse(t, "web: {interface: eth0, vrid: 51, addresses: [10.0.0.5/24], peers: [10.0.0.2], auth: fleet}")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, t.TempDir(), cfg)
		defer r.close()
		r.Manager.env.Keys = nil
		if err := r.Reload(cfg); !errors.Is(err, fault.Config) {
			t.Error(err)
		}
		r.env.Keys = nil
		if _, err := New(cfg, r.env); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "vips.web.auth: fleet demands a fleet secret") {
			t.Error(err)
		}
	})
}

// TestLeave: the addresses go first, and nothing comes back.
func TestLeave(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.take()
		ctx, cancel := context.WithTimeout(r.t.Context(), 8*time.Second)
		defer cancel()
		if err := r.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		r.says(0, "vip-fault vip/web active→fault release")
		stop := r.child().last()
		if stop.Do == nil || stop.Do.Verb != wire.Stop || stop.Do.Limit != 6*time.Second {
			t.Errorf("last message %+v", stop.Do)
		}
		r.Set("x", 1)
		r.says(time.Minute)
		if n := len(r.children()); n != 1 || r.placesOnDisk() != "" {
			t.Errorf("%d children, record %s", n, r.placesOnDisk())
		}
		if err := r.Leave(r.t.Context()); err != nil {
			t.Error(err)
		}
		r.shows()
	})
}

// TestLeaveSilent: a child that does not answer does not hold the drain up, and is ended by force.
func TestLeaveSilent(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.as(func(h *fakeHolder) { h.silent = true })
		ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Second)
		defer cancel()
		if err := r.Leave(ctx); !errors.Is(err, fault.Timeout) {
			t.Error(err)
		}
		begin := time.Now()
		r.end()
		r.end = nil
		if took := time.Since(begin); took != stopTime {
			t.Errorf("the end took %v", took)
		}
		if got := r.placesOnDisk(); got != "" { // by the end of its socket
			t.Errorf("record: %s", got)
		}
	})
}

// TestLeaveAfterCrash: a child is started to remove what the last one left.
func TestLeaveAfterCrash(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		r.child().Kill(errors.New("crash"))
		r.child().Hangup()
		<-r.child().Done()
		if err := r.Leave(r.t.Context()); err != nil {
			t.Fatal(err)
		}
		plan := r.child().nth(0).Plan
		if n := len(r.children()); n != 2 || len(plan.Groups) != 0 || len(plan.Leftovers) != 1 || r.placesOnDisk() != "" {
			t.Errorf("%d children, plan %+v, record %s", n, plan, r.placesOnDisk())
		}
		waitInBubble(time.Minute)
		if n := len(r.children()); n != 2 {
			t.Errorf("%d children", n)
		}
	})
}

// TestSweep: so it is at the end without Leave.
func TestSweep(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		r.Ready()
		waitInBubble(time.Second)
		p := r.child()
		p.Kill(errors.New("crash"))
		<-p.Done()
		r.end()
		r.end = nil
		if got := r.placesOnDisk(); got != "" {
			t.Errorf("record: %s", got)
		}
	})
}

// TestBeats: four in a Lifeline, as long as the daemon proves that it serves.
func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, t.TempDir(), nil)
		var alive atomic.Bool
		alive.Store(true)
		r.Manager.env.Alive = alive.Load
		r.run()
		defer r.close()
		beats := func() int {
			return r.child().count(func(m *wire.Message) bool { return m.Beat != nil })
		}
		if err := r.Reload(mustParse(t, oneVIP)); err != nil {
			t.Fatal(err)
		}
		waitInBubble(10 * time.Second)
		if n := beats(); n < 18 || n > 20 {
			t.Errorf("%d beats in 10s", n)
		}
		alive.Store(false)
		waitInBubble(time.Second)
		before := beats()
		waitInBubble(10 * time.Second)
		if n := beats(); n != before {
			t.Errorf("%d beats while stuck", n-before)
		}
		alive.Store(true)
		waitInBubble(time.Second)
		if beats() == before {
			t.Error("no beats afterwards")
		}
		if err := r.Reload(mustParse(t, strings.Replace(oneVIP, "}", ", lifeline: 0}", 1))); err != nil {
			t.Fatal(err)
		}
		waitInBubble(time.Second)
		before = beats()
		waitInBubble(10 * time.Second)
		if n := beats(); n != before {
			t.Errorf("%d beats without a lifeline", n-before)
		}
	})
}
