package dos

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// Whoever is held while the options change is held afterwards, and at every moment between.
func TestNobodyIsFreeWhileOptionsChange(t *testing.T) {
	o := options()
	o.Ban, o.Keys = time.Hour, 1<<17 // room for all in any set
	d := detector(o)
	first := make([]Key, 2000)
	for i := range first {
		first[i] = v4(uint32(0x0a000000 + i))
		if err := d.Hold(first[i], Hard, time.Hour, Manual, second); err != nil {
			t.Fatal(err)
		}
	}
	var work, change sync.WaitGroup
	var done atomic.Bool
	change.Go(func() {
		for i := 0; !done.Load(); i++ {
			o.Keys = 1 << (17 + i%2)
			d.Configure(o, second)
		}
	})
	change.Go(func() {
		for i := 0; !done.Load(); i++ {
			if d.Level(first[i%len(first)], second) != Hard {
				t.Error("one who is banned is let in")
				return
			}
		}
	})
	held := make([][]Key, 3)
	for w := range held {
		work.Go(func() {
			for i := range 1000 {
				k := v4(uint32(0x0b000000 + w*4096 + i))
				switch {
				case w == 0:
					if err := d.Hold(k, Hard, time.Hour, Manual, second); err != nil {
						t.Error(err)
					}
					held[w] = append(held[w], k)
				default: // counts are forgotten by such a change, and levels are not
					for range 7 {
						if d.Count(k, second) == Hard {
							held[w] = append(held[w], k)
							break
						}
					}
				}
			}
		})
	}
	work.Wait()
	done.Store(true)
	change.Wait()
	if len(held[1]) == 0 {
		t.Error("no request was found to be too many")
	}
	for _, k := range slices.Concat(held...) {
		if l := d.Level(k, second); l != Hard {
			t.Errorf("%s is %v", k, l)
		}
	}
}

// Who has looked up a table before a change, and takes its lock afterwards, is sent to the one that counts.
func TestTablesOfBeforeAreLeft(t *testing.T) {
	d := detector(options())
	before := d.cur.Load()
	o := options()
	o.Keys *= 2
	d.Configure(o, second)
	for i, s := range append(before.shards, d.cur.Load().shards...) {
		if s.gone != (i < len(before.shards)) {
			t.Errorf("shard %d of %d: gone %v", i, len(before.shards), s.gone)
		}
	}
}

// A level that was begun by what may be taken back still is so after a change of options.
func TestTakenBackAfterOptionsChange(t *testing.T) {
	d := detector(options())
	d.ask("192.0.2.1", 5, second) // two too many
	o := options()
	o.Keys *= 4
	d.Configure(o, second)
	k := v4(0xc0000201)
	d.Undo(k, second, second)
	if l := d.Level(k, second); l != Suspect {
		t.Errorf("with one too many left it is %v", l)
	}
	d.Undo(k, second, second)
	if l := d.Level(k, second); l != None {
		t.Errorf("with none too many left it is %v", l)
	}
}

// However many are held, no more are remembered than asked for, and they are the worst.
func TestOffendersAreTheWorst(t *testing.T) {
	o := options()
	o.Keys = 1 << 16
	d := detector(o)
	for i := range 10_000 {
		level := Suspect
		if i%10 == 0 {
			level = Hard
		}
		n := (i * 7919) % 10_000 // in no order
		if err := d.Hold(v4(uint32(0x0a000000+i)), level, time.Duration(n+1)*time.Second, Manual, 0); err != nil {
			t.Fatal(err)
		}
	}
	every := d.Offenders(None, all, 0)
	if len(every) != 10_000 {
		t.Fatalf("%d are held", len(every))
	}
	for _, n := range []int{0, 1, 7, 400, 3000, 10_000} {
		got := d.Offenders(None, n, 0)
		if fmt.Sprint(got) != fmt.Sprint(every[:n]) || cap(got) > 4*n+64 {
			t.Errorf("of %d: %d, with room for %d", n, len(got), cap(got))
		}
	}
	if got := d.Offenders(Hard, all, 0); len(got) != 1000 {
		t.Errorf("%d are hard", len(got))
	}
	if got := d.Recall(0); len(got) != MaxMessage || got[0].Key != every[0].Key {
		t.Errorf("%d are recalled", len(got))
	}
}

// Counts go on when the table changes.
func TestCountsGoOn(t *testing.T) {
	o := options()
	o.Keys = 8
	d := detector(o)
	for i := range 20 {
		d.Count(v4(uint32(0x0a000000+i)), second)
	}
	if got := d.Counts(); got.Evicted != 12 {
		t.Errorf("%+v", got)
	}
	o.Keys = 16
	d.Configure(o, second)
	d.Off()
	if got := d.Counts(); got.Evicted != 12 {
		t.Errorf("after a change %+v", got)
	}
}

// What loops write at the same time lies in lines of its own: two, as processors fetch pairs.
func TestLines(t *testing.T) {
	const pair = 128
	for what, n := range map[string]uintptr{
		"a shard of a detector": unsafe.Sizeof(shard{}), "a shard of a limit": unsafe.Sizeof(limitShard{}), "a shard of sources": unsafe.Sizeof(sources{}),
		"what a detector writes": unsafe.Offsetof(Detector{}.suspects) - unsafe.Offsetof(Detector{}.cur),
		"refusals of sources":    unsafe.Offsetof(Sources{}.refused) - unsafe.Offsetof(Sources{}.bound),
		"the first of sources":   unsafe.Offsetof(Sources{}.shards) - unsafe.Offsetof(Sources{}.refused),
	} {
		if n < pair {
			t.Errorf("%s: %d bytes", what, n)
		}
	}
}
