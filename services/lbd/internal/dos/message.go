package dos

import (
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
)

const (
	// MaxShared bounds for how long a key is held on the word of another balancer.
	MaxShared = 24 * time.Hour
	// MaxMessage bounds the keys of a Message: an event of the bus has room for them.
	MaxMessage = 400
)

// Message is what balancers of a fleet tell each other. What stands in it beside named is of the detector Default: a balancer that knows of
// one only understands as much, and leaves out the others.
type Message struct {
	Told
	Named map[string]*Told `json:"named,omitempty"` // by detector
}

// Told is what is told of one detector's keys.
type Told struct {
	Held   []Held `json:"held,omitempty"`
	Ended  []Key  `json:"ended,omitempty"`  // taken back by those who told them
	Lifted []Key  `json:"lifted,omitempty"` // by an operator: nobody is to hold them
}

// Held is a key, what it is held for, and how long.
type Held struct {
	Key   Key    `json:"key"`
	Level string `json:"level"`
	Left  int64  `json:"left_ms"`
}

// keys returns how many keys are told of. JSON may hold a t that is nil.
func (t *Told) keys() int {
	if t == nil {
		return 0
	}
	return len(t.Held) + len(t.Ended) + len(t.Lifted)
}

func (m *Message) keys() int {
	n := m.Told.keys()
	for _, t := range m.Named {
		n += t.keys()
	}
	return n
}

// of returns what is told of a detector, made on first use.
func (m *Message) of(detector string) *Told {
	if detector == Default {
		return &m.Told
	}
	t := m.Named[detector]
	if t == nil {
		if m.Named == nil {
			m.Named = map[string]*Told{}
		}
		t = new(Told)
		m.Named[detector] = t
	}
	return t
}

// Tell returns what others are to know of changes, of which those they have told themselves are left out, and those of detectors that do
// not share. Of several of a key the last counts. The result is nil if there is nothing to tell. There are no more than MaxMessage changes.
func (s *Set) Tell(changes []Change, now int64) *Message {
	type about struct {
		detector string
		key      Key
	}
	var m Message
	told, shares := map[about]bool{}, map[string]bool{}
	for _, d := range s.All() {
		shares[d.name] = d.shares()
	}
	for _, c := range slices.Backward(changes) {
		this := about{c.Detector, c.Key}
		if c.By == Shared || told[this] || !shares[c.Detector] {
			continue
		}
		told[this] = true
		left := time.Duration(c.Until - now).Milliseconds()
		if c.Level > None && left <= 0 {
			continue
		}
		switch t := m.of(c.Detector); {
		case c.Level > None:
			t.Held = append(t.Held, Held{c.Key, c.Level.String(), left})
		case c.By == Manual:
			t.Lifted = append(t.Lifted, c.Key)
		default:
			t.Ended = append(t.Ended, c.Key)
		}
	}
	if m.keys() == 0 {
		return nil
	}
	return &m
}

// Recall returns what others are to know of those who are held, for balancers that may have missed it: the worst that are held on this one's
// word, as many as a message has room for. Whom a Snapshot told of is none of them.
func (d *Detector) Recall(now int64) (out []Change) {
	w := worst[Offender]{n: MaxMessage, compare: compareOffenders}
	d.cur.Load().scan(now, func(s *slot, l Level, count uint64) {
		if l > None && (s.origin == Counted || s.origin == Manual) {
			w.add(Offender{s.key, l, s.until[l-1], s.origin, count})
		}
	}, func() {})
	for _, o := range w.all() {
		out = append(out, Change{Detector: d.name, Key: o.Key, Before: o.Level, Level: o.Level, Until: o.Until, Count: o.Count, By: o.Origin})
	}
	return out
}

// shares reports whether levels are told to other balancers, and theirs believed.
func (d *Detector) shares() bool {
	c := d.cur.Load()
	return c != nil && c.o.Share
}

// Heard takes what another balancer has told. It returns how many keys were taken, and how many were none of a detector's that shares, or
// exempt. A message that is too long or says what cannot be is fault.Invalid, and nothing of it is taken.
func (s *Set) Heard(m *Message, now int64) (taken, unfit int, err error) {
	if n := m.keys(); n > MaxMessage {
		return 0, 0, fault.New(fault.Invalid, "dos: a message of %d keys", n)
	}
	if err := m.Told.check(); err != nil {
		return 0, 0, err
	}
	for _, t := range m.Named {
		if err := t.check(); err != nil {
			return 0, 0, err
		}
	}
	hear := func(detector string, t *Told) {
		n, unknown := t.keys(), t.keys()
		if d := s.Get(detector); d != nil && d.shares() && t != nil {
			unknown = d.heard(t, now)
		}
		taken, unfit = taken+n-unknown, unfit+unknown
	}
	hear(Default, &m.Told)
	for name, t := range m.Named {
		if name != Default { // that one does not stand here
			hear(name, t)
		}
	}
	return taken, unfit, nil
}

// check returns what cannot be.
func (t *Told) check() error {
	if t == nil {
		return nil
	}
	for _, h := range t.Held {
		if levelOf(h.Level) == None {
			return fault.New(fault.Invalid, "dos: a message with the level %.20q", h.Level)
		}
		if h.Left <= 0 {
			return fault.New(fault.Invalid, "dos: a message with %d ms left", h.Left)
		}
	}
	return nil
}

// levelOf returns the level of a name, None for a text that is none.
func levelOf(name string) Level {
	for l := Suspect; l <= Hard; l++ {
		if l.String() == name {
			return l
		}
	}
	return None
}

// heard takes what was checked.
func (d *Detector) heard(t *Told, now int64) (unfit int) {
	for _, h := range t.Held {
		lasts := time.Duration(min(h.Left, MaxShared.Milliseconds())) * time.Millisecond
		if fault.Of(d.Hold(h.Key, levelOf(h.Level), lasts, Shared, now)) == fault.Invalid {
			unfit++
		}
	}
	for _, k := range t.Ended {
		d.withdraw(k, now)
	}
	for _, k := range t.Lifted {
		d.Lift(k, Shared, now)
	}
	return unfit
}
