package limit

import (
	"cmp"
	"slices"

	"github.com/everup/everup/shared/fault"
)

// Bounds of a TopK.
const (
	MaxTop   = 1 << 16 // keys
	MaxLabel = 250     // bytes kept of a label
)

// TopK finds the heaviest keys of a stream by the space-saving algorithm (Metwally, Agrawal and El Abbadi, ICDT 2005)
// with k counters. A key that makes up more than 1/k of the total is always among them; a count is too high by its
// Error at most, and that is at most 1/k of the total. A new key takes the place and the count of the least.
type TopK struct {
	entries []entry
	heap    []int32 // indices of entries, the least count first
	index   []int32 // open addressing by key: index of an entry + 1, 0 for none
	total   uint64
}

type entry struct {
	key           uint64
	count, excess uint64
	at            int32 // in heap
	label         []byte
}

// Heavy is one of the heaviest keys.
type Heavy struct {
	Key   uint64
	Label string
	Count uint64 // the true count is between Count-Error and Count
	Error uint64
}

// NewTopK returns a tracker of k keys, 1 to MaxTop.
func NewTopK(k int) (*TopK, error) {
	if k < 1 || k > MaxTop {
		return nil, fault.New(fault.Invalid, "limit: top %d is not within 1 and %d", k, MaxTop)
	}
	return &TopK{
		entries: make([]entry, 0, k),
		heap:    make([]int32, 0, k),
		index:   make([]int32, ceilPow2(2*k)),
	}, nil
}

// Add counts the key n times more. The label, cut at MaxLabel bytes, is copied when the key is not among the tracked.
// Once every counter has held labels of full length, it allocates nothing.
func (t *TopK) Add(key uint64, label []byte, n uint64) {
	if n == 0 {
		return
	}
	t.total = addCapped64(t.total, n)
	slot := t.find(key)
	switch {
	case t.index[slot] != 0:
		e := &t.entries[t.index[slot]-1]
		e.count = addCapped64(e.count, n)
		t.sink(int(e.at))
	case len(t.entries) < cap(t.entries):
		i := int32(len(t.entries))
		t.entries = append(t.entries, entry{key: key, count: n, at: i})
		t.entries[i].setLabel(label)
		t.index[slot] = i + 1
		t.heap = append(t.heap, i)
		t.rise(int(i))
	default:
		t.replace(key, label, n)
	}
}

// replace gives the least entry to another key.
func (t *TopK) replace(key uint64, label []byte, n uint64) {
	i := t.heap[0]
	e := &t.entries[i]
	t.unindex(e.key)
	e.key, e.excess = key, e.count
	e.count = addCapped64(e.count, n)
	e.setLabel(label)
	t.index[t.find(key)] = i + 1
	t.sink(0)
}

func (e *entry) setLabel(label []byte) {
	e.label = append(e.label[:0], label[:min(len(label), MaxLabel)]...)
}

// Top returns the n heaviest tracked keys, the heaviest first, those of one count by key.
func (t *TopK) Top(n int) []Heavy {
	all := make([]Heavy, 0, len(t.entries))
	for _, e := range t.entries {
		if e.count > 0 {
			all = append(all, Heavy{e.key, string(e.label), e.count, e.excess})
		}
	}
	slices.SortFunc(all, func(a, b Heavy) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return all[:max(0, min(n, len(all)))]
}

// Count returns the key's count and its error; ok is false for a key that is not tracked.
func (t *TopK) Count(key uint64) (count, excess uint64, ok bool) {
	i := t.index[t.find(key)]
	if i == 0 {
		return 0, 0, false
	}
	return t.entries[i-1].count, t.entries[i-1].excess, true
}

// Total returns the sum of all counts.
func (t *TopK) Total() uint64 { return t.total }

// Decay halves every count, rounding down, so that the past weighs less. The order stays.
func (t *TopK) Decay() {
	for i := range t.entries {
		e := &t.entries[i]
		e.count /= 2
		e.excess = min(e.excess-e.excess/2, e.count) // rounded up: the bound must hold
	}
	t.total /= 2
}

// find returns the place of the key in the index, or the free one where it belongs.
func (t *TopK) find(key uint64) int {
	mask := len(t.index) - 1
	for slot := int(mix(key)) & mask; ; slot = (slot + 1) & mask {
		if i := t.index[slot]; i == 0 || t.entries[i-1].key == key {
			return slot
		}
	}
}

// unindex removes the key and moves later ones of its run up, so that no run has a gap.
func (t *TopK) unindex(key uint64) {
	mask := len(t.index) - 1
	gap := t.find(key)
	t.index[gap] = 0
	for slot := (gap + 1) & mask; t.index[slot] != 0; slot = (slot + 1) & mask {
		home := int(mix(t.entries[t.index[slot]-1].key)) & mask
		if (slot-home)&mask >= (slot-gap)&mask {
			t.index[gap], t.index[slot] = t.index[slot], 0
			gap = slot
		}
	}
}

func (t *TopK) less(a, b int) bool { return t.entries[t.heap[a]].count < t.entries[t.heap[b]].count }

func (t *TopK) swap(a, b int) {
	t.heap[a], t.heap[b] = t.heap[b], t.heap[a]
	t.entries[t.heap[a]].at, t.entries[t.heap[b]].at = int32(a), int32(b)
}

func (t *TopK) rise(i int) {
	for i > 0 && t.less(i, (i-1)/2) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *TopK) sink(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(t.heap); c++ {
			if t.less(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
