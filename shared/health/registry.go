package health

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MaxItems bounds a registry.
const MaxItems = 4096

// FullID is the item that a full registry shows by itself.
const FullID = "health.full"

// Registry holds a daemon's items, at most 4096. Safe for concurrent use.
//
// When it is full, Item still returns an item that can be set, but it is not kept: it neither shows nor gates. The
// registry then shows the item "health.full" as Warn until items are removed.
type Registry struct {
	mu       sync.Mutex // may be held when an item's mu is taken, not the other way round
	items    map[string]*Item
	refused  uint64
	fullAt   time.Time // since when it refuses; zero while it does not
	draining string

	watchMu  sync.Mutex // taken last
	watchers map[chan struct{}]struct{}
}

// NewRegistry returns a registry without items; it is ready.
func NewRegistry() *Registry {
	return &Registry{items: make(map[string]*Item), watchers: make(map[chan struct{}]struct{})}
}

// Item returns the item with the id, made on first use with o. An id asked for again is the same item; o is then
// ignored.
func (r *Registry) Item(id string, o Options) *Item {
	i, isNew := r.item(id, o)
	if isNew {
		r.notify()
	}
	return i
}

func (r *Registry) item(id string, o Options) (i *Item, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.items[id]; i != nil {
		return i, false
	}
	now := time.Now()
	i = &Item{state: state{id: id, opts: o}}
	i.startLocked(now)
	if len(r.items) >= MaxItems {
		r.refused++
		if r.fullAt.IsZero() {
			r.fullAt = now
		}
		return i, true
	}
	i.r = r
	r.items[id] = i
	return i, true
}

// Remove forgets an item (the pool it spoke of is gone). The item may still be set, without effect; the id asked for
// again is a new item.
func (r *Registry) Remove(id string) {
	r.mu.Lock()
	i := r.items[id]
	delete(r.items, id)
	r.fullAt = time.Time{}
	r.mu.Unlock()
	if i != nil {
		i.remove()
		r.notify()
	}
}

// Snapshot returns all items, worst first, then by id.
func (r *Registry) Snapshot() []Status {
	out := r.look(true)
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// look returns all items in no order; their histories are copied on demand only.
func (r *Registry) look(history bool) []Status {
	now := time.Now()
	r.mu.Lock()
	out := make([]Status, 0, len(r.items)+1)
	changed := false // by a look that came before the item's timer
	for _, i := range r.items {
		s, c := i.status(now, history)
		out, changed = append(out, s), changed || c
	}
	if !r.fullAt.IsZero() {
		out = append(out, r.fullLocked())
	}
	r.mu.Unlock()
	if changed {
		r.notify()
	}
	return out
}

func (r *Registry) fullLocked() Status {
	return Status{
		ID: FullID, Title: "too many health items", Level: Warn, Since: r.fullAt, Count: r.refused,
		Detail: fmt.Sprintf("%d items are kept; %d more were refused so far and neither show nor gate", MaxItems, r.refused),
		Hint:   "the configuration has more objects than one daemon can watch one by one",
	}
}

// Worst returns the worst visible level.
func (r *Registry) Worst() Level {
	worst := OK
	for _, s := range r.look(false) {
		worst = max(worst, s.Level)
	}
	return worst
}

// Ready reports whether traffic may come; reasons say why not, draining first, then by id.
func (r *Registry) Ready() (ok bool, reasons []string) {
	for _, s := range r.look(false) {
		if s.Gates && s.Level == Fail {
			reasons = append(reasons, reason(s))
		}
	}
	slices.Sort(reasons) // they start with the ids
	if why := r.drainReason(); why != "" {
		reasons = slices.Insert(reasons, 0, "draining: "+why)
	}
	return len(reasons) == 0, reasons
}

func reason(s Status) string {
	text := s.ID
	if s.Title != "" {
		text += ": " + s.Title
	}
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	return text
}

func (r *Registry) drainReason() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// SetDraining makes the daemon not ready for the given reason until the process ends. The last reason given shows.
func (r *Registry) SetDraining(reason string) {
	r.mu.Lock()
	r.draining = cut(cmp.Or(reason, "no reason given"))
	r.mu.Unlock()
	r.notify()
}

// Watch returns a channel that gets a token after any change of what shows (coalesced: look again), and its cancel.
// cancel may be called more than once; it does not close the channel.
func (r *Registry) Watch() (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	r.watchers[c] = struct{}{}
	return c, func() {
		r.watchMu.Lock()
		defer r.watchMu.Unlock()
		delete(r.watchers, c)
	}
}

// notify leaves a token with every watcher that has none. A nil registry has no watchers.
func (r *Registry) notify() {
	if r == nil {
		return
	}
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	for c := range r.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
