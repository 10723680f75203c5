package health

import (
	"slices"
	"sync"
	"time"
)

// historySize bounds an item's transitions.
const historySize = 20

// note is what is told with a level.
type note struct{ detail, hint string }

// state is an item without clocks: every method is told the time, which must not run backwards.
//
// since[l] tells from when on the item has been at level l or worse without a break; so the level that shows at a time t
// is the worst l with since[l]+visible not after t, and needs no timer.
type state struct {
	id   string
	opts Options

	mu      sync.Mutex
	level   Level // as last set
	since   [Fail + 1]time.Time
	notes   [Fail + 1]note // as last told with each level
	seen    Level          // the level that showed at the last look
	seenAt  time.Time      // since when, in the sense of Status.Since
	count   uint64
	history []Transition
	removed bool
	wake    time.Time // when timer fires
	timer   *time.Timer
}

// startLocked sets the first level.
func (s *state) startLocked(now time.Time) {
	s.seenAt = now
	if !s.opts.Pending {
		return
	}
	s.level, s.seen = Fail, Fail
	s.notes[Fail].detail = "not yet known"
	for l := Warn; l <= Fail; l++ {
		s.since[l] = now.Add(-s.opts.Visible) // shows at once
	}
	s.record(now)
}

// setLocked takes a new level and note. changed tells whether what shows is different now, wake when a hidden
// change will show (zero: there is none).
func (s *state) setLocked(now time.Time, l Level, n note) (changed bool, wake time.Time) {
	changed = s.settleLocked(now)
	told := s.notes[l] != n
	if l == s.level && !told {
		return changed, s.nextLocked(now)
	}
	for v := s.level + 1; v <= l; v++ {
		s.since[v] = now
	}
	s.level = l
	s.notes[l] = n
	if s.settleLocked(now) || told && l == s.seen {
		changed = true
	}
	return changed, s.nextLocked(now)
}

// showsLocked returns the level that shows at the time now.
func (s *state) showsLocked(now time.Time) Level {
	for l := s.level; l > OK; l-- {
		if !now.Before(s.since[l].Add(s.opts.Visible)) {
			return l
		}
	}
	return OK
}

// settleLocked records the changes of the level that shows since the last look, in order.
func (s *state) settleLocked(now time.Time) (changed bool) {
	to := s.showsLocked(now)
	if to < s.seen {
		s.seen, s.seenAt = to, now
		s.record(now)
		return true
	}
	for l := s.seen + 1; l <= to; l++ {
		if l < to && s.since[l].Equal(s.since[l+1]) {
			continue // passed through, never there
		}
		s.seen, s.seenAt = l, s.since[l]
		s.count++
		s.record(s.since[l])
		changed = true
	}
	return changed
}

// nextLocked returns when a hidden change will show next, or the zero time.
func (s *state) nextLocked(now time.Time) time.Time {
	shows := s.showsLocked(now)
	if shows == s.level {
		return time.Time{}
	}
	return s.since[shows+1].Add(s.opts.Visible)
}

func (s *state) record(at time.Time) {
	if len(s.history) == historySize {
		s.history = slices.Delete(s.history, 0, 1)
	}
	s.history = append(s.history, Transition{At: at, Level: s.seen, Detail: s.notes[s.seen].detail})
}

func (s *state) statusLocked(now time.Time, history bool) (st Status, changed bool) {
	changed = s.settleLocked(now)
	st = Status{
		ID: s.id, Title: s.opts.Title, Level: s.seen, Gates: s.opts.Gates,
		Detail: s.notes[s.seen].detail, Hint: s.notes[s.seen].hint,
		Since: s.seenAt, Count: s.count,
	}
	if history {
		st.History = slices.Clone(s.history)
	}
	return st, changed
}
