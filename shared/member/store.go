package member

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Bounds of the replicated state.
const (
	maxKeys    = 1024           // live keys
	maxKeyLen  = 255            // bytes of a key
	maxValue   = 64 << 10       // bytes of a value
	maxState   = 4 << 20        // bytes of all live keys and values
	forgetTime = 24 * time.Hour // tombstones, and members that died or left
)

// record is one replicated value with its time and writer. Records are values: Value is never written to.
type record struct {
	Key     string
	Value   []byte
	Deleted bool
	At      stamp
	By      ID
}

func (r record) size() int { return len(r.Key) + len(r.Value) }

// compare orders records of one key in time. It is a total order, so that merging by the greater one is
// commutative, associative and idempotent: records that compare equal are equal.
func (r record) compare(o record) int {
	return cmp.Or(
		cmp.Compare(r.At, o.At),
		cmp.Compare(r.By, o.By),
		boolCompare(r.Deleted, o.Deleted),
		bytes.Compare(r.Value, o.Value),
	)
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// store is a last-writer-wins map. Safe for concurrent use.
type store struct {
	mu      sync.RWMutex
	records map[string]record
	live    int // records that are not tombstones
	bytes   int // of the live ones
}

func newStore() *store { return &store{records: map[string]record{}} }

// put adds a local write if the bounds allow it.
func (s *store) put(r record) error {
	if err := checkRecord(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, had := s.records[r.Key]
	if !r.Deleted {
		keys, size := s.live, s.bytes+r.size()
		if had && !old.Deleted {
			size -= old.size()
		} else {
			keys++
		}
		if keys > maxKeys {
			return fault.New(fault.Full, "member: put %q: the fleet's state holds %d keys already", r.Key, s.live)
		}
		if size > maxState {
			return fault.New(fault.Full, "member: put %q: the fleet's state would grow beyond %d bytes", r.Key, maxState)
		}
	}
	s.setLocked(r)
	s.trimLocked()
	return nil
}

// checkRecord reports what makes a record unfit for the state whatever else it holds.
func checkRecord(r record) error {
	switch {
	case r.Key == "" || len(r.Key) > maxKeyLen:
		return fault.New(fault.Invalid, "member: put: a key has 1 to %d bytes, not %d", maxKeyLen, len(r.Key))
	case len(r.Value) > maxValue:
		return fault.New(fault.Full, "member: put %q: %d bytes are more than the %d of a value", r.Key, len(r.Value), maxValue)
	}
	return nil
}

// merge takes over the records that are newer than ours and returns those that stay. Where two sides of a partition wrote more
// than the bounds allow together, the oldest live records go, on every member alike.
func (s *store) merge(rs []record) (taken []record, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rs {
		if old, ok := s.records[r.Key]; ok && r.compare(old) <= 0 {
			continue
		}
		s.setLocked(r)
		taken = append(taken, r)
	}
	if len(taken) == 0 {
		return nil, 0
	}
	if dropped = s.trimLocked(); dropped > 0 {
		// What is dropped at once must not be sent on: members would send it to each other for ever.
		taken = slices.DeleteFunc(taken, func(r record) bool { return s.records[r.Key].At != r.At })
	}
	return taken, dropped
}

func (s *store) setLocked(r record) {
	s.dropLocked(r.Key)
	s.records[r.Key] = r
	if !r.Deleted {
		s.live++
		s.bytes += r.size()
	}
}

func (s *store) dropLocked(key string) {
	if old, ok := s.records[key]; ok && !old.Deleted {
		s.live--
		s.bytes -= old.size()
	}
	delete(s.records, key)
}

// trimLocked brings live records and tombstones within their bounds, the newest staying. Which stay depends on the
// set of records alone, so that all members end with the same.
func (s *store) trimLocked() (dropped int) {
	if s.live <= maxKeys && s.bytes <= maxState && len(s.records)-s.live <= maxKeys {
		return 0
	}
	rs := slices.SortedFunc(maps.Values(s.records), func(a, b record) int {
		return cmp.Or(b.compare(a), cmp.Compare(a.Key, b.Key))
	})
	live, tombs, size := 0, 0, 0
	for _, r := range rs {
		keep := false
		if r.Deleted {
			tombs++
			keep = tombs <= maxKeys
		} else {
			live++
			size += r.size()
			keep = live <= maxKeys && size <= maxState
		}
		if !keep {
			s.dropLocked(r.Key)
			dropped++
		}
	}
	return dropped
}

// expire forgets tombstones older than forgetTime, and of a store of intents (all) every record of that age.
func (s *store) expire(now time.Time, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.records {
		if (r.Deleted || all) && now.Sub(r.At.time()) > forgetTime {
			s.dropLocked(key)
		}
	}
}

func (s *store) get(key string) (record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.records[key]
	return r, ok
}

// all returns every record, tombstones too, in no order.
func (s *store) all() []record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.records))
}

// entries returns the live records whose key has the prefix, sorted by key.
func (s *store) entries(prefix string) []Entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Entry
	for key, r := range s.records {
		if !r.Deleted && strings.HasPrefix(key, prefix) {
			out = append(out, r.entry())
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (s *store) sizes() (keys, size int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.live, s.bytes
}

func (r record) entry() Entry {
	node, _ := r.By.split()
	e := Entry{Key: r.Key, Time: r.At.time(), By: node}
	if !r.Deleted {
		e.Value = append([]byte{}, r.Value...)
	}
	return e
}
