package engine

import (
	"strings"
	"testing"
)

// TestWarmRefusesWhatDoesNotFit closes a store whose memory was spoilt before, so that all checksums are right: what is refused then is refused by the
// census alone.
func TestWarmRefusesWhatDoesNotFit(t *testing.T) {
	f := func(name, want string, spoil func(sh *shard)) {
		t.Run(name, func(t *testing.T) {
			o := small(t)
			o.Shards = 1
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, s, 4000, 60)
			fill(t, s, 2, 20_000)
			spoil(s.shards[0])
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err = New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer crash(t, s) // Close would wait for ever for a shard that checkStore left locked
			got := s.Recovery()
			if got.Kept != (want == "") || !strings.Contains(got.Reason, want) {
				t.Errorf("%+v, want %q", got, want)
			}
			checkStore(t, s, 0)
		})
	}
	const index, chunk, links = "index and pages do not agree", "chunk is malformed", "not linked as listed"
	// full is a line with two items of different tags.
	full := func(sh *shard) *line {
		for i := sh.index.front; ; i++ {
			if l := sh.line(&sh.index.cur, i); l.n > 1 && l.tag(0) != l.tag(1) {
				return l
			}
		}
	}
	first := func(sh *shard) uint32 {
		for h := sh.policy.Ends()[1].Tail; ; h = sh.Node(h).Next {
			if sh.item(h).has(isLong) {
				return h
			}
		}
	}
	f("nothing", "", func(*shard) {})
	f("tag", index, func(sh *shard) { full(sh).tags8 ^= 1 })
	f("items exchanged", index, func(sh *shard) {
		l := full(sh)
		l.item[0], l.item[1] = l.item[1], l.item[0]
	})
	f("item twice", index, func(sh *shard) {
		l := full(sh)
		l.set(1, l.tag(0), l.item[0])
	})
	f("item not in the index", "index is malformed", func(sh *shard) { full(sh).n-- })
	f("fewer items", "index and pages do not agree", func(sh *shard) { full(sh).n--; sh.index.items-- })
	f("entry of nothing", index, func(sh *shard) {
		for i := sh.index.front; ; i++ {
			if l := sh.line(&sh.index.cur, i); l.n > 0 && l.n < lineSlots {
				l.add(0, l.item[0]+1)
				sh.index.items++
				return
			}
		}
	})
	f("more than a line", "index is malformed", func(sh *shard) {
		l := full(sh)
		sh.index.items += lineSlots + 1 - int(l.n)
		l.n = lineSlots + 1
	})
	f("key", index, func(sh *shard) { sh.key(full(sh).item[0])[0]++ })
	f("loose", chunk, func(sh *shard) { h := full(sh).item[0]; sh.setShape(h, sh.shape(h)|loose) })
	f("arriving", chunk, func(sh *shard) { sh.item(full(sh).item[0]).mark(arriving, true) })
	f("next", links, func(sh *shard) { sh.Node(sh.Node(sh.policy.Ends()[1].Head).Prev).Next++ })
	f("previous", links, func(sh *shard) { sh.Node(sh.Node(sh.policy.Ends()[1].Tail).Next).Prev++ })
	f("queue", links, func(sh *shard) { sh.Node(full(sh).item[0]).State ^= 1 << 7 })
	f("pieces of another", chunk, func(sh *shard) { sh.piece(sh.long(first(sh)).first).item++ })
	f("no pieces", chunk, func(sh *shard) { sh.long(first(sh)).first = 0 })
	f("pieces left over", index, func(sh *shard) {
		h := first(sh)
		*sh.long(h) = long{total: uint32(sh.item(h).vlen), weight: sh.net(h)}
	})
	f("total", chunk, func(sh *shard) { sh.long(first(sh)).total++ })
	f("weight", chunk, func(sh *shard) { sh.long(first(sh)).weight++ })
	f("pinned", chunk, func(sh *shard) { sh.long(first(sh)).pins = 1 })
}

// TestSoundAtTheEnd: the last chunk of the last page may be smaller than an item's header, and nothing lies behind it.
func TestSoundAtTheEnd(t *testing.T) {
	o := small(t)
	o.Shards = 1
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer crash(t, s) // what is written here is no store
	sh := s.shards[0]
	size, page := sh.a.Size(), uint64(sh.pool.bytes())
	if err := sh.a.Open(size); err != nil {
		t.Fatal(err)
	}
	if err := sh.a.Back(size-page, page); err != nil {
		t.Fatal(err)
	}
	units := minChunk / sh.unit
	h := uint32(size>>sh.a.Shift()) - units
	for _, kind := range []uint8{kindItem, kindPiece} {
		sh.setShape(h, kind)
		if units, _ := sh.sound(h); units != 0 {
			t.Errorf("kind %d in %d bytes is sound", kind, minChunk)
		}
	}
	sh.setShape(h, kindFree)
	sh.chunk(h).size = units
	if got, net := sh.sound(h); got != units || net != units {
		t.Errorf("a free chunk of %d units has %d and %d", units, got, net)
	}
}
