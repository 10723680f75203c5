package dos

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/limit"
)

func TestLimit(t *testing.T) {
	rate, err := limit.NewRate(10, time.Second, 3)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLimit(rate, 1000)
	if err != nil {
		t.Fatal(err)
	}
	f := func(key string, now time.Duration, want Grant) {
		t.Helper()
		if got := l.Take([]byte(key), second+int64(now)); got != want {
			t.Errorf("%s at %v: %+v, want %+v", key, now, got, want)
		}
	}
	const tenth = 100 * time.Millisecond
	f("a", 0, Grant{true, 0, 2, tenth})
	f("a", 0, Grant{true, 0, 1, 2 * tenth})
	f("a", 0, Grant{true, 0, 0, 3 * tenth})
	f("a", tenth/2, Grant{false, tenth / 2, 0, 5 * tenth / 2})
	f("b", tenth/2, Grant{true, 0, 2, tenth})
	f("a", tenth, Grant{true, 0, 0, 3 * tenth})
	if l.Shared() != 0 {
		t.Errorf("%d shared", l.Shared())
	}
	slow, err := limit.NewRate(1, time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	l.SetRate(slow)
	f("c", 0, Grant{true, 0, 0, time.Hour})
	f("c", 0, Grant{false, time.Hour, 0, time.Hour})
	if _, err := NewLimit(slow, limit.MaxKeys*limitShards*2); err == nil {
		t.Error("a limit for too many keys")
	}
}

func TestSources(t *testing.T) {
	s := NewSources()
	k := Nets{24, 64}.Key(netip.MustParseAddr("192.0.2.1"))
	other := Nets{24, 64}.Key(netip.MustParseAddr("192.0.3.1"))
	for range 5 {
		if !s.Enter(k) {
			t.Error("refused without a bound")
		}
	}
	s.SetBound(5)
	if s.Enter(k) || !s.Enter(other) || !s.Enter(Key{}) || s.Refused() != 1 || !s.Bounded() {
		t.Error("a bound of 5")
	}
	s.Leave(k)
	if !s.Enter(k) || s.Enter(k) || s.Keys() != 2 {
		t.Error("the place of one who left")
	}
	for range 5 {
		s.Leave(k)
	}
	s.Leave(other)
	s.Leave(Key{})
	if s.Keys() != 0 {
		t.Errorf("%d keys are left", s.Keys())
	}
}

func TestSourcesConcurrently(t *testing.T) {
	s := NewSources()
	s.SetBound(2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				k := v4(uint32(i % 3))
				if s.Enter(k) {
					s.Leave(k)
				}
			}
		})
	}
	wg.Wait()
	if s.Keys() != 0 {
		t.Errorf("%d keys are left", s.Keys())
	}
}

func BenchmarkCount(b *testing.B) {
	o := options()
	o.Keys, o.Threshold, o.Hard = 65536, 1<<40, 0
	keys := make([]Key, 32768)
	for i := range keys {
		keys[i] = v4(uint32(i))
	}
	f := func(name string, keys []Key, run func(*testing.B, func(int))) {
		b.Run(name, func(b *testing.B) {
			d := detector(o)
			b.ReportAllocs()
			run(b, func(i int) { d.Count(keys[i%len(keys)], int64(i)*10_000) })
		})
	}
	serial := func(b *testing.B, count func(int)) {
		for i := 0; b.Loop(); i++ {
			count(i)
		}
	}
	parallel := func(b *testing.B, count func(int)) {
		b.RunParallel(func(p *testing.PB) {
			for i := 0; p.Next(); i++ {
				count(i)
			}
		})
	}
	f("one", keys[:1], serial)
	f("many", keys, serial)
	f("parallel", keys, parallel)
	f("one-parallel", keys[:1], parallel)
	b.Run("flood", func(b *testing.B) {
		d := detector(o)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.Count(v4(uint32(i)), int64(i)*10_000)
		}
	})
	b.Run("value", func(b *testing.B) {
		d := detector(o)
		b.ReportAllocs()
		value := []byte("4c1ab2f9c0de4d1f8a0e")
		for i := 0; b.Loop(); i++ {
			d.Count(d.Key(netip.Addr{}, value), int64(i)*10_000)
		}
	})
}

func BenchmarkLimit(b *testing.B) {
	rate, _ := limit.NewRate(1000, time.Second, 1000)
	l, _ := NewLimit(rate, 16384)
	key := []byte("192.0.2.1")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key[8] = byte('0' + i%10)
		l.Take(key, int64(i)*10_000)
	}
}

func BenchmarkSources(b *testing.B) {
	s := NewSources()
	k := v4(1)
	b.ReportAllocs()
	for b.Loop() {
		s.Enter(k)
		s.Leave(k)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	d := detector(options())
	rate, _ := limit.NewRate(1000, time.Second, 1000)
	l, _ := NewLimit(rate, 16384)
	s := NewSources()
	now, text := second, []byte("192.0.2.1")
	i := uint32(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += int64(time.Millisecond)
		i++
		k := d.Key(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), nil)
		d.Count(k, now)
		d.Undo(k, now, now)
		d.Count(d.Key(netip.Addr{}, text), now)
		l.Take(text, now)
		s.Enter(k)
		s.Leave(k)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUse(b *testing.B) {
	o := options()
	o.Keys = 65536
	d := detector(o)
	for i := range 65536 {
		d.Count(v4(uint32(i)), second)
	}
	for b.Loop() {
		d.Use(second)
	}
}
