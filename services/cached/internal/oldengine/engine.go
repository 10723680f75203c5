// Package engine holds cached's items: a map and a recency list under one lock, bounded in bytes.
//
// This is the plain engine of the ground floor: correct and bounded, not yet lean or fast. Time comes in with every call, in
// seconds since 1970, so that expiry is tested without waiting. Values handed out are never changed afterwards: a reply in
// flight keeps the value it started with.
package oldengine

import (
	"container/list"
	"slices"
	"strconv"
	"sync"
)

// overhead is what an item costs beyond its key and value: entry, list element, map slot and allocator rounding, as
// measured by TestMemoryIsHonest.
const overhead = 176

// Item is what a client stored.
type Item struct {
	Value   []byte // never changed once stored
	Flags   uint32
	Expires int64 // Unix seconds; 0 never
	CAS     uint64
}

// Result of a change.
type Result uint8

const (
	Stored Result = iota
	NotStored
	Exists
	NotFound
	TooLarge
	NotNumeric
)

// Stats are the engine's counters since the start and its sizes now.
type Stats struct {
	Items      int    `json:"curr_items"`
	Total      uint64 `json:"total_items"`
	Bytes      int64  `json:"bytes"`
	Limit      int64  `json:"limit_maxbytes"`
	Evictions  uint64 `json:"evictions"`
	Reclaimed  uint64 `json:"reclaimed"` // expired items whose memory was taken back
	Flushes    uint64 `json:"cmd_flush"`
	GetHits    uint64 `json:"get_hits"`
	GetMisses  uint64 `json:"get_misses"`
	GetExpired uint64 `json:"get_expired"`
}

type entry struct {
	key string
	Item
}

// size counts a value's capacity: the allocator rounds up, by a quarter at worst.
func (e *entry) size() int64 { return int64(len(e.key)+cap(e.Value)) + overhead }

// Store is the cache. Safe for concurrent use.
type Store struct {
	maxItem int64

	mu      sync.Mutex
	items   map[string]*list.Element // of *entry
	recent  *list.List               // front: used last
	limit   int64
	bytes   int64
	cas     uint64
	flushAt int64 // 0: none; everything stored before it dies when it comes
	stats   Stats
}

// New returns an empty store that keeps at most limit bytes, key, value and overhead together, and refuses values above maxItem.
func New(limit, maxItem int64) *Store {
	return &Store{maxItem: maxItem, limit: limit, items: map[string]*list.Element{}, recent: list.New()}
}

// MaxItem returns the largest value in bytes.
func (s *Store) MaxItem() int64 { return s.maxItem }

// SetLimit changes the bound in bytes; what does not fit any more is evicted at once.
func (s *Store) SetLimit(limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.shrinkLocked()
}

// Get returns the item and makes it the most recently used.
func (s *Store) Get(now int64, key []byte) (Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, expired := s.findLocked(now, key)
	switch {
	case e != nil:
		s.stats.GetHits++
		return e.Item, true
	case expired:
		s.stats.GetExpired++
	}
	s.stats.GetMisses++
	return Item{}, false
}

// Touch changes when the item dies and returns it as it is then. Neither gat nor touch counts as a get, as with memcached.
func (s *Store) Touch(now int64, key []byte, expires int64) (Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.findLocked(now, key)
	if e == nil {
		return Item{}, false
	}
	e.Expires = expires
	return e.Item, true
}

// Mode of a Set.
type Mode uint8

const (
	Set Mode = iota
	Add
	Replace
	Append
	Prepend
	CAS
)

// Set stores it under key as mode asks; it owns it.Value from then on. For CAS, it.CAS is the value the client saw.
func (s *Store) Set(now int64, mode Mode, key []byte, it Item) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, _ := s.findLocked(now, key)
	switch mode {
	case Add:
		if old != nil {
			return NotStored
		}
	case Replace, Append, Prepend:
		if old == nil {
			return NotStored
		}
	case CAS:
		if old == nil {
			return NotFound
		}
		if old.CAS != it.CAS {
			return Exists
		}
	}
	switch mode {
	case Append:
		it = Item{Value: concat(old.Value, it.Value), Flags: old.Flags, Expires: old.Expires}
	case Prepend:
		it = Item{Value: concat(it.Value, old.Value), Flags: old.Flags, Expires: old.Expires}
	}
	return s.putLocked(key, it)
}

