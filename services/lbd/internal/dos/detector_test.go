package dos

import (
	"encoding/json"
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

// sharing returns a set of a detector Default and others that share.
func sharing(others ...string) *Set {
	s := new(Set)
	var list []Named
	for _, name := range append([]string{Default}, others...) {
		o := options()
		o.Share = true
		list = append(list, Named{name, o})
	}
	s.Configure(list, 0)
	return s
}

func TestMessages(t *testing.T) {
	from, to := sharing("login"), sharing("login")
	a, b := from.Get(Default), to.Get(Default)
	feed, own := from.Follow(100), to.Follow(100)
	defer feed.Close()
	defer own.Close()
	// b's clock has another origin.
	const ahead = 1000 * second
	send := func(now int64) string {
		t.Helper()
		changes, _ := feed.Take(MaxMessage)
		m := from.Tell(changes, now)
		if m == nil {
			return ""
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Message
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if taken, unfit, err := to.Heard(&back, now+ahead); err != nil || taken != back.keys() || unfit > 0 {
			t.Fatalf("%d taken, %d unfit, %v", taken, unfit, err)
		}
		if changes, _ := own.Take(MaxMessage); to.Tell(changes, now+ahead) != nil {
			t.Error("what was heard is told on")
		}
		return string(text)
	}
	a.ask("192.0.2.1", 7, second)
	a.ask("192.0.2.2", 4, second)
	if got, want := send(2*second), `{"held":[{"key":"192.0.2.2","level":"suspect","left_ms":59000},{"key":"192.0.2.1","level":"hard","left_ms":59000}]}`; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if got, want := b.held(ahead+2*second), "192.0.2.1 hard 59s shared; 192.0.2.2 suspect 59s shared; "; got != want {
		t.Errorf("b holds %s, want %s", got, want)
	}
	two := a.Key(netip.MustParseAddr("192.0.2.2"), nil)
	a.Undo(two, second, 2*second)
	if got, want := send(2*second), `{"ended":["192.0.2.2"]}`; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	b.ask("192.0.2.1", 7, ahead+3*second)
	own.Take(100)
	a.Lift(key(t, "192.0.2.1"), Manual, 4*second)
	if got, want := send(4*second), `{"lifted":["192.0.2.1"]}`; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if got := b.held(ahead + 4*second); got != "" {
		t.Errorf("b holds %s", got)
	}
	if got := send(5 * second); got != "" {
		t.Errorf("told without news: %s", got)
	}
	a.ask("192.0.2.5", 4, 5*second)
	feed.Take(100)
	recalled := from.Tell(a.Recall(6*second), 6*second)
	if recalled == nil || len(recalled.Held) != 1 || recalled.Held[0].Key.String() != "192.0.2.5" {
		t.Errorf("recalled %+v", recalled)
	}
	if m := to.Tell(b.Recall(ahead), ahead); m != nil {
		t.Errorf("b recalls %+v", m)
	}

	// A detector with a name is told by it, where a balancer that knows of one only does not look.
	from.Get("login").ask("192.0.2.6", 4, 7*second)
	if got, want := send(7*second), `{"named":{"login":{"held":[{"key":"192.0.2.6","level":"suspect","left_ms":60000}]}}}`; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if got, want := to.Get("login").held(ahead+7*second), "192.0.2.6 suspect 1m0s shared; "; got != want || b.held(ahead+7*second) != "" {
		t.Errorf("b holds %s by login, %s by default", got, b.held(ahead+7*second))
	}
}

// One that does not share tells nothing, and believes nothing.
func TestMessagesOfOneWhoDoesNotShare(t *testing.T) {
	alone, other := new(Set), sharing("login")
	o := options()
	alone.Configure([]Named{{Default, o}}, 0)
	feed, told := alone.Follow(10), other.Follow(10)
	alone.Get(Default).ask("192.0.2.1", 4, second)
	if changes, _ := feed.Take(10); len(changes) != 1 || alone.Tell(changes, second) != nil {
		t.Errorf("of %+v it tells", changes)
	}
	other.Get(Default).ask("192.0.2.2", 4, second)
	other.Get("login").ask("192.0.2.3", 4, second)
	changes, _ := told.Take(10)
	if taken, unfit, err := alone.Heard(other.Tell(changes, second), second); taken != 0 || unfit != 2 || err != nil {
		t.Errorf("%d taken, %d unfit, %v", taken, unfit, err)
	}
}

func TestHeardIsChecked(t *testing.T) {
	s := sharing("login")
	f := func(text string, taken, unfit int, class fault.Class, want string) {
		t.Helper()
		var m Message
		err := json.Unmarshal([]byte(text), &m)
		n, bad := 0, 0
		if err == nil {
			n, bad, err = s.Heard(&m, 0)
		}
		if n != taken || bad != unfit || fault.Of(err) != class {
			t.Errorf("%s: %d, %d, %v", text, n, bad, err)
		}
		if got := s.Get(Default).held(0) + s.Get("login").held(0); got != want {
			t.Errorf("%s: holds %q", text, got)
		}
	}
	f(`{"held":[{"key":"192.0.2.0/24","level":"hard","left_ms":1000},{"key":"192.0.2.200","level":"hard","left_ms":1000}]}`, 0, 2, 0, "")
	f(`{"held":[{"key":"192.0.2.1","level":"none","left_ms":1000}]}`, 0, 0, fault.Invalid, "")
	f(`{"held":[{"key":"192.0.2.1","level":"hard","left_ms":0}]}`, 0, 0, fault.Invalid, "")
	f(`{"held":[{"key":"x","level":"hard","left_ms":1000}]}`, 0, 0, fault.Invalid, "")
	f(`{"held":[{"key":"192.0.2.1","level":"hard","left_ms":1000}],"named":{"login":{"held":[{"key":"192.0.2.1","level":"","left_ms":1000}]}}}`, 0, 0, fault.Invalid, "")
	f(`{"named":{"none":{"lifted":["192.0.2.1"]},"login":null,"default":{"held":[{"key":"192.0.2.1","level":"hard","left_ms":1000}]}}}`, 0, 1, 0, "")
	f(`{"named":{"login":{"held":[{"key":"192.0.2.1","level":"suspect","left_ms":9223372036854775807}]}}}`, 1, 0, 0, "192.0.2.1 suspect 24h0m0s shared; ")
	f(`{"named":{"login":{"lifted":["192.0.2.1"]}}}`, 1, 0, 0, "")
	f(`{"held":[{"key":"192.0.2.1","level":"hard","left_ms":9223372036854775807}]}`, 1, 0, 0, "192.0.2.1 hard 24h0m0s shared; ")
	long := Message{Told: Told{Lifted: make([]Key, MaxMessage)}, Named: map[string]*Told{"login": {Ended: make([]Key, 1)}}}
	if _, _, err := s.Heard(&long, 0); fault.Of(err) != fault.Invalid {
		t.Errorf("a long message: %v", err)
	}
}

func FuzzHeard(f *testing.F) {
	f.Add([]byte(`{"held":[{"key":"192.0.2.1","level":"hard","left_ms":1000}],"ended":["192.0.2.1"],"lifted":["::/64"]}`))
	f.Add([]byte(`{"held":[{"key":"value:00112233445566778899aabbccddeeff","level":"suspect","left_ms":-1}]}`))
	f.Add([]byte(`{"named":{"login":{"held":[{"key":"192.0.2.1","level":"hard","left_ms":1000}]},"x":null}}`))
	s := sharing("login")
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Message
		if json.Unmarshal(data, &m) != nil {
			return
		}
		s.Heard(&m, second)
		for _, d := range s.All() {
			for _, o := range d.Offenders(None, all, second) {
				if o.Until > second+int64(MaxShared) || !o.Key.Valid() {
					t.Errorf("%s is held for %v", o.Key, time.Duration(o.Until))
				}
			}
		}
	})
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
