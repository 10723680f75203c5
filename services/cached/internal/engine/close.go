package engine

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/zeebo/xxh3"
)

// Close ends the use of the store: with Options.File it leaves the items there for the next New. The caller has ended all other use,
// also of Pinned and Pending values. A second call does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.o.File == "" {
		return s.space.a.Close()
	}
	if err := s.save(); err != nil {
		_ = s.space.a.Close()
		return fmt.Errorf("engine: save %s: %w", s.o.File, err)
	}
	return s.space.a.Close()
}

// save writes tables and superblock; the mark of a clean stop comes last.
func (s *Store) save() error {
	for _, sh := range s.shards {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.settle()
	}
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.discard(p.warm)
	p.warm = nil
	t := tables{pages: make([]pageImage, p.high), shards: make([]shardImage, len(s.shards))}
	for i, sh := range s.shards {
		sh.image(&t.shards[i])
	}
	s.listItems(t.shards)
	err := parallel(int(p.high), func(i int) error {
		if g := p.table[i]; g.kind != pageFree {
			sum := xxh3.Hash(s.space.a.Bytes(uint32(i)<<(p.shift-s.unitShift()), 0, int(p.bytes())))
			t.pages[i] = pageImage{kind: g.kind, owner: g.owner, sum: sum}
		}
		return nil
	})
	if err != nil {
		return err
	}
	body := t.encode()
	b := superblock{
		unitShift: uint32(s.unitShift()), pageShift: uint32(p.shift), shards: uint32(len(s.shards)), noCAS: s.o.NoCAS,
		seed: s.o.Seed, lastCAS: s.lastCAS.Load(), flushAt: s.flushAt.Load(),
		high: p.high, tables: uint64(len(body)), sum: xxh3.Hash(body),
	}
	if err := s.space.a.EndFile(body, uint64(p.high)<<p.shift); err != nil {
		return err
	}
	copy(s.space.a.Bytes(0, 0, superSize), b.encode(true))
	return nil
}

// settle frees what is loose and lets go of what has readers.
func (sh *shard) settle() {
	for h := sh.handed.Swap(0); h != 0; {
		next := sh.Node(h).Next
		sh.arrived(h)
		sh.discard(h)
		h = next
	}
	for {
		h := sh.anyFixed()
		if h == 0 {
			return
		}
		sh.page(h).pins--
		it := sh.item(h)
		if it.has(isLong) {
			sh.long(h).pins = 0
		}
		if it.has(loose) {
			sh.discard(h)
		}
	}
}

// anyFixed is an item that is loose or has readers, 0 if there is none.
func (sh *shard) anyFixed() (found uint32) {
	for _, first := range sh.levels {
		for n := first; n != 0; n = sh.pool.table[n].next {
			if sh.pool.table[n].pins > 0 {
				sh.walk(n, func(h, _ uint32) {
					if sh.kind(h) == kindItem && sh.fixed(h) {
						found = h
					}
				})
				return found
			}
		}
	}
	return 0
}

// image fills in what the tables say of the shard.
func (sh *shard) image(im *shardImage) {
	x := &sh.index
	*im = shardImage{curN: x.cur.n, nextN: x.next.n, front: x.front, cur: x.cur.dir, next: x.next.dir, items: uint32(x.items)}
	im.policy = sh.policy.AppendState(nil)
}

// listItems fills in the order of all shards' items. A link can be followed only when the item before it has come from memory; so each
// processor follows the queues of several shards, from both ends, at the same time.
func (s *Store) listItems(to []shardImage) {
	groups := min(runtime.GOMAXPROCS(0), len(to))
	_ = parallel(groups, func(g int) error {
		var all []lister
		for i := g * len(to) / groups; i < (g+1)*len(to)/groups; i++ {
			for q, e := range s.shards[i].policy.Ends() {
				to[i].order[q] = make([]byte, 4*e.Items)
				all = append(all, lister{space: s.space, front: e.Tail, back: e.Head, left: to[i].order[q]})
			}
		}
		for busy := true; busy; {
			busy = false
			for i := range all {
				busy = all[i].step() || busy
			}
		}
		return nil
	})
}

// lister lists a queue from both ends.
type lister struct {
	space
	front, back uint32 // next items
	left        []byte // of the list
}

// step lists an item at each end; false when all are listed.
func (l *lister) step() bool {
	n := len(l.left)
	if n == 0 {
		return false
	}
	binary.LittleEndian.PutUint32(l.left, l.front)
	l.front = l.Node(l.front).Next
	if n == 4 {
		l.left = nil
		return true
	}
	binary.LittleEndian.PutUint32(l.left[n-4:], l.back)
	l.back = l.Node(l.back).Prev
	l.left = l.left[4 : n-4]
	return true
}

// unitShift is the shift of the unit of handles.
func (s *Store) unitShift() uint { return s.space.a.Shift() }
