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

// Message is what balancers of a fleet tell each other.
type Message struct {
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

// Tell returns what others are to know of changes, of which those they have told themselves are left out. Of several of a key the last
// counts. The result is nil if there is nothing to tell. There are no more than MaxMessage changes.
func Tell(changes []Change, now int64) *Message {
	var m Message
	told := map[Key]bool{}
	for _, c := range slices.Backward(changes) {
		if c.By == Shared || told[c.Key] {
			continue
		}
		told[c.Key] = true
		left := time.Duration(c.Until - now).Milliseconds()
		switch {
		case c.Level > None && left > 0:
			m.Held = append(m.Held, Held{c.Key, c.Level.String(), left})
		case c.Level > None:
		case c.By == Manual:
			m.Lifted = append(m.Lifted, c.Key)
		default:
			m.Ended = append(m.Ended, c.Key)
		}
	}
	if len(told) == 0 || len(m.Held)+len(m.Lifted)+len(m.Ended) == 0 {
		return nil
	}
	return &m
}

// Recall returns what others are to know of offenders, for those who may have missed it.
func Recall(offenders []Offender) []Change {
	var out []Change
	for _, o := range offenders {
		if o.Origin != Shared {
			out = append(out, Change{Key: o.Key, Before: o.Level, Level: o.Level, Until: o.Until, Count: o.Count, By: o.Origin})
		}
	}
	return out
}

// Heard takes what another balancer has told. It returns how many of the keys were none of the detector's, or exempt. A message that is too long
// or says what cannot be is fault.Invalid, and nothing of it is taken.
func (d *Detector) Heard(m *Message, now int64) (unfit int, err error) {
	if n := len(m.Held) + len(m.Ended) + len(m.Lifted); n > MaxMessage {
		return 0, fault.New(fault.Invalid, "dos: a message of %d keys", n)
	}
	levels := make([]Level, len(m.Held))
	for i, h := range m.Held {
		switch h.Level {
		case Suspect.String():
			levels[i] = Suspect
		case Hard.String():
			levels[i] = Hard
		default:
			return 0, fault.New(fault.Invalid, "dos: a message with the level %.20q", h.Level)
		}
		if h.Left <= 0 {
			return 0, fault.New(fault.Invalid, "dos: a message with %d ms left", h.Left)
		}
	}
	for i, h := range m.Held {
		lasts := time.Duration(min(h.Left, MaxShared.Milliseconds())) * time.Millisecond
		if fault.Of(d.Hold(h.Key, levels[i], lasts, Shared, now)) == fault.Invalid {
			unfit++
		}
	}
	for _, k := range m.Ended {
		d.withdraw(k, now)
	}
	for _, k := range m.Lifted {
		d.Lift(k, Shared, now)
	}
	return unfit, nil
}
