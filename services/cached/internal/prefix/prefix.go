// Package prefix counts commands by the prefix of their keys, for memcached's `stats detail`.
//
// The table is bounded: what comes when it is full is counted for no prefix, and Dropped says how often. While it is off
// a command costs one atomic load. Safe for concurrent use.
package prefix

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// Max is the number of prefixes that are counted.
const Max = 1 << 16

// Table is the counts by prefix. The zero Table is off and splits keys at ':'.
type Table struct {
	on      atomic.Bool
	dropped atomic.Uint64
	// Delimiter ends a prefix; 0 stands for ':'. Set before the first use.
	Delimiter byte

	mu     sync.Mutex
	counts map[string]*count
}

type count struct{ get, hit, set, del uint64 }

// On reports whether commands are counted.
func (t *Table) On() bool { return t.on.Load() }

// Enable turns the counting on or off; the counts stay.
func (t *Table) Enable(on bool) { t.on.Store(on) }

// Dropped is the number of commands whose prefix found no room.
func (t *Table) Dropped() uint64 { return t.dropped.Load() }

// Get counts a look-up of key.
func (t *Table) Get(key []byte, hit bool) {
	t.count(key, func(c *count) {
		c.get++
		if hit {
			c.hit++
		}
	})
}

// Set counts a store of key, whether it succeeded or not.
func (t *Table) Set(key []byte) { t.count(key, func(c *count) { c.set++ }) }

// Delete counts a delete of key, whether it was there or not.
func (t *Table) Delete(key []byte) { t.count(key, func(c *count) { c.del++ }) }

// count calls f for key's prefix; a key without the delimiter has none.
func (t *Table) count(key []byte, f func(c *count)) {
	d := t.Delimiter
	if d == 0 {
		d = ':'
	}
	i := bytes.IndexByte(key, d)
	if i < 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts[string(key[:i])]
	if c == nil {
		if len(t.counts) >= Max {
			t.dropped.Add(1)
			return
		}
		if t.counts == nil {
			t.counts = map[string]*count{}
		}
		c = new(count)
		t.counts[string(key[:i])] = c
	}
	f(c)
}

// Reset forgets all counts.
func (t *Table) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts = nil
}

// AppendDump appends the answer to `stats detail dump`: a line for each prefix, sorted, and END.
func (t *Table) AppendDump(dst []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.counts))
	for name := range t.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := t.counts[name]
		dst = append(append(dst, "PREFIX "...), name...)
		dst = strconv.AppendUint(append(dst, " get "...), c.get, 10)
		dst = strconv.AppendUint(append(dst, " hit "...), c.hit, 10)
		dst = strconv.AppendUint(append(dst, " set "...), c.set, 10)
		dst = strconv.AppendUint(append(dst, " del "...), c.del, 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "END\r\n"...)
}
