// Package health keeps a daemon's state of health as items with stable ids ("lbd.pool.no-backends") in place
// of log lines that repeat: each item has a level, since when, how often, what, and a hint for the operator.
// Readiness follows from the items that gate it.
//
// A change for the better shows at once. A change for the worse shows after Options.Visible, so that what mends itself
// in time is never seen; the level that shows is computed when it is read, and decides readiness too.
package health

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/shared/fault"
)

// Level orders how bad an item is.
type Level uint8

const (
	OK   Level = iota
	Warn       // works, but wants attention
	Fail       // does not work
)

// String returns "ok", "warn" or "fail".
func (l Level) String() string {
	switch l {
	case OK:
		return "ok"
	case Warn:
		return "warn"
	case Fail:
		return "fail"
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// MarshalText gives String's form, also in JSON.
func (l Level) MarshalText() ([]byte, error) {
	if l > Fail {
		return nil, fault.New(fault.Invalid, "health: no level %d", uint8(l))
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads what MarshalText wrote; anything else is fault.Invalid.
func (l *Level) UnmarshalText(b []byte) error {
	for _, v := range []Level{OK, Warn, Fail} {
		if string(b) == v.String() {
			*l = v
			return nil
		}
	}
	return fault.New(fault.Invalid, "health: level %q: want ok, warn or fail", b)
}

// Options of an item.
type Options struct {
	Title   string        // one line for people: "pool has no live member"
	Gates   bool          // while it shows Fail the daemon is not ready; Warn does not gate
	Pending bool          // starts as Fail "not yet known" rather than OK; this shows at once and does not count
	Visible time.Duration // a change for the worse shows only after it has lasted so long
}

// Status is a copy of an item's state.
type Status struct {
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Level   Level        `json:"level"` // JSON: "ok", "warn", "fail"
	Detail  string       `json:"detail,omitempty"`
	Hint    string       `json:"hint,omitempty"`
	Gates   bool         `json:"gates,omitempty"`
	Since   time.Time    `json:"since"` // when the level that shows began, not when it began to show
	Count   uint64       `json:"count"` // changes for the worse so far
	History []Transition `json:"history,omitempty"`
}

// Transition is one change of the level that shows, oldest first; an item keeps its last 20.
type Transition struct {
	At     time.Time `json:"at"` // as Status.Since
	Level  Level     `json:"level"`
	Detail string    `json:"detail,omitempty"`
}

// Item is one thing that can be well or not. Setting the level and detail it has is cheap and changes nothing.
// Safe for concurrent use. Detail and hint are cut at 1 KiB.
type Item struct {
	r *Registry // nil for an item the registry had no room for
	state
}

// OK says that it is well.
func (i *Item) OK() { i.Set(OK, "", "") }

// Warn says that it works, but wants attention: what is wrong, and what the operator may do.
func (i *Item) Warn(detail, hint string) { i.Set(Warn, detail, hint) }

// Fail says that it does not work.
func (i *Item) Fail(detail, hint string) { i.Set(Fail, detail, hint) }

// Set is OK, Warn or Fail by value.
func (i *Item) Set(l Level, detail, hint string) {
	if l > Fail {
		panic("BUG: health: " + i.id + ": no such level: " + l.String())
	}
	now := time.Now()
	i.mu.Lock()
	changed, wake := i.setLocked(now, l, note{cut(detail), cut(hint)})
	i.armLocked(now, wake)
	changed = changed && !i.removed
	i.mu.Unlock()
	if changed {
		i.r.notify()
	}
}

// armLocked has the watchers woken when a hidden change begins to show; the zero time means there is none.
func (i *Item) armLocked(now, wake time.Time) {
	if i.r == nil || wake.Equal(i.wake) {
		return
	}
	i.wake = wake
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
	if !wake.IsZero() && !i.removed {
		i.timer = time.AfterFunc(wake.Sub(now), i.shown)
	}
}

// shown runs when a hidden change is due to show.
func (i *Item) shown() {
	now := time.Now()
	i.mu.Lock()
	changed := i.settleLocked(now)
	i.armLocked(now, i.nextLocked(now))
	changed = changed && !i.removed
	i.mu.Unlock()
	if changed {
		i.r.notify()
	}
}

func (i *Item) remove() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.removed = true
	i.armLocked(time.Time{}, time.Time{})
}

func (i *Item) status(now time.Time, history bool) (s Status, changed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.statusLocked(now, history)
}

const maxText = 1 << 10

// cut bounds a text; a character that the bound would halve goes whole.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
