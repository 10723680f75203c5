package dos

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Default is the name of a detector that has been given none.
const Default = "default"

// Named are the options of a detector of a Set.
type Named struct {
	Name string
	Options
}

// Set is detectors by name, each with a table of its own. Its methods may be called by any number of goroutines.
type Set struct {
	feeds feeds
	mu    sync.Mutex // one Configure at a time
	list  atomic.Pointer[[]*Detector]
}

// Configure has these detectors, in this order, and returns them. One that was there by its name goes on as Detector.Configure says; one
// that is not named forgets all.
func (s *Set) Configure(list []Named, now int64) []*Detector {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Detector, len(list))
	for i, n := range list {
		if out[i] = s.Get(n.Name); out[i] == nil {
			out[i] = newDetector(n.Name, &s.feeds)
		}
		out[i].Configure(n.Options, now)
	}
	old := s.All()
	s.list.Store(&out)
	for _, d := range old {
		if !slices.Contains(out, d) {
			d.Off()
		}
	}
	return out
}

// All returns the detectors in order. They are not to be changed.
func (s *Set) All() []*Detector {
	if l := s.list.Load(); l != nil {
		return *l
	}
	return nil
}

// Get returns the detector of a name, nil if there is none.
func (s *Set) Get(name string) *Detector {
	for _, d := range s.All() {
		if d.name == name {
			return d
		}
	}
	return nil
}

// Follow returns a feed of at most so many changes that wait, of all detectors. Close it.
func (s *Set) Follow(bound int) *Feed { return s.feeds.follow(bound) }

// Changes returns a number that differs when a level has changed or was prolonged since.
func (s *Set) Changes() (n uint64) {
	for _, d := range s.All() {
		n += d.Changes()
	}
	return n
}