func concat(a, b []byte) []byte {
	return append(append(slices.Grow([]byte(nil), len(a)+len(b)), a...), b...)
}

// Refuse forgets key, because a newer value was sent that cannot be stored: an old one must not live on in its place.
func (s *Store) Refuse(key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if el := s.items[string(key)]; el != nil {
		s.removeLocked(el)
	}
}

// Delete forgets key and reports whether it was there.
func (s *Store) Delete(now int64, key []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.findLocked(now, key)
	if e == nil {
		return false
	}
	s.removeLocked(s.items[e.key])
	return true
}

// Add64 adds delta to a decimal value, or subtracts it: up wraps at 2^64, down stops at 0. A shorter number is padded with
// spaces to the old length, as memcached does.
func (s *Store) Add64(now int64, key []byte, delta uint64, down bool) (uint64, Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.findLocked(now, key)
	if e == nil {
		return 0, NotFound
	}
	n, ok := number(e.Value)
	if !ok {
		return 0, NotNumeric
	}
	switch {
	case !down:
		n += delta
	case delta > n:
		n = 0
	default:
		n -= delta
	}
	text := strconv.AppendUint(make([]byte, 0, 20), n, 10)
	for len(text) < len(e.Value) {
		text = append(text, ' ')
	}
	return n, s.putLocked(key, Item{Value: text, Flags: e.Flags, Expires: e.Expires})
}

// number reads a value as incr does: digits, then perhaps the spaces an earlier decr left.
func number(v []byte) (uint64, bool) {
	end := len(v)
	for end > 0 && v[end-1] == ' ' {
		end--
	}
	if end == 0 || end > 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v[:end]), 10, 64)
	return n, err == nil && v[0] != '+'
}

// Flush forgets everything stored before at; at or before now means at once.
func (s *Store) Flush(now, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Flushes++
	if at > now {
		s.flushAt = at
		return
	}
	s.flushAt = 0
	s.clearLocked()
}

// Expire takes back the memory of up to n dead items, oldest used first, and reports how many it looked at.
func (s *Store) Expire(now int64, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushDueLocked(now)
	looked := 0
	for el := s.recent.Back(); el != nil && looked < n; looked++ {
		prev := el.Prev()
		if dead(el.Value.(*entry), now) {
			s.stats.Reclaimed++
			s.removeLocked(el)
		}
		el = prev
	}
	return looked
}

// Stats returns a copy of the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Items, st.Bytes, st.Limit = len(s.items), s.bytes, s.limit
	return st
}

func dead(e *entry, now int64) bool { return e.Expires != 0 && e.Expires <= now }

func (s *Store) flushDueLocked(now int64) {
	if s.flushAt != 0 && now >= s.flushAt {
		s.flushAt = 0
		s.clearLocked()
	}
}

func (s *Store) clearLocked() {
	clear(s.items)
	s.recent.Init()
	s.bytes = 0
}

// findLocked returns a live entry, made the most recently used; expired tells that there was one that is dead now.
func (s *Store) findLocked(now int64, key []byte) (e *entry, expired bool) {
	s.flushDueLocked(now)
	el := s.items[string(key)]
	if el == nil {
		return nil, false
	}
	e = el.Value.(*entry)
	if dead(e, now) {
		s.stats.Reclaimed++
		s.removeLocked(el)
		return nil, true
	}
	s.recent.MoveToFront(el)
	return e, false
}

func (s *Store) putLocked(key []byte, it Item) Result {
	if int64(len(it.Value)) > s.maxItem {
		return TooLarge
	}
	if el := s.items[string(key)]; el != nil {
		s.removeLocked(el)
	}
	s.cas++
	it.CAS = s.cas
	e := &entry{key: string(key), Item: it}
	if e.size() > s.limit {
		return TooLarge
	}
	s.items[e.key] = s.recent.PushFront(e)
	s.bytes += e.size()
	s.stats.Total++
	s.shrinkLocked()
	return Stored
}

// shrinkLocked evicts from the least recently used end until the bound holds.
func (s *Store) shrinkLocked() {
	for s.bytes > s.limit {
		s.stats.Evictions++
		s.removeLocked(s.recent.Back())
	}
}

func (s *Store) removeLocked(el *list.Element) {
	e := s.recent.Remove(el).(*entry)
	delete(s.items, e.key)
	s.bytes -= e.size()
}
