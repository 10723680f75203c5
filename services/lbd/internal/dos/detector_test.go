package dos

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	second = int64(time.Second)
	all    = math.MaxInt
)

func options() Options {
	return Options{
		Settings: Settings{Period: 10 * time.Second, Threshold: 3, Hard: 6, Ban: time.Minute},
		Nets:     Nets{32, 64}, Keys: 8192, Values: true, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")},
	}
}

func detector(o Options) *Detector {
	d := NewDetector("d")
	d.Configure(o, 0)
	return d
}

func (d *Detector) ask(addr string, times int, now int64) (l Level) {
	k := d.Key(netip.MustParseAddr(addr), nil)
	for range times {
		l = d.Count(k, now)
	}
	return l
}

func (d *Detector) held(now int64) string {
	s := ""
	for _, o := range d.Offenders(None, all, now) {
		s += fmt.Sprintf("%s %s %v %s; ", o.Key, o.Level, time.Duration(o.Until-now), o.Origin)
	}
	return s
}

func TestDetector(t *testing.T) {
	d := NewDetector("d")
	if l := d.ask("192.0.2.1", 100, 0); l != None || d.Keys() != 0 || len(d.Offenders(None, all, 0)) > 0 {
		t.Errorf("a detector that is off says %v", l)
	}
	d.Configure(options(), 0)
	if l := d.ask("192.0.2.200", 100, 0); l != None {
		t.Errorf("one who is exempt is %v", l)
	}
	d.ask("192.0.2.1", 7, second)
	d.ask("192.0.2.2", 4, 2*second)
	for range 4 {
		d.Count(d.Key(netip.MustParseAddr("192.0.2.200"), nil), second)
		d.Count(d.Key(netip.MustParseAddr("192.0.2.3"), []byte("token")), 3*second)
	}
	want := "192.0.2.1 hard 57s counted; value:3c469e9d6c5875d37a43f353d4f88e61 suspect 59s counted; 192.0.2.2 suspect 58s counted; "
	if got := d.held(4 * second); got != want {
		t.Errorf("held:\n%s\nwant:\n%s", got, want)
	}
	if d.Level(d.Key(netip.MustParseAddr("192.0.2.3"), nil), 4*second) != None {
		t.Error("the address of a header's value is held")
	}
	if got, want := d.Use(4*second), (Use{3, 2, 1}); got != want {
		t.Errorf("use %+v, want %+v", got, want)
	}
	if got, want := d.Counts(), (Counts{Suspects: 3, Hard: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if n := len(d.Offenders(Hard, all, 4*second)); n != 1 {
		t.Errorf("%d are hard", n)
	}
	d.Off()
	if got := d.held(4 * second); got != "" {
		t.Errorf("held when off: %s", got)
	}
}

// One who comes from many addresses of a network of 64 bits is one; one who has many such networks is found by what they have in common.
func TestManyAddresses(t *testing.T) {
	s := new(Set)
	few, wide := options(), options()
	wide.Nets.V6, wide.Threshold, wide.Hard = 48, 50, 0
	s.Configure([]Named{{Default, few}, {"wide", wide}}, 0)
	one, two := s.Get(Default), s.Get("wide")
	for i := range 4 {
		one.ask(fmt.Sprintf("2001:db8:0:1::%d", i), 1, second)
	}
	if got, want := one.held(second), "2001:db8:0:1::/64 suspect 1m0s counted; "; got != want {
		t.Errorf("held %s, want %s", got, want)
	}
	for i := range 60 {
		addr := fmt.Sprintf("2001:db8:1:%x::1", i)
		if l := one.ask(addr, 1, second); l != None {
			t.Errorf("%s is %v", addr, l)
		}
		two.ask(addr, 1, second)
	}
	if got, want := two.held(second), "2001:db8:1::/48 suspect 1m0s counted; "; got != want {
		t.Errorf("held %s, want %s", got, want)
	}
}

// A change of options loses nobody who is held and still a key, and counts only where they would mean something else.
func TestConfigureKeepsWhoIsHeld(t *testing.T) {
	f := func(change func(*Options), held string, counts bool) {
		t.Helper()
		d := detector(options())
		d.ask("192.0.2.1", 7, second)
		d.ask("192.0.2.2", 3, second)
		o := options()
		change(&o)
		d.Configure(o, second)
		if got := d.held(second); got != held {
			t.Errorf("held %q, want %q", got, held)
		}
		if l := d.ask("192.0.2.2", 1, second); l == Suspect != counts {
			t.Errorf("the fourth request makes it %v", l)
		}
	}
	const one = "192.0.2.1 hard 1m0s counted; "
	f(func(o *Options) { o.Ban = time.Hour }, one, true)
	f(func(o *Options) { o.Keys *= 4 }, one, false)
	f(func(o *Options) { o.Keys = 8 }, one, false)
	f(func(o *Options) { o.Period = time.Minute }, one, false)
	f(func(o *Options) { o.Nets.V4 = 24 }, "", false)
	f(func(o *Options) { o.Nets.V6 = 128 }, one, false)
	f(func(o *Options) { o.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} }, "", true)
	f(func(o *Options) { o.Exempt, o.Keys = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, 8 }, "", false)
}

func TestHold(t *testing.T) {
	d := detector(options())
	f := func(text string, class fault.Class) {
		t.Helper()
		err := d.Hold(key(t, text), Suspect, time.Minute, Manual, 0)
		if fault.Of(err) != class {
			t.Errorf("%s: %v", text, err)
		}
	}
	f("192.0.2.1", 0)
	f("2001:db8::/64", 0)
	f("value:00112233445566778899aabbccddeeff", 0)
	f("192.0.2.0/24", fault.Invalid) // not how clients are counted
	f("2001:db8::1", fault.Invalid)  // likewise
	f("192.0.2.200", fault.Invalid)  // exempt
	if k := d.Whole(key(t, "2001:db8::1")); k.String() != "2001:db8::/64" {
		t.Errorf("an address is counted as %v", k)
	}
	if d.Lift(key(t, "192.0.2.9"), Manual, 0) || !d.Lift(key(t, "192.0.2.1"), Manual, 0) || d.ask("192.0.2.1", 1, 0) != None {
		t.Error("lifted wrongly")
	}
	o := options()
	o.Keys, o.Values = 8, false
	d = detector(o)
	for i := range 8 {
		f(fmt.Sprintf("192.0.2.%d", i), 0)
	}
	f("192.0.2.9", fault.Full)
	f("value:00112233445566778899aabbccddeeff", fault.Invalid)
}

func TestFeed(t *testing.T) {
	d := detector(options())
	feed := d.feeds.follow(3)
	defer feed.Close()
	take := func(n int, want ...Change) {
		t.Helper()
		got, lost := feed.Take(n)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b Key) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		if lost != (len(want) > 2) {
			t.Errorf("lost %v with %d changes", lost, len(want))
		}
	}
	woken := func() bool {
		select {
		case <-feed.Wake():
			return true
		default:
			return false
		}
	}
	one := d.Key(netip.MustParseAddr("192.0.2.1"), nil)
	d.ask("192.0.2.1", 7, second)
	if !woken() || woken() {
		t.Error("not woken once")
	}
	rose := Change{"d", one, None, Suspect, 61 * second, 4, Counted}
	take(1, rose)
	if !woken() {
		t.Error("what is left is not told")
	}
	take(9, Change{"d", one, Suspect, Hard, 61 * second, 7, Counted})
	d.ask("192.0.2.1", 1, 2*second)
	take(9)                          // prolonged by a second only
	d.ask("192.0.2.1", 1, 19*second) // this is not above the threshold
	d.ask("192.0.2.1", 7, 30*second)
	take(9, Change{"d", one, Hard, Hard, 90 * second, 7, Counted})
	d.Hold(one, Hard, time.Hour, Manual, 31*second)
	d.Lift(one, Manual, 32*second)
	take(9, Change{"d", one, Hard, None, 0, 0, Manual})
	d.ask("192.0.2.1", 4, 40*second)
	d.Undo(one, 40*second, 40*second)
	d.ask("192.0.2.2", 7, 40*second)
	feed.Take(0) // the list is full: one was left out
	d.ask("192.0.2.3", 4, 40*second)
	if got, _ := feed.Take(9); len(got) != 3 {
		t.Errorf("%d changes in a feed of 3", len(got))
	}
	feed.Close()
	d.ask("192.0.2.4", 4, 40*second)
	if got, _ := feed.Take(9); len(got) != 0 {
		t.Error("a closed feed is told")
	}
}

// Many goroutines count at once: no request is lost, and the options change meanwhile.
func TestDetectorConcurrently(t *testing.T) {
	o := options()
	o.Threshold, o.Hard = 1000, 0
	d := detector(o)
	feed := d.feeds.follow(1000)
	defer feed.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 4 * 251 {
				d.Count(v4(0x0a000000+uint32(i%4)), second)
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			d.Configure(o, second)
			d.Offenders(None, all, second)
		}
	})
	wg.Wait()
	changes, _ := feed.Take(1000)
	if len(changes) != 4 {
		t.Errorf("%d changes: %+v", len(changes), changes)
	}
	for _, o := range d.Offenders(None, all, second) {
		if o.Count != 4*251 {
			t.Errorf("%s: %d requests", o.Key, o.Count)
		}
	}
}
