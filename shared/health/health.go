// Package health keeps a daemon's state of health as items with stable ids ("lbd.pool.no-backends") in place
// of log lines that repeat: each item has a level, since when, how often, what, and a hint for the operator.
// Readiness follows from the items that gate it.
package health

import "time"

// Level orders how bad an item is.
type Level uint8

const (
	OK   Level = iota
	Warn       // works, but wants attention
	Fail       // does not work
)

// Options of an item.
type Options struct {
	Title   string        // one line for people: "pool has no live member"
	Gates   bool          // while not OK (Fail) the daemon is not ready
	Pending bool          // starts as Fail "not yet known" rather than OK
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
	Since   time.Time    `json:"since"`
	Count   uint64       `json:"count"` // changes for the worse so far
	History []Transition `json:"history,omitempty"`
}

// Transition is one change of level; an item keeps its last 20.
type Transition struct {
	At     time.Time `json:"at"`
	Level  Level     `json:"level"`
	Detail string    `json:"detail,omitempty"`
}

// Registry holds a daemon's items, at most 4096. Safe for concurrent use.
type Registry struct{}

func NewRegistry() *Registry { panic("skeleton") }

// Item returns the item with the id, made on first use with o.
func (r *Registry) Item(id string, o Options) *Item { panic("skeleton") }

// Remove forgets an item (the pool it spoke of is gone).
func (r *Registry) Remove(id string) { panic("skeleton") }

// Snapshot returns all items, worst first, then by id.
func (r *Registry) Snapshot() []Status { panic("skeleton") }

// Worst returns the worst visible level.
func (r *Registry) Worst() Level { panic("skeleton") }

// Ready reports whether traffic may come; reasons say why not.
func (r *Registry) Ready() (ok bool, reasons []string) { panic("skeleton") }

// SetDraining makes the daemon not ready for the given reason until the process ends.
func (r *Registry) SetDraining(reason string) { panic("skeleton") }

// Watch returns a channel that gets a token after any change (coalesced: look again), and its cancel.
func (r *Registry) Watch() (changed <-chan struct{}, cancel func()) { panic("skeleton") }

// Item is one thing that can be well or not. Setting the level and detail it has is cheap and changes nothing.
type Item struct{}

func (i *Item) OK()                      { panic("skeleton") }
func (i *Item) Warn(detail, hint string) { panic("skeleton") }
func (i *Item) Fail(detail, hint string) { panic("skeleton") }

// Set is OK, Warn or Fail by value.
func (i *Item) Set(l Level, detail, hint string) { panic("skeleton") }
