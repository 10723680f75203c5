package console

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/bus"
)

// feed holds what the streams show: the last events, and the sections of the page with a number that grows when
// they change. Readers remember how far they are and ask for what came since, so that none needs a queue.
type feed struct {
	epoch string // tells this feed's positions from those of another process

	mu       sync.Mutex
	events   []bus.Event // oldest first, maxEvents at most
	known    map[string]bool
	last     uint64 // number of the newest event; they have no gaps
	sections sections
	version  uint64
	watchers map[chan struct{}]struct{}
}

// position is how far a reader is.
type position struct{ event, version uint64 }

func newFeed(now time.Time) *feed {
	return &feed{
		epoch: fmt.Sprintf("%x", now.UnixNano()), known: map[string]bool{}, watchers: map[chan struct{}]struct{}{},
	}
}

// add takes events that are not there yet.
func (f *feed) add(events ...bus.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.last
	for _, e := range events {
		f.addLocked(e)
	}
	if f.last != before {
		f.wakeLocked()
	}
}

func (f *feed) addLocked(e bus.Event) {
	id := eventID(e)
	if f.known[id] || f.agedLocked(e) {
		return
	}
	f.known[id] = true
	f.events = append(f.events, e)
	f.last++
	if len(f.events) > maxEvents {
		delete(f.known, eventID(f.events[0]))
		f.events[0] = bus.Event{}
		f.events = f.events[1:]
	}
}

// agedLocked tells an event that has been here and was pushed out: the daemon's own ring is longer than this one.
func (f *feed) agedLocked(e bus.Event) bool {
	return len(f.events) == maxEvents && e.Time.Before(f.events[0].Time)
}

// show takes the sections; what is the same as before wakes nobody.
func (f *feed) show(s sections) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == f.sections {
		return
	}
	f.sections = s
	f.version++
	f.wakeLocked()
}

// news is what a reader has not seen.
type news struct {
	position
	events   []bus.Event // oldest first
	all      bool        // events are all there are: what the reader had is out of date
	sections *sections   // nil: unchanged
}

// since returns what came after p. fresh means that p is of another process or was never set.
func (f *feed) since(p position, fresh bool) news {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := news{position: position{f.last, f.version}}
	missing := f.last - p.event
	if fresh || p.event > f.last || missing > uint64(len(f.events)) {
		n.all, missing = true, uint64(len(f.events))
	}
	n.events = append(n.events, f.events[len(f.events)-int(missing):]...)
	if f.version > 0 && (fresh || p.version != f.version) {
		s := f.sections
		n.sections = &s
	}
	return n
}

// recent returns the events, oldest first, and where the feed is.
func (f *feed) recent() ([]bus.Event, position) {
	n := f.since(position{}, true)
	return n.events, n.position
}

// watch returns a channel that gets a token when there may be news.
func (f *feed) watch() (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	f.watchers[c] = struct{}{}
	f.mu.Unlock()
	return c, func() {
		f.mu.Lock()
		delete(f.watchers, c)
		f.mu.Unlock()
	}
}

func (f *feed) wakeLocked() {
	for c := range f.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// id writes a position for Last-Event-ID.
func (f *feed) id(p position) string { return fmt.Sprintf("%s.%d.%d", f.epoch, p.event, p.version) }

// parse reads what id wrote; fresh is true where it is not of this feed.
func (f *feed) parse(id string) (p position, fresh bool) {
	epoch, rest, ok := strings.Cut(id, ".")
	if !ok || epoch != f.epoch {
		return position{}, true
	}
	if _, err := fmt.Sscanf(rest, "%d.%d", &p.event, &p.version); err != nil {
		return position{}, true
	}
	return p, false
}
