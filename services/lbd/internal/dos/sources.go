package dos

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Sources counts what each key has open, and refuses what goes beyond a bound. It has an entry for each key with something open, so it is
// bounded by what is open in all. Its methods may be called by any number of goroutines.
type Sources struct {
	seed    maphash.Seed
	bound   atomic.Int64
	_       [128]byte // what stands before is read by all, what follows written
	refused atomic.Uint64
	_       [128]byte
	shards  [maxShards]sources
}

type sources struct {
	mu   sync.Mutex
	open map[Key]int32
	_    [112]byte // as in shard
}

// NewSources returns a count of nothing, without a bound.
func NewSources() *Sources {
	s := &Sources{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].open = map[Key]int32{}
	}
	return s
}

// SetBound bounds what one key may have open from now on; 0: nothing does.
func (s *Sources) SetBound(n int) { s.bound.Store(int64(n)) }

// Enter counts one in; false if the key has its fill: then it is not counted, and must not Leave. Nobody is let in uncounted.
func (s *Sources) Enter(k Key) bool {
	if !k.Valid() {
		return true
	}
	h := s.shard(k)
	h.mu.Lock()
	n, bound := h.open[k], s.bound.Load()
	ok := bound == 0 || int64(n) < bound
	if ok {
		h.open[k] = n + 1
	}
	h.mu.Unlock()
	if !ok {
		s.refused.Add(1)
	}
	return ok
}

// Leave counts one out who was let in.
func (s *Sources) Leave(k Key) {
	if !k.Valid() {
		return
	}
	h := s.shard(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.open[k]; n > 1 {
		h.open[k] = n - 1
	} else {
		delete(h.open, k)
	}
}

func (s *Sources) shard(k Key) *sources { return &s.shards[k.hash(s.seed)%maxShards] }

// Bounded reports whether there is a bound.
func (s *Sources) Bounded() bool { return s.bound.Load() > 0 }

// Refused returns how often somebody was not let in.
func (s *Sources) Refused() uint64 { return s.refused.Load() }

// Keys returns how many keys have something open.
func (s *Sources) Keys() (n int) {
	for i := range s.shards {
		h := &s.shards[i]
		h.mu.Lock()
		n += len(h.open)
		h.mu.Unlock()
	}
	return n
}
