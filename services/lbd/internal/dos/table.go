package dos

import (
	"math"
	"time"

	"github.com/everup/everup/shared/limit"
)

// Level is what is thought of a key.
type Level uint8

// The levels.
const (
	None Level = iota
	Suspect
	Hard
)

// String returns the level's name, that of rules' conditions.
func (l Level) String() string { return [...]string{"none", "suspect", "hard"}[min(l, Hard)] }

// Settings are when a key is held for what, and how long.
type Settings struct {
	Period    time.Duration // over which requests are counted; above 0
	Threshold uint64        // more requests make a key suspect
	Hard      uint64        // more make it hard; 0: nothing does
	Ban       time.Duration // how long a level holds
}

// Origin is who says that a key has a level.
type Origin uint8

// The origins.
const (
	Counted Origin = iota // its requests
	Shared                // another balancer
	Manual                // an operator
)

// restored marks, in a Table, who was held before a restart: it may have been let go meanwhile, so that nobody else is told, until it asks too much again.
const restored Origin = 1 << 7

// who is o without marks.
func (o Origin) who() Origin { return o &^ restored }

// String returns the origin's name.
func (o Origin) String() string { return [...]string{"counted", "shared", "manual"}[min(o, Manual)] }

const (
	ways    = 8
	holds   = int(Hard)
	forGood = math.MaxUint16 // over: no request taken back ends the level
)

// set is ways places for the keys of a hash, and marks are of their hashes, so that a look at one cache line finds the place; 0: free.
type (
	set   [ways]slot
	marks [ways]uint32
)

// slot is what is known of a key, in one cache line.
type slot struct {
	key    Key
	origin Origin
	over   [holds]uint16 // requests too many since Suspect and Hard began: when all are taken back, it ends
	seen   uint16        // eighths of a second, wraps
	window limit.Window
	until  [holds]int64 // of Suspect and Hard
}

func (s *slot) level(now int64) Level {
	for l := Hard; l > None; l-- {
		if s.until[l-1] > now {
			return l
		}
	}
	return None
}

// Outcome is what a step of a Table has done.
type Outcome struct {
	Level     Level
	Before    Level
	Until     int64  // of Level
	Count     uint64 // requests over the last period
	Prolonged bool   // by about a quarter of the ban since it was last so, or since the level rose
	Evicted   bool   // another key was forgotten for this one
	Untracked bool   // there was no place for the key
}

// Changed reports whether others are to be told.
func (o *Outcome) Changed() bool { return o.Level != o.Before || o.Prolonged }

// Table counts requests by key and holds levels, within memory that is fixed when it is made. A time is as package limit has it. A key
// comes with its hash, of a secret seed.
type Table struct {
	s     Settings
	mask  uint64
	marks []marks
	sets  []set
}

// NewTable returns a table for at least so many keys: the next power of two.
func NewTable(s Settings, keys int) *Table {
	n := 1
	for n*ways < keys {
		n *= 2
	}
	return &Table{s: s, mask: uint64(n - 1), marks: make([]marks, n), sets: make([]set, n)}
}

// Keys returns how many keys there is room for.
func (t *Table) Keys() int { return ways * len(t.sets) }

// Count counts a request.
func (t *Table) Count(hash uint64, k Key, now int64) Outcome {
	s := t.find(hash, k)
	var o Outcome
	if s == nil {
		if s = t.place(hash, k, now, &o); s == nil {
			return o
		}
	}
	s.seen = ticks(now)
	o.Before = s.level(now)
	o.Count = s.window.Add(t.s.Period, now, 1)
	before := s.until
	t.hold(s, Suspect, o.Count, t.s.Threshold, now)
	if t.s.Hard > 0 {
		t.hold(s, Hard, o.Count, t.s.Hard, now)
	}
	t.outcome(s, &o, now)
	if o.Level > None && o.Level == o.Before {
		quarter := max(int64(t.s.Ban)/4, 1)
		o.Prolonged = before[o.Level-1]/quarter != o.Until/quarter
	}
	return o
}

