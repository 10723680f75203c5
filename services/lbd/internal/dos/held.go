package dos

import (
	"cmp"
	"slices"
)

// Offender is a key that is held for something.
type Offender struct {
	Key    Key
	Level  Level
	Until  int64
	Origin Origin
	Count  uint64 // requests over the last period
}

// Use is how full a table is.
type Use struct {
	Tracked  int // keys with requests of late, or held
	Suspects int // keys held for suspect, and not for hard
	Hard     int
}

// Standing is all that a key is held for.
type Standing struct {
	Key    Key
	Origin Origin
	Until  [holds]int64  // of Suspect and Hard; not in the future: it is not held for that
	over   [holds]uint16 // see slot; 0: forGood
}

// scan looks at the sets from a number on, n of them; f is called for each key with requests of late, or held.
func (t *Table) scan(from, n int, now int64, f func(s *slot, l Level, count uint64)) {
	for i := from; i < min(from+n, len(t.sets)); i++ {
		for j, have := range &t.marks[i] {
			if have == 0 {
				continue
			}
			c := &t.sets[i][j]
			if count, l := c.window.Count(t.s.Period, now), c.level(now); count > 0 || l > None {
				f(c, l, count)
			}
		}
	}
}

// adopt holds a key as another table does, or did.
func (t *Table) adopt(hash uint64, h *Standing, now int64) (o Outcome) {
	if h.Until[0] <= now && h.Until[1] <= now {
		return o
	}
	s := t.find(hash, h.Key)
	if s == nil {
		if s = t.place(hash, h.Key, now, &o); s == nil {
			return o
		}
	}
	if o.Before = s.level(now); o.Before == None {
		s.origin = h.Origin
	}
	for i, until := range h.Until {
		if until <= max(now, s.until[i]) {
			continue
		}
		s.until[i], s.over[i] = until, h.over[i]
		if h.over[i] == 0 {
			s.over[i] = forGood
		}
	}
	t.outcome(s, &o, now)
	return o
}

// scan looks at all of c, a few places at a time.
func (c *detection) scan(now int64, f func(s *slot, l Level, count uint64), between func()) {
	if c == nil {
		return
	}
	for _, s := range c.shards {
		for i := 0; i < len(s.t.sets); i += scanAtOnce {
			s.mu.Lock()
			s.t.scan(i, scanAtOnce, now, f)
			s.mu.Unlock()
			between()
		}
	}
}

// standings calls f with those who are held, some at a time; no lock is held meanwhile.
func (c *detection) standings(now int64, f func([]Standing)) {
	some := make([]Standing, 0, scanAtOnce*ways)
	c.scan(now, func(s *slot, l Level, _ uint64) {
		if l > None {
			some = append(some, Standing{s.key, s.origin, s.until, s.over})
		}
	}, func() {
		if len(some) > 0 {
			f(some)
			some = some[:0]
		}
	})
}

// Offenders returns the keys that are held for a level at least, n at most: the highest level first, then the longest. It looks at the
// whole table, a few places at a time, and remembers no more than twice n.
func (d *Detector) Offenders(least Level, n int, now int64) []Offender {
	w := worst[Offender]{n: n, compare: compareOffenders}
	d.cur.Load().scan(now, func(s *slot, l Level, count uint64) {
		if l >= max(least, Suspect) {
			w.add(Offender{s.key, l, s.until[l-1], s.origin.who(), count})
		}
	}, func() {})
	return w.all()
}

func compareOffenders(a, b Offender) int {
	return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(b.Until, a.Until))
}

// worst keeps the first n, in order, of those that are added.
type worst[T any] struct {
	n       int
	compare func(a, b T) int
	full    bool // n were found: who comes behind the last of them is none
	last    T
	list    []T
}

func (w *worst[T]) add(one T) {
	if w.full && w.compare(one, w.last) >= 0 {
		return
	}
	w.list = append(w.list, one)
	if len(w.list)-w.n >= max(w.n, ways) {
		w.all()
	}
}

// all returns those that are kept.
func (w *worst[T]) all() []T {
	slices.SortFunc(w.list, w.compare)
	if len(w.list) > w.n {
		w.list = w.list[:w.n]
	}
	if w.full = len(w.list) == w.n && w.n > 0; w.full {
		w.last = w.list[w.n-1]
	}
	return w.list
}

// Use looks at the whole table, a few places at a time.
func (d *Detector) Use(now int64) (u Use) {
	d.cur.Load().scan(now, func(_ *slot, l Level, _ uint64) { u.add(l) }, func() {})
	return u
}

func (u *Use) add(l Level) {
	u.Tracked++
	switch l {
	case Suspect:
		u.Suspects++
	case Hard:
		u.Hard++
	}
}
