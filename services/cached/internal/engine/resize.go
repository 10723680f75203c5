package engine

import "github.com/everup/everup/services/cached/internal/arena"

// Load of the index in items per hundred lines.
const (
	fullest  = 1056 // 88 %: then it grows
	emptiest = 700  // 58 %: then it shrinks
	settled  = 960  // 80 %: to this
)

// linesPerPage is the number of lines of a page.
func (sh *shard) linesPerPage() uint32 { return 1 << (sh.pool.shift - lineLog) }

// resize begins a resize of the index when it is due, and moves a few lines: two, and more after many evictions. It may evict and move items
// to get a page, so the caller holds no handle of its own but held and loose ones.
func (sh *shard) resize() {
	x := &sh.index
	if sh.resizing || x.next.n == 0 && !sh.due() {
		return
	}
	sh.resizing = true
	for range 2 + min(sh.left/4, 64) {
		if x.next.n == 0 || !sh.moveLine() {
			break
		}
	}
	sh.resizing, sh.left = false, 0
}

// due begins a resize if the load asks for one.
func (sh *shard) due() bool {
	x := &sh.index
	load, n, page := uint64(x.items+1)*100, uint64(x.cur.n), uint64(sh.linesPerPage())
	switch {
	case load > n*fullest:
		n += max(n/sh.growth()/page*page, page)
	case load < n*emptiest && n > page:
		n = max((load/settled+page)/page*page, page)
		if n >= uint64(x.cur.n) {
			return false
		}
	default:
		return false
	}
	x.next.n = uint32(n)
	return true
}

// growth is the part by which the index grows. Each growth reads every key once, so while memory abounds it grows by larger steps.
func (sh *shard) growth() uint64 {
	if int(sh.owns.Load()) < int(sh.pool.fair.Load())/2 {
		return 4
	}
	return 8
}

// ready makes the index's first table; it fails when there is no page for it.
func (sh *shard) ready() bool {
	x := &sh.index
	if x.cur.n == 0 {
		if !sh.extend(&x.cur, 0) {
			return false
		}
		x.cur.n = sh.linesPerPage()
		sh.budget()
	}
	return true
}

// moveLine moves the line at the front to the next table. It fails when there is no page for that.
func (sh *shard) moveLine() bool {
	x := &sh.index
	i := x.front
	end := uint32((uint64(i+1)*uint64(x.next.n) - 1) / uint64(x.cur.n))
	if !sh.extend(&x.next, min(end, x.next.n-1)) {
		return false
	}
	from := *sh.line(&x.cur, i)
	x.front++
	if sh.linesPerPage()-1 == i%sh.linesPerPage() {
		sh.shorten(&x.cur, i/sh.linesPerPage())
	}
	sh.fetch(&from)
	for k := range int(from.n) {
		hash := sh.Hash(from.item[k])
		if first, _ := positions(hash); scale(first, x.cur.n) == i {
			sh.insert(hash, from.item[k])
		} else {
			sh.insertSecond(hash, from.item[k]) // not into its first line: a scan may be past that
		}
	}
	if x.front == x.cur.n {
		x.cur, x.next, x.front = x.next, table{}, 0
		sh.budget()
	}
	return true
}

// fetch reads a byte of each item of a line: the processor waits for all those cache lines at once, not for one after the other.
func (sh *shard) fetch(l *line) {
	var sum uint8
	for _, h := range l.item[:l.n] {
		sum += sh.item(h).Spare[atKey] + *arena.Field[uint8](sh.a, h, headerSize+keyNear)
	}
	sh.fetched = sum
}

// keyNear is how far behind the header the last byte of most keys lies; any chunk of an item reaches to its first byte.
const keyNear = 0

// extend makes sure that line i of t has a page.
func (sh *shard) extend(t *table, i uint32) bool {
	for uint32(len(t.dir)) <= i/sh.linesPerPage() {
		n := sh.tablePage()
		if n == 0 {
			return false
		}
		t.dir = append(t.dir, n)
	}
	return true
}

// shorten gives a page of t back.
func (sh *shard) shorten(t *table, i uint32) {
	n := t.dir[i]
	t.dir[i] = 0
	sh.pool.table[n] = page{}
	sh.tablePages--
	sh.owns.Add(-1)
	sh.pool.give(false, n)
}

// tablePage gets a page for the index, if need be by emptying one of the shard's own; 0 if that is not possible.
func (sh *shard) tablePage() uint32 {
	n := sh.pool.take()
	if n == 0 && (sh.vacate(!sh.store.o.NoEvict) || sh.store.borrow(sh)) {
		n = sh.pool.take()
	}
	if n == 0 {
		return 0
	}
	sh.pool.table[n] = page{kind: pageIndex, owner: sh.owner, soonest: never32}
	sh.tablePages++
	sh.owns.Add(1)
	clear(sh.a.Bytes(n<<sh.pageBits, 0, int(sh.pool.bytes())))
	return n
}
