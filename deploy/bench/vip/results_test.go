package vip

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vip/viptest"
)

const millisecond = time.Millisecond

// TestResults: figures come from the runs that count, and the row tells of the others.
func TestResults(t *testing.T) {
	var r results
	for _, s := range []sample{
		{outage: 300 * millisecond, lost: 150, late: 15 * millisecond}, // a twentieth of the outage
		{outage: 300 * millisecond, late: 16 * millisecond},
		{outage: 10 * millisecond, lost: 5, two: 2 * millisecond, late: 3 * millisecond},
		{outage: 12 * millisecond, late: 4 * millisecond},
		{outage: 500 * millisecond, early: true},
		{outage: 200 * millisecond, lost: 100, two: 4 * millisecond, cut: true, astray: errors.New("elsewhere")},
	} {
		r.add(s)
	}
	var out strings.Builder
	b := &bench{out: &out, rows: [][]string{{"head"}}}
	b.row(trial{what: "x", setting: every(tenth), formula: down}, viptest.Everup, &r)
	want := "| x | 100ms | everup | 3 | 200.0 ms | > 300.0 ms | 301.2 ms | 150 | 2.0 ms | 4.0 ms | 1 | 3, max 500.0 ms |\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBars: a bar is met by figures within it, and by no figures not.
func TestBars(t *testing.T) {
	f := func(name string, met bool, of func(*bench, *results), samples ...sample) {
		t.Helper()
		b := &bench{}
		of(b, &results{samples: samples})
		if len(b.bars) != 1 || b.bars[0].met != met {
			t.Errorf("%s: %+v, want met %t", name, b.bars, met)
		}
	}
	f("nothing measured", false, cutBar)
	f("cut", true, cutBar, sample{outage: 306 * millisecond})
	f("long cut", false, cutBar, sample{outage: 200 * millisecond}, sample{outage: 307 * millisecond})
	f("crash", true, crashBar, sample{outage: 15 * millisecond})
	f("long crash", false, crashBar, sample{outage: 16 * millisecond})
	f("switch", true, switchBar, sample{})
	f("lossy switch", false, switchBar, sample{}, sample{lost: 1})
	f("heal", true, healBar, sample{two: 100 * millisecond})
	f("long heal", false, healBar, sample{two: 101 * millisecond})
	f("astray", false, healBar, sample{astray: errors.New("elsewhere")})
}

func TestUnknown(t *testing.T) {
	for _, o := range []Options{{Trials: []string{"cut", "cat"}}, {Sides: []string{"cat"}}} {
		if err := Run(t.Context(), new(strings.Builder), o); err == nil || !strings.Contains(err.Error(), `"cat", there are`) {
			t.Error(err)
		}
	}
}

// TestShortBench: a trial that is nearly all waiting has its row and its bar.
func TestShortBench(t *testing.T) {
	labtest.Needs(t, labtest.Root, labtest.NetNS, "ip", "nft")
	var out strings.Builder
	if err := Run(t.Context(), &out, Options{Short: true, Trials: []string{"switch"}, Sides: []string{"everup"}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| planned switch-over | 100ms | everup | ", "| planned switch-over: echoes lost, "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
