package limit

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

func mustTopK(t testing.TB, k int) *TopK {
	t.Helper()
	top, err := NewTopK(k)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func TestNewTopKRefuses(t *testing.T) {
	for _, k := range []int{-1, 0, MaxTop + 1} {
		if _, err := NewTopK(k); fault.Of(err) != fault.Invalid {
			t.Errorf("top %d: %v", k, err)
		}
	}
}

// check compares the tracker with the truth by the bounds of space-saving, and its structure with itself.
func check(t testing.TB, top *TopK, truth map[uint64]uint64, total uint64) {
	t.Helper()
	k := uint64(cap(top.entries))
	for key, n := range truth {
		count, excess, ok := top.Count(key)
		if !ok && n > total/k {
			t.Fatalf("key %d with %d of %d is not among %d", key, n, total, k)
		}
		if ok && (count < n || count-excess > n || excess > total/k) {
			t.Fatalf("key %d: count %d, error %d, the truth is %d of %d", key, count, excess, n, total)
		}
	}
	indexed := 0
	for _, i := range top.index {
		if i != 0 {
			indexed++
		}
	}
	if indexed != len(top.entries) || len(top.heap) != len(top.entries) {
		t.Fatalf("%d entries, %d in the index, %d in the heap", len(top.entries), indexed, len(top.heap))
	}
	for at, i := range top.heap {
		if int(top.entries[i].at) != at || at > 0 && top.less(at, (at-1)/2) {
			t.Fatalf("the heap is broken at %d", at)
		}
	}
}

func TestTopKBounds(t *testing.T) {
	for _, k := range []int{1, 2, 10, 100, 1000} {
		top := mustTopK(t, k)
		stream, truth := zipfStream(50_000, 1<<16)
		for _, key := range stream {
			top.Add(key, fmt.Append(nil, "key-", key), 1)
		}
		check(t, top, truth, 50_000)
		for _, h := range top.Top(k) {
			if h.Label != fmt.Sprint("key-", h.Key) {
				t.Fatalf("key %d has the label %q", h.Key, h.Label)
			}
		}
		if top.Total() != 50_000 {
			t.Errorf("total %d", top.Total())
		}
	}
}

// The ten heaviest keys of a skewed stream are found in order with a hundred counters more than they need.
func TestTopKFindsTheHeaviest(t *testing.T) {
	top := mustTopK(t, 300)
	stream, truth := zipfStream(200_000, 1<<20)
	for _, key := range stream {
		top.Add(key, nil, 1)
	}
	keys := make([]uint64, 0, len(truth))
	for key := range truth {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b uint64) int { return int(truth[b]) - int(truth[a]) })
	var got []uint64
	for _, h := range top.Top(10) {
		got = append(got, h.Key)
	}
	if diff := cmp.Diff(keys[:10], got); diff != "" {
		t.Error(diff)
	}
}

func TestTopKOrderDecayAndLabels(t *testing.T) {
	top := mustTopK(t, 3)
	top.Add(1, []byte("one"), 9)
	top.Add(2, []byte(strings.Repeat("x", 300)), 5)
	top.Add(3, []byte("three"), 1)
	top.Add(3, []byte("other"), 0)
	top.Add(4, []byte("four"), 1) // takes the place of 3
	top.Decay()
	want := []Heavy{
		{1, "one", 4, 0},
		{2, strings.Repeat("x", MaxLabel), 2, 0},
		{4, "four", 1, 1},
	}
	if diff := cmp.Diff(want, top.Top(10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:1], top.Top(1)); diff != "" {
		t.Error(diff)
	}
	for range 3 {
		top.Decay()
	}
	if got := top.Top(3); len(got) != 0 {
		t.Errorf("what has decayed is still there: %v", got)
	}
	top.Add(1, nil, math.MaxUint64)
	top.Add(1, nil, math.MaxUint64)
	if n, _, _ := top.Count(1); n != math.MaxUint64 {
		t.Errorf("%d", n)
	}
	if got := top.Top(-1); len(got) != 0 {
		t.Errorf("Top(-1) = %v", got)
	}
}

func TestTopKAllocatesNothing(t *testing.T) {
	top := mustTopK(t, 16)
	label := []byte("some-label")
	key := uint64(0)
	add := func() { key++; top.Add(key%40, label, 1) }
	for range 100 {
		add()
	}
	if n := testing.AllocsPerRun(1000, add); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTopK(f *testing.F) {
	f.Add(uint8(3), []byte("abcabdabeabf"))
	f.Add(uint8(1), []byte{0, 1, 2, 0, 0, 255})
	f.Fuzz(func(t *testing.T, k uint8, stream []byte) {
		top := mustTopK(t, int(k)%20+1)
		truth := map[uint64]uint64{}
		for i, c := range stream {
			n := uint64(i%3 + 1)
			top.Add(uint64(c), []byte{c}, n)
			truth[uint64(c)] += n
		}
		check(t, top, truth, top.Total())
	})
}

func BenchmarkTopK(b *testing.B) {
	top := mustTopK(b, 1000)
	stream, _ := zipfStream(1<<16, 1<<20)
	label := []byte("session:0123456789abcdef")
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		top.Add(stream[i&(1<<16-1)], label, 1)
		i++
	}
}
