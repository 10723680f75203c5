package dos

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Change is a level that has risen, is prolonged (Before is Level), was taken back or lifted. A level that ends by itself is not told: Until says when.
type Change struct {
	Detector string
	Key      Key
	Before   Level
	Level    Level
	Until    int64 // of Level
	Count    uint64
	By       Origin // who has made the change
}

// feeds are those who follow.
type feeds struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*Feed]
}

func (f *feeds) tell(c Change) {
	list := f.list.Load()
	if list == nil {
		return
	}
	for _, one := range *list {
		one.add(c)
	}
}

// set replaces the list by what change makes of a copy.
func (f *feeds) set(change func([]*Feed) []*Feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Feed
	if old := f.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	f.list.Store(&list)
}

// Feed is a queue of changes for one who follows the detectors of a Set. When it is full further changes are left out, and Take says so.
type Feed struct {
	of    *feeds
	bound int
	wake  chan struct{}

	mu   sync.Mutex
	list []Change
	lost bool
}

// follow returns a feed of at most so many changes that wait.
func (f *feeds) follow(bound int) *Feed {
	one := &Feed{of: f, bound: bound, wake: make(chan struct{}, 1)}
	f.set(func(l []*Feed) []*Feed { return append(l, one) })
	return one
}

// Close ends the feed.
func (f *Feed) Close() {
	f.of.set(func(l []*Feed) []*Feed { return slices.DeleteFunc(l, func(o *Feed) bool { return o == f }) })
}

// Wake tells that there is something to Take.
func (f *Feed) Wake() <-chan struct{} { return f.wake }

// Take returns at most n changes that wait, in order. lost says that some were left out since the last one: Offenders tells what holds now.
func (f *Feed) Take(n int) (changes []Change, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(n, len(f.list))
	changes, lost = f.list[:n:n], f.lost
	if f.list, f.lost = f.list[n:], false; len(f.list) == 0 {
		f.list = nil
	} else {
		f.ring()
	}
	return changes, lost
}

func (f *Feed) add(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) >= f.bound {
		f.lost = true
		return
	}
	f.list = append(f.list, c)
	f.ring()
}

func (f *Feed) ring() {
	select {
	case f.wake <- struct{}{}:
	default: // it is told already
	}
}
