package vip

import (
	"fmt"
	"slices"
	"time"

	"github.com/everup/everup/shared/vip/viptest"
)

// sample is what one run of a trial showed.
type sample struct {
	acted  time.Time // when what happens was begun
	outage time.Duration
	cut    bool // the outage was longer than the run
	early  bool // an echo was lost before anything was done
	lost   int
	two    time.Duration // for which two hosts had the address
	late   time.Duration // by which the prober was held up at worst during the outage
	astray error         // the third host did not reach the holder at the end
}

// tooLate is how late the prober may have been in a run that counts, unless a twentieth of the outage is more.
const tooLate = 3 * time.Millisecond

// results are the runs of a trial with one side.
type results struct {
	samples []sample
	late    []sample // that do not count, since the prober was held up or echoes were lost before
}

func (r *results) measured() int { return len(r.samples) }

// add takes a run in.
func (r *results) add(s sample) {
	if s.late > max(tooLate, s.outage/20) || s.early {
		r.late = append(r.late, s)
		return
	}
	r.samples = append(r.samples, s)
}

// repeated says how many runs did not count, and how long the longest outage of them was.
func (r *results) repeated() string {
	if len(r.late) == 0 {
		return "0"
	}
	_, most := (&results{samples: r.late}).figures(outage)
	return fmt.Sprintf("%d, max %s", len(r.late), ms(most))
}

// figures returns median and maximum of a figure of the samples, 0 without one.
func (r *results) figures(of func(sample) time.Duration) (median, most time.Duration) {
	if len(r.samples) == 0 {
		return 0, 0
	}
	var all []time.Duration
	for _, s := range r.samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2, all[n-1]
}

func outage(s sample) time.Duration { return s.outage }
func two(s sample) time.Duration    { return s.two }

// lost returns the greatest number of echoes that one run lost.
func (r *results) lost() (most int) {
	for _, s := range r.samples {
		most = max(most, s.lost)
	}
	return most
}

// cuts returns how many outages were longer than their run, astray in how many the third host was wrong at the end.
func (r *results) cuts() (cuts, astray int) {
	for _, s := range r.samples {
		if s.cut {
			cuts++
		}
		if s.astray != nil {
			astray++
		}
	}
	return cuts, astray
}

// row writes a trial's row with one side.
func (b *bench) row(t trial, kind viptest.Kind, r *results) {
	if len(b.rows) == 0 {
		b.line("what", "adverts", "side", "runs", "outage, median", "outage, max", "formula, at most", "echoes lost, max", "two holders, median", "two holders, max", "neighbours wrong", "repeated")
		fmt.Fprintln(b.out, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	}
	middle, most := r.figures(outage)
	twoMiddle, twoMost := r.figures(two)
	cuts, astray := r.cuts()
	longest := ms(most)
	if cuts > 0 {
		longest = "> " + longest
	}
	b.line(t.what, t.setting.Interval.String(), string(kind), fmt.Sprint(r.measured()), ms(middle), longest, ms(t.formula(t.setting)),
		fmt.Sprint(r.lost()), ms(twoMiddle), ms(twoMost), fmt.Sprint(astray), r.repeated())
}

func (b *bench) line(cells ...string) {
	b.rows = append(b.rows, cells)
	for _, c := range cells {
		fmt.Fprintf(b.out, "| %s ", c)
	}
	fmt.Fprintln(b.out, "|")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }

// bar is one row of the summary.
type bar struct {
	what, figure, wanted string
	met                  bool
}

// Allowances of BARS.md.
const (
	cutAllowance = 5 * time.Millisecond
	crashBound   = 15 * time.Millisecond
)

func cutBar(b *bench, r *results) {
	_, most := r.figures(outage)
	bound := down(every(tenth)) + cutAllowance
	b.bar("outage, link cut, adverts each 100 ms", ms(most), "≤ 3 intervals + skew + 5 ms = "+ms(bound), r, most <= bound)
}

func crashBar(b *bench, r *results) {
	_, most := r.figures(outage)
	b.bar("outage, kill -9 of the data plane, adverts each 100 ms", ms(most), "≤ "+ms(crashBound), r, most <= crashBound)
}

func switchBar(b *bench, r *results) {
	b.bar("planned switch-over: echoes lost", fmt.Sprint(r.lost()), "0", r, r.lost() == 0)
}

func healBar(b *bench, r *results) {
	_, most := r.figures(two)
	_, astray := r.cuts()
	b.bar("two holders after a partition heals, neighbours wrong", fmt.Sprintf("%s, %d", ms(most), astray), "≤ 1 interval = "+ms(tenth)+", 0", r,
		most <= tenth && astray == 0)
}

// bar records a row of the summary. What was not measured is not met.
func (b *bench) bar(what, figure, wanted string, r *results, met bool) {
	b.bars = append(b.bars, bar{fmt.Sprintf("%s, %d runs", what, r.measured()), figure, wanted, met && r.measured() > 0})
}

// summary prints the bars of BARS.md that were measured.
func (b *bench) summary() {
	if len(b.bars) == 0 {
		return
	}
	fmt.Fprint(b.out, "\n### The bars\n\nWhat BARS.md asks of vip, by the figures of everup above.\n\n| what | figure | bar | met |\n|---|---|---|---|\n")
	for _, r := range b.bars {
		met := "**no**"
		if r.met {
			met = "yes"
		}
		fmt.Fprintf(b.out, "| %s | %s | %s | %s |\n", r.what, r.figure, r.wanted, met)
	}
}
