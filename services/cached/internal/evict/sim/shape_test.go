package sim

import (
	"slices"
	"testing"
)

// varied are a few rows of different kinds, large enough to be cut into shards.
func varied(traces map[string]*Trace) []row {
	n := 300_000
	rows := []row{
		{Zipf(n, n/6, 0.9, 2), 4000}, {Loop(n, 2000, 0.2, 2), 1000}, {Recency(n, 0.05, 2000, 0, 1), 2000},
		{Concat("phases", 5, n/15, Zipf(n, 20000, 0.9, 9), Loop(n, 3000, 0, 1), Recency(n, 0.05, 300, 0, 7)), 2450},
	}
	for _, r := range recordedRows(traces) {
		if r.capacity >= 1000 && r.t.Name != "orm-night" {
			rows = append(rows, r)
		}
	}
	return rows
}

// TestShards: four shards with a common Advisor come near one shard. What remains is the keys' uneven spread over the shards, which LRU feels as well.
func TestShards(t *testing.T) {
	rows := varied(recordedOrNone(t))
	if raceEnabled {
		rows = rows[1:3]
	}
	one, four := 0.0, 0.0
	for i, r := range replay(rows, []policy{{"one", maker(Adaptive)}, {"four", maker(AdaptiveShards(4))}}) {
		t.Logf("%-20v one %.2f four %.2f", rows[i], r[0], r[1])
		if r[1] < r[0]-2 {
			t.Errorf("%v: four shards %.2f, one %.2f", rows[i], r[1], r[0])
		}
		one, four = one+r[0], four+r[1]
	}
	if n := float64(len(rows)); four/n < one/n-0.7 {
		t.Errorf("four shards %.2f on the mean, one %.2f", four/n, one/n)
	}
}

// TestSizes: the bar holds for items of different sizes, too, with capacities in bytes.
func TestSizes(t *testing.T) {
	n := 200_000
	traces := []*Trace{
		Sized(Zipf(n, n/6, 0.9, 2), 1), Sized(Recency(n, 0.05, 2000, 0, 1), 2), Sized(Loop(n, 3000, 0.1, 3), 3),
		Sized(ScanZipf(n, n/30, 0.9, n/100, n/50, true, 6), 4), Sized(OneHit(n, n/30, 0.9, 0.3, 1), 5),
	}
	if raceEnabled {
		traces = traces[:1]
	}
	mustHold(t, at(traces, 0.02, 0.1, 0.3))
}

// TestTraffic: what the generators make has the shape they are named for.
func TestTraffic(t *testing.T) {
	if got := Run(Loop(20_000, 1000, 0, 1), 999, LRU); got != 0 {
		t.Errorf("LRU holds %.2f %% of a loop one larger than itself", got)
	}
	if got := Run(Loop(20_000, 1000, 0, 1), 1000, LRU); got != 95 {
		t.Errorf("LRU holds %.2f %% of a loop that fits, want 95", got)
	}
	a, b := Zipf(50_000, 5000, 1, 7), Zipf(50_000, 5000, 1, 7)
	if !slices.Equal(a.Keys, b.Keys) {
		t.Error("the same seed made two traces")
	}
	r := Recency(50_000, 0.1, 300, 0, 1)
	if lru, fifo := Run(r, 600, LRU), Run(r, 600, WTinyLFU); lru < fifo+5 {
		t.Errorf("recency: LRU %.2f, W-TinyLFU %.2f", lru, fifo)
	}
	traces := []*Trace{a, r, Bursts(50_000, 500, 5, 1), Joins(50_000, []int{300, 900}, 1), TwoPools(50_000, 100, 2000, 1), Newsfeed(50_000, 8, 1)}
	if raceEnabled {
		traces = traces[:1]
	}
	for _, tr := range traces {
		for _, c := range []uint64{50, 500} {
			best := Belady(tr, c)
			for _, p := range append(rivals(), policy{"adaptive", maker(Adaptive)}, policy{"SIEVE", maker(SIEVE)}) {
				if got := p.run(row{tr, c}); got > best {
					t.Errorf("%s %s/%d: %.2f, more than the optimum %.2f", p.name, tr.Name, c, got, best)
				}
			}
		}
	}
}