// hold begins a level, or prolongs it.
func (t *Table) hold(s *slot, l Level, n, threshold uint64, now int64) {
	until, over := &s.until[l-1], &s.over[l-1]
	held := *until > now
	switch {
	case held && *over < forGood-1:
		*over++
	case !held && n > threshold:
		*over = uint16(min(n-threshold, forGood-1))
		if l == Suspect {
			s.origin = Counted
		}
	}
	if n > threshold {
		*until = max(*until, now+int64(t.s.Ban))
		if s.origin = s.origin.who(); s.origin == Shared {
			s.origin = Counted
		}
	}
}

// Undo takes back a request that was counted at the time at.
func (t *Table) Undo(hash uint64, k Key, at, now int64) (o Outcome) {
	s := t.find(hash, k)
	if s == nil {
		return o
	}
	o.Before = s.level(now)
	s.window.Undo(t.s.Period, at, now, 1)
	for i := range s.over {
		if s.until[i] <= now || s.over[i] >= forGood-1 || now-at > 2*int64(t.s.Period) {
			continue
		}
		if s.over[i]--; s.over[i] == 0 {
			s.until[i] = 0
		}
	}
	t.outcome(s, &o, now)
	return o
}

// Merge holds the key for a level until a time at least. The word of another balancer does not change who says so of a key held already.
func (t *Table) Merge(hash uint64, k Key, l Level, until int64, by Origin, now int64) (o Outcome) {
	s := t.find(hash, k)
	if s == nil {
		if s = t.place(hash, k, now, &o); s == nil {
			return o
		}
	}
	o.Before = s.level(now)
	if o.Before == None || by == Manual {
		s.origin = by
	}
	for i := range min(int(l), holds) {
		if s.until[i] <= now || by == Manual {
			s.over[i] = forGood
		}
		s.until[i] = max(s.until[i], until)
	}
	t.outcome(s, &o, now)
	return o
}

// Lift ends what the key is held for, whoever said so, and forgets its count.
func (t *Table) Lift(hash uint64, k Key, now int64) (o Outcome) {
	if s := t.find(hash, k); s != nil {
		o.Before = s.level(now)
		s.until, s.over, s.window = [holds]int64{}, [holds]uint16{}, limit.Window{}
	}
	return o
}

// Withdraw ends what the key is held for on the word of another balancer.
func (t *Table) Withdraw(hash uint64, k Key, now int64) (o Outcome) {
	if s := t.find(hash, k); s != nil {
		o.Before = s.level(now)
		if s.origin.who() == Shared {
			s.until, s.over = [holds]int64{}, [holds]uint16{}
		}
		t.outcome(s, &o, now)
	}
	return o
}

// Level returns what the key is held for.
func (t *Table) Level(hash uint64, k Key, now int64) Level {
	if s := t.find(hash, k); s != nil {
		return s.level(now)
	}
	return None
}

func (t *Table) outcome(s *slot, o *Outcome, now int64) {
	if o.Level = s.level(now); o.Level > None {
		o.Until = s.until[o.Level-1]
	}
}

// mark is what of a hash is kept beside the key; not 0.
func mark(hash uint64) uint32 { return uint32(hash>>32) | 1 }

func ticks(now int64) uint16 { return uint16(now >> 27) }

// find returns the key's place, nil if it has none.
func (t *Table) find(hash uint64, k Key) *slot {
	at, m := hash&t.mask, mark(hash)
	for i, have := range &t.marks[at] {
		if have == m && t.sets[at][i].key == k {
			return &t.sets[at][i]
		}
	}
	return nil
}

// place gives the key a place, nil if there is none.
func (t *Table) place(hash uint64, k Key, now int64, o *Outcome) *slot {
	m, s := &t.marks[hash&t.mask], &t.sets[hash&t.mask]
	best, fewest := -1, uint64(0)
	for i := range m {
		if m[i] == 0 {
			best, o.Evicted = i, false
			break
		}
		c := &s[i]
		if c.level(now) > None {
			continue
		}
		n := c.window.Count(t.s.Period, now)
		if best < 0 || n < fewest || n == fewest && int16(c.seen-s[best].seen) < 0 {
			best, fewest, o.Evicted = i, n, true
		}
	}
	if best < 0 {
		o.Untracked = true
		return nil
	}
	m[best], s[best] = mark(hash), slot{key: k, seen: ticks(now)}
	return &s[best]
}
