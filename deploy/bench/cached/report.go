package cached

import (
	"fmt"

	"github.com/everup/everup/deploy/bench/report"
)

// section begins a part of the report.
func (b *bench) section(title, text string) { fmt.Fprintf(b.out, "\n### %s\n\n%s\n\n", title, text) }

// table prints a Markdown table; the first row is its head.
func (b *bench) table(rows [][]string) { report.Table(b.out, rows) }

// fewer says that there was no time for all runs.
func (b *bench) fewer() {
	if b.done < b.Runs {
		fmt.Fprintf(b.out, "\nThe machine was slow: medians of %d runs.\n", b.done)
	}
}

// bar records a row of the summary.
func (b *bench) bar(what, figure, wanted string, met bool) {
	b.bars = append(b.bars, bar{what, figure, wanted, met})
}

// summary prints the bars of BARS.md that were measured.
func (b *bench) summary() {
	if len(b.bars) == 0 {
		return
	}
	b.section("The bars", "What BARS.md asks of cached, by the figures above.")
	rows := [][]string{{"what", "figure", "bar", "met"}}
	for _, r := range b.bars {
		met := "**no**"
		if r.met {
			met = "yes"
		}
		rows = append(rows, []string{r.what, r.figure, r.wanted, met})
	}
	b.table(rows)
}
