package engine

import (
	"math/bits"

	"github.com/everup/everup/services/cached/internal/arena"
)

// index finds a shard's items: a table of lines of a cache line each, without pointers. A key has two lines, its first and its second choice,
// so that lines can be 88 % full without chains: a look-up reads one line mostly, never more than two. When both are full, an item that is
// in its first line goes to its second (never the other way round: a scan looks at first choices, then at second ones, and must not miss
// an item that moves).
//
// A line is found by scaling a part of the hash to the number of lines, which may be any number: a table grows by an eighth and not by
// doubling. Lines keep the order of the hash, so a resize moves lines from the lowest on, a few with each store, and gives the old
// pages back as it goes: there is neither a stall nor a moment with two tables. front says how far it has come.
type index struct {
	cur, next table
	front     uint32 // lines of cur below it have moved to next; 0 when no resize is on
	items     int
}

// table is a number of lines in pages.
type table struct {
	n   uint32
	dir []uint32 // page numbers, 0 where the page was given back or not yet needed
}

const (
	lineSlots = 12
	lineSize  = 64
	lineLog   = 6
)

// line is one cache line of the index. Its first n slots are in use.
type line struct {
	tags8 uint64 // of slots 0 to 7
	tags4 uint32 // of slots 8 to 11
	n     uint8
	_     [3]uint8
	item  [lineSlots]uint32
}

const (
	ones64 = 0x0101010101010101
	tops64 = 0x8080808080808080
	ones32 = 0x01010101
	tops32 = 0x80808080
)

// match returns bits 8·i+7 of the slots whose tag may be t; slots from 8 on in the second word. Tags that match only by a carry are possible, misses are not.
func (l *line) match(t uint8) (uint64, uint32) {
	x := l.tags8 ^ uint64(t)*ones64
	y := l.tags4 ^ uint32(t)*ones32
	return (x - ones64) &^ x & tops64, (y - ones32) &^ y & tops32
}

func (l *line) tag(i int) uint8 {
	if i < 8 {
		return uint8(l.tags8 >> (8 * i))
	}
	return uint8(l.tags4 >> (8 * (i - 8)))
}

func (l *line) set(i int, tag uint8, h uint32) {
	if i < 8 {
		l.tags8 = l.tags8&^(0xff<<(8*i)) | uint64(tag)<<(8*i)
	} else {
		l.tags4 = l.tags4&^(0xff<<(8*(i-8))) | uint32(tag)<<(8*(i-8))
	}
	l.item[i] = h
}

func (l *line) add(tag uint8, h uint32) {
	l.set(int(l.n), tag, h)
	l.n++
}

// remove takes slot i out; the last one takes its place.
func (l *line) remove(i int) {
	l.n--
	if last := int(l.n); i != last {
		l.set(i, l.tag(last), l.item[last])
	}
}

// slot is where h is in the line, -1 if it is not.
func (l *line) slot(h uint32) int {
	for i := range int(l.n) {
		if l.item[i] == h {
			return i
		}
	}
	return -1
}

// line is line i of t.
func (p *heap) line(t *table, i uint32) *line {
	log := p.pool.shift - lineLog
	return arena.At[line](p.a, t.dir[i>>log]<<p.pageBits+(i&(1<<log-1))*(lineSize/p.unit))
}

// at is the line of a position.
func (sh *shard) at(pos uint32) *line {
	x := &sh.index
	i := scale(pos, x.cur.n)
	if i < x.front {
		return sh.line(&x.next, scale(pos, x.next.n))
	}
	return sh.line(&x.cur, i)
}

// find is the item of a key, 0 if there is none.
func (sh *shard) lookup(key []byte, hash uint64) uint32 {
	if sh.index.cur.n == 0 {
		return 0
	}
	first, second := positions(hash)
	l := sh.at(first)
	if h := sh.search(l, key, tagOf(hash)); h != 0 {
		return h
	}
	return sh.search(sh.at(second), key, tagOf(hash))
}

