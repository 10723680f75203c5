package engine

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/arena"
	"github.com/everup/everup/services/cached/internal/evict"
)

// Store keeps items. Safe for concurrent use.
type Store struct {
	o       Options
	space   space
	pool    *pool
	shards  []*shard
	shift   uint          // of shardBits to a shard's number
	lastCAS atomic.Uint64 // the number given last
	flushAt atomic.Int64  // Unix second of a flush to come, 0 for none
	limit   atomic.Int64
	sweep   sweeper
	advisor *evict.Advisor

	recovery Recovery
	closed   atomic.Bool
}

const (
	smallPage = 14 // shift of a page's size below bigLimit
	largePage = 16
	bigLimit  = 16 << 20
	// LeastMemory is the smallest bound of memory, bytes.
	LeastMemory = 512 << 10
	// shardMemory is the memory that makes a shard worth its tables.
	shardMemory = 16 << 20
	maxShards   = 256
	// growFactor is how far beyond the first limit the reservation lets a store grow.
	growFactor = 8
	maxMemory  = 1 << 40 // handles of 32 bits reach it with 256-byte units; nobody has it
)

// Page 0 holds no items: its first half is the superblock of a file, then each shard has a place for an item's header on its way.
const (
	scratchAt   = 4 << 10
	scratchSize = 64
)

// layout is what the addresses in a store depend on.
type layout struct {
	unitShift uint // of the unit in bytes
	pageShift uint
	shards    int
	reserve   uint64 // bytes
}

// choose makes the layout for a new store.
func (o *Options) choose() layout {
	l := layout{unitShift: arena.UnitShift0, pageShift: smallPage}
	if o.Memory >= bigLimit {
		l.pageShift = largePage
	}
	for uint64(o.Memory) > 1<<32<<l.unitShift {
		l.unitShift++
	}
	reach := uint64(1) << 32 << l.unitShift
	l.reserve = min(max(uint64(o.Memory)*growFactor, 64<<20), reach)
	l.shards = o.Shards
	if l.shards == 0 {
		threads := o.Threads
		if threads <= 0 {
			threads = runtime.GOMAXPROCS(0)
		}
		l.shards = min(4*threads, int(o.Memory/shardMemory))
	}
	l.shards = min(max(l.shards, 1), maxShards, int(o.Memory/LeastMemory))
	l.shards = 1 << (bits.Len(uint(l.shards)) - 1)
	return l
}

// check completes the options and refuses what cannot be.
func (o *Options) check() error {
	if o.Memory < LeastMemory || o.Memory > maxMemory {
		return fmt.Errorf("engine: memory limit of %d bytes is not within %d and %d", o.Memory, LeastMemory, int64(maxMemory))
	}
	if o.MaxItem <= 0 {
		o.MaxItem = 1 << 20
	}
	o.MaxItem = min(o.MaxItem, 1<<30+4096)
	if o.Seed == 0 {
		o.Seed = rand.Uint64() | 1
	}
	return nil
}

// New returns an empty store, or, with Options.File, the one that Close left there; Recovery tells which. It fails when the file cannot be had
// for this process alone.
func New(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.File != "" {
		return newWarm(o)
	}
	l := o.choose()
	a, err := arena.Reserve(l.reserve, uint64(o.Memory)+1<<l.pageShift, l.unitShift)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	s, err := newStore(o, l, a)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return s, nil
}

// newStore makes an empty store in a.
func newStore(o Options, l layout, a *arena.Arena) (*Store, error) {
	s := &Store{o: o, space: space{a: a, seed: o.Seed, unit: 1 << l.unitShift}}
	s.pool = newPool(a, l.pageShift, l.shards)
	s.pool.overhead = int64(l.shards) * shardSize
	s.pool.memory = o.Memory
	s.pool.adjust()
	s.shift = uint(8 - bits.TrailingZeros(uint(l.shards)))
	if !s.pool.back(0) {
		return nil, errors.New("engine: no memory for the first page")
	}
	s.advisor = evict.NewAdvisor()
	for i := range l.shards {
		sh := &shard{store: s, heap: heap{
			space: s.space, pool: s.pool, owner: uint16(i),
			pageBits: l.pageShift - l.unitShift, mask: 1<<(l.pageShift-l.unitShift) - 1, least: s.space.fit(minChunk),
		}}
		sh.oneChunk = min(oneChunk, 1<<l.pageShift/6)
		sh.policy = s.newPolicy()
		s.shards = append(s.shards, sh)
	}
	if err := s.SetLimit(o.Memory); err != nil {
		return nil, err
	}
	for _, sh := range s.shards {
		sh.audit()
	}
	return s, nil
}

func (s *Store) newPolicy() *evict.Policy[space] {
	return evict.New(s.space, evict.Options{Capacity: uint64(s.pool.fair.Load()) << s.pool.shift, Advisor: s.advisor})
}

// shard is the shard of a key.
func (s *Store) shard(hash uint64) *shard { return s.shards[s.shardNumber(hash)] }

func (s *Store) shardNumber(hash uint64) uint64 { return shardBits(hash) >> s.shift }

// scratch is where sh may put a header for a moment.
func (s *Store) scratch(sh *shard) uint32 {
	return (scratchAt + scratchSize*uint32(sh.owner)) / s.space.unit
}

// number is n, or for 0 the next number of the store's counter.
func (s *Store) number(n uint64) uint64 {
	if n != 0 || s.o.NoCAS {
		return n
	}
	return s.lastCAS.Add(1)
}

// fits checks an item's size against the bound.
func (s *Store) fits(key, value int, flags uint32) error {
	if int64(ItemSize(key, value, flags, !s.o.NoCAS)) > s.o.MaxItem {
		return ErrTooLarge
	}
	return nil
}

// Limit is the bound of memory in bytes.
func (s *Store) Limit() int64 { return s.limit.Load() }

// MaxItem is the largest item in bytes, as ItemSize counts.
func (s *Store) MaxItem() int64 { return s.o.MaxItem }
