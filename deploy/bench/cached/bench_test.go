package cached

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/report"
	"github.com/everup/everup/shared/labtest"
)

// A short bench of memcached beside itself: the tables have a row for each side, and every bar has its line.
func TestShortBench(t *testing.T) {
	labtest.Needs(t, "memcached", "taskset")
	var out strings.Builder
	o := Options{Peer: "memcached", Subject: "memcached", Runs: 1, Short: true, Shm: "/dev/shm", Parts: []string{"latency", "restart", "idle"}}
	if err := Run(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 50000/s | memcached", "| memcached (again) | ", "| 200000 | 200000 | 0 |", "| 1000 | memcached (again) | ",
		"| warm restart: items lost | 0 | 0 | yes |", "| warm restart: 200000 items back | ", "| p99.9 at ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestUnknownPart(t *testing.T) {
	err := Run(t.Context(), new(strings.Builder), Options{Parts: []string{"speed", "sped"}})
	if err == nil || !strings.Contains(err.Error(), `no part "sped"`) {
		t.Error(err)
	}
}

func TestChosenLoads(t *testing.T) {
	f := func(word string, want ...string) {
		t.Helper()
		b := &bench{Options: Options{Loads: word}}
		var got []string
		for _, c := range b.chosen() {
			for _, r := range c.rows {
				got = append(got, c.network+" "+r.name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", word, diff)
		}
	}
	f("multiget", "tcp multiget of 100")
	f("depth 16", "tcp depth 16", "unix depth 16", "tcp depth 16")
	f("none such")
	if n := len((&bench{}).chosen()); n != 3 {
		t.Errorf("%d configs without a word, want all 3", n)
	}
}

func TestMid(t *testing.T) {
	f := func(want float64, of ...float64) {
		t.Helper()
		if got := report.Mid(of, func(v float64) float64 { return v }); got != want {
			t.Errorf("report.Mid(%v) = %v, want %v", of, got, want)
		}
	}
	f(0)
	f(3, 3)
	f(2, 3, 1, 2)
	f(2.5, 4, 1, 2, 3)
	if low, high := report.Spread([]float64{3, 1, 2}, func(v float64) float64 { return v }); low != 1 || high != 3 {
		t.Errorf("spread %v to %v", low, high)
	}
}

// The bar for throughput names how busy the server was where the load was the limit.
func TestThroughputBar(t *testing.T) {
	b := &bench{}
	peer := []sample{{ops: 100, cpu: 1000, busy: 1}}
	b.throughputBar("x", peer, []sample{{ops: 500, cpu: 190, busy: 0.99}})
	b.throughputBar("y", peer, []sample{{ops: 300, cpu: 200, busy: 0.5}})
	want := []bar{
		{"x", "5.00x", "≥ 4x", true},
		{"y", "3.00x with the server busy for 50 %; per second of its CPU time 5.00x", "≥ 4x", false},
	}
	for i, w := range want {
		if b.bars[i] != w {
			t.Errorf("%+v, want %+v", b.bars[i], w)
		}
	}
}

// Runs end when another one would take the part beyond its limit; the first is always taken.
func TestRepeat(t *testing.T) {
	f := func(want int, limit time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := &bench{Options: Options{Runs: 5}, done: 5}
			n := 0
			err := b.repeat(t.Context(), limit, func(run int) error {
				if run != n {
					t.Errorf("run %d as the %d-th", run, n)
				}
				n++
				time.Sleep(time.Minute) // of the bubble
				return nil
			})
			if err != nil || n != want || b.done != want {
				t.Errorf("%d runs in %v, %d noted, %v", n, limit, b.done, err)
			}
		})
	}
	f(1, 0)
	f(3, 3*time.Minute)
	f(5, time.Hour)
}

// What the phases of the memory limit have in keys and values is what they say: 1.25 times the limit.
func TestPhases(t *testing.T) {
	for _, p := range phases() {
		if p.sizes.Mean() < 100 || p.sizes.Max > 1<<20-200 {
			t.Errorf("%s: mean %.0f, most %d", p.name, p.sizes.Mean(), p.sizes.Max)
		}
	}
	if phases()[0].sizes != load.Fixed(100) {
		t.Error("the cache is not filled with small values first")
	}
}
