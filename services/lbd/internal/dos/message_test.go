package dos

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
)

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