func (sh *shard) search(l *line, key []byte, tag uint8) uint32 {
	m, k := l.match(tag)
	for ; m != 0; m &= m - 1 {
		if i := bits.TrailingZeros64(m) >> 3; i < int(l.n) && string(sh.key(l.item[i])) == string(key) {
			return l.item[i]
		}
	}
	for ; k != 0; k &= k - 1 {
		if i := bits.TrailingZeros32(k)>>3 + 8; i < int(l.n) && string(sh.key(l.item[i])) == string(key) {
			return l.item[i]
		}
	}
	return 0
}

// place is the line and slot of an item that is in the index.
func (sh *shard) place(hash uint64, h uint32) (*line, int) {
	first, second := positions(hash)
	l := sh.at(first)
	if i := l.slot(h); i >= 0 {
		return l, i
	}
	l = sh.at(second)
	return l, l.slot(h)
}

// exchange puts now in the place of old.
func (sh *shard) exchange(hash uint64, old, now uint32) {
	l, i := sh.place(hash, old)
	l.item[i] = now
}

// unindex takes an item out of the index.
func (sh *shard) unindex(hash uint64, h uint32) {
	l, i := sh.place(hash, h)
	l.remove(i)
	sh.index.items--
	sh.left++
}

// enindex puts an item into the index; the key must not be there. With both lines full of items that cannot move, which takes many keys
// of one hash, one of them is evicted.
func (sh *shard) enindex(hash uint64, h uint32) {
	sh.resize()
	sh.index.items++
	sh.insert(hash, h)
}

func (sh *shard) insert(hash uint64, h uint32) {
	first, second := positions(hash)
	l := sh.at(first)
	if l.n == lineSlots {
		s := sh.at(second)
		switch {
		case s.n < lineSlots:
			l = s
		case sh.clear(l, 1):
		case sh.clear(s, 1):
			l = s
		case sh.clear(l, 2): // once in millions of items: worth many a look
		default:
			sh.crowd(l)
		}
	}
	l.add(tagOf(hash), h)
}

// insertSecond puts an item into its second line, where it was.
func (sh *shard) insertSecond(hash uint64, h uint32) {
	_, second := positions(hash)
	l := sh.at(second)
	if l.n == lineSlots && !sh.clear(l, 1) && !sh.clear(l, 2) {
		sh.crowd(l)
	}
	l.add(tagOf(hash), h)
}

// clear makes room in a full line by moving one of its items to that item's second line, which may need clearing itself, depth times, at
// most 2: deeper, a line could be changed while it is gone through.
func (sh *shard) clear(l *line, depth int) bool {
	for i := range lineSlots {
		if to := sh.choice(l, i); to != nil && to.n < lineSlots {
			to.add(l.tag(i), l.item[i])
			l.remove(i)
			return true
		}
	}
	if depth == 0 {
		return false
	}
	for i := range lineSlots {
		if to := sh.choice(l, i); to != nil && sh.clear(to, depth-1) {
			to.add(l.tag(i), l.item[i])
			l.remove(i)
			return true
		}
	}
	return false
}

// choice is the second line of the item in slot i of l, nil when l is already that.
func (sh *shard) choice(l *line, i int) *line {
	first, second := positions(sh.Hash(l.item[i]))
	if sh.at(first) != l {
		return nil
	}
	if to := sh.at(second); to != l {
		return to
	}
	return nil
}

// crowd evicts the item of a full line that was used least lately.
func (sh *shard) crowd(l *line) {
	victim := uint32(0)
	for _, h := range l.item {
		if h != sh.held && (victim == 0 || sh.item(h).used < sh.item(victim).used) {
			victim = h
		}
	}
	sh.policy.Remove(victim)
	sh.evicted(victim)
	sh.counts.crowded++
	l.remove(l.slot(victim))
	sh.index.items--
	sh.discard(victim)
}
