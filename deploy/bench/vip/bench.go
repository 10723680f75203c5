// Package vip measures how virtual addresses move: the rows of BARS.md "vip", everup beside Debian's keepalived with the same
// settings in the same run.
//
// Two hosts in network namespaces share an address; a third sends an echo each 2 ms. Host a has priority 254 and b 253, so
// that the skew time is about a hundredth of an interval. A trial is done again and again, at a random moment between two
// adverts, and its outage is the time from the first echo that was lost to the first that was answered again. The time in
// which two hosts had the address comes from the kernels' events. An outage that the bench itself may have made longer,
// since its prober was held up during it although it is a real-time thread (the machine's host gave the machine no time), is
// measured anew, and the table says how often, and the longest of those.
//
// Run is one sequence; a trial's time is bounded by its limits, all of them by about seven minutes, half a minute with Short.
package vip

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/viptest"
)

// Options of a bench.
type Options struct {
	Short  bool     // each trial twice, to show that the bench works
	Trials []string // to run, by name; empty: all
	Sides  []string // everup, keepalived; empty: both
}

// bench is one run of it.
type bench struct {
	Options
	out  io.Writer
	rows [][]string
	bars []bar
}

// Sides returns the names of the sides, in the order in which they are measured.
func Sides() []string { return []string{string(viptest.Foreign), string(viptest.Everup)} }

// Names returns the names of the trials.
func Names() []string {
	var names []string
	for _, t := range trials() {
		names = append(names, t.name)
	}
	return names
}

// Run runs the bench and writes its tables in Markdown. It needs root, network namespaces and, for its side, keepalived.
func Run(ctx context.Context, out io.Writer, o Options) error {
	if err := known("trial", o.Trials, Names()); err != nil {
		return err
	}
	if err := known("side", o.Sides, Sides()); err != nil {
		return err
	}
	b := &bench{Options: o, out: out}
	b.head(ctx)
	began := time.Now()
	for _, t := range trials() {
		if len(o.Trials) > 0 && !slices.Contains(o.Trials, t.name) {
			continue
		}
		for _, side := range Sides() {
			if len(o.Sides) > 0 && !slices.Contains(o.Sides, side) || t.only != "" && string(t.only) != side {
				continue
			}
			if err := b.measure(ctx, t, viptest.Kind(side)); err != nil {
				return err
			}
		}
	}
	b.summary()
	fmt.Fprintf(out, "\nThe bench took %v.\n", time.Since(began).Round(time.Second))
	return nil
}

func known(what string, names, of []string) error {
	for _, name := range names {
		if !slices.Contains(of, name) {
			return fault.New(fault.Invalid, "bench: no %s %q, there are %s", what, name, strings.Join(of, ", "))
		}
	}
	return nil
}

// measure does a trial with one side as often as it is to be, and writes its row.
func (b *bench) measure(ctx context.Context, t trial, kind viptest.Kind) error {
	runs := t.runs
	if kind == viptest.Foreign && t.foreignRuns > 0 {
		runs = t.foreignRuns
	}
	if b.Short {
		runs = 2
	}
	var r results
	err := viptest.Outside(ctx, t.name+", "+string(kind), func(tb testing.TB) {
		p := newPair(tb, t, kind)
		for r.measured() < runs && len(r.late) < 2*runs && ctx.Err() == nil {
			r.add(t.run(p))
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "bench")
	}
	b.row(t, kind, &r)
	if t.bar != nil && kind == viptest.Everup {
		t.bar(b, &r)
	}
	return nil
}

// head names what is measured, and on what.
func (b *bench) head(ctx context.Context) {
	// keepalived writes its version to its standard error; where there is none the bench will say so.
	text, _ := exec.CommandContext(ctx, "keepalived", "--version").CombinedOutput()
	version, _, _ := strings.Cut(string(text), "\n")
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for no valid pointer
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(b.out, "## vip\n\n%s, %s, kernel %s, %d cores. `/proc/loadavg` before: %s; figures of a machine that others use are worth little.\n\n",
		time.Now().Format(time.DateOnly), version, unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), strings.TrimSpace(string(load)))
}
