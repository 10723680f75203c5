// Package l7 measures everup's lbd beside Debian's HAProxy and nginx as HTTP proxies: the rows of BARS.md "lbd" that are about layer 7.
//
// Each proxy has one thread and runs on one core; an nginx that answers, and the load, run on the other. The proxies take turns within a
// run, and medians and their ratio count, since machines are shared and noisy. CPU time per operation is read from the proxy's own CPU
// clock, in nanoseconds: that the members and the load share a core bounds throughput, not that figure.
//
// All of them do the same: they tell members the client by X-Forwarded-For and nothing else, and write no log. They keep connections to members.
//
// Loads over HTTP/1.1 are wrk's, over HTTP/2 h2load's; TLS handshakes, idle connections and the open loop are made here. Whatever they ask
// for they check: an operation that failed fails the bench.
//
// Run is one sequence; what it starts in goroutines it waits for. Time is bounded by counts and durations that are written down with
// the rows: about six minutes in all, half a minute with Short.
package l7

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/deploy/bench/process"
	"github.com/everup/everup/deploy/bench/report"
	"github.com/everup/everup/shared/fault"
)

// Options of a bench.
type Options struct {
	Subject   string   // lbd's binary
	Peers     []string // of haproxy and nginx
	Runs      int      // of each proxy
	Short     bool     // shorter runs: shows that the bench works
	ProxyCore int
	LoadCore  int
	Parts     []string // to run; empty: all
	Rows      string   // a word in the names of the rows of speed to run; empty: all
}

// part is a piece of the bench that prints a section of its own.
type part struct {
	name string
	run  func(*bench, context.Context) error
}

func parts() []part {
	return []part{{"speed", (*bench).speed}, {"handshakes", (*bench).handshakes}, {"latency", (*bench).latency}, {"calls", (*bench).calls}, {"idle", (*bench).idle}}
}

// Parts returns the names of the parts.
func Parts() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// bench is one run of it.
type bench struct {
	Options
	proxies []proxy // the peers, then the subject
	out     io.Writer
	dir     string
	keys    keyPair
	backend *process.Process
	bars    []bar
}

// bar is one row of the summary.
type bar struct {
	what, figure, wanted string
	met                  bool
}

// Run runs the bench and writes its tables in Markdown.
func Run(ctx context.Context, out io.Writer, o Options) error {
	b := &bench{Options: o, out: out}
	for _, name := range o.Parts {
		if !slices.Contains(Parts(), name) {
			return fault.New(fault.Invalid, "bench: no part %q, there are %s", name, strings.Join(Parts(), ", "))
		}
	}
	var err error
	if b.proxies, err = proxies(o.Peers, o.Subject); err != nil {
		return err
	}
	if err := process.Pin(o.LoadCore); err != nil {
		return err
	}
	process.Files(2*idleConnections + process.SpareFiles)
	if b.dir, err = os.MkdirTemp("", "bench-l7"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.keys, err = makeKeys(b.dir); err != nil {
		return err
	}
	if err := b.startBackend(ctx); err != nil {
		return err
	}
	defer b.backend.Kill()
	if err := b.head(ctx); err != nil {
		return err
	}
	began := time.Now()
	for _, p := range parts() {
		if len(o.Parts) > 0 && !slices.Contains(o.Parts, p.name) {
			continue
		}
		runtime.GC() // what the last part left is not to be collected during the next
		if err := p.run(b, ctx); err != nil {
			return fault.Wrap(fault.Of(err), err, "bench: %s", p.name)
		}
	}
	b.summary()
	fmt.Fprintf(out, "\nThe bench took %v.\n", time.Since(began).Round(time.Second))
	return nil
}

// head names what is measured, and on what.
func (b *bench) head(ctx context.Context) error {
	var versions []string
	for _, p := range b.proxies {
		v, err := p.version(ctx)
		if err != nil {
			return err
		}
		versions = append(versions, v)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "## lbd, layer 7\n\n%s, %s, kernel %s, %d cores, the proxy with one thread on core %d, members (nginx) and load on core %d, medians of %d runs of each in turn. "+
		"`/proc/loadavg` before: %s.\n",
		time.Now().Format(time.DateOnly), strings.Join(versions, ", "), unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), b.ProxyCore, b.LoadCore, b.Runs,
		strings.TrimSpace(string(load)))
	return nil
}

// section begins a part of the report.
func (b *bench) section(title, text string) { fmt.Fprintf(b.out, "\n### %s\n\n%s\n\n", title, text) }

// summary prints the bars of BARS.md that were measured.
func (b *bench) summary() {
	if len(b.bars) == 0 {
		return
	}
	b.section("The bars", "What BARS.md asks of lbd, by the figures above.")
	rows := [][]string{{"what", "figure", "bar", "met"}}
	for _, r := range b.bars {
		met := "**no**"
		if r.met {
			met = "yes"
		}
		rows = append(rows, []string{r.what, r.figure, r.wanted, met})
	}
	report.Table(b.out, rows)
}

// order returns the proxies' indexes in the order of the i-th run: who goes first changes each time.
func (b *bench) order(i int) []int {
	var out []int
	for k := range b.proxies {
		out = append(out, (i+k)%len(b.proxies))
	}
	return out
}

// subject is the index of lbd.
func (b *bench) subject() int { return len(b.proxies) - 1 }

// pick returns the first in a full bench, the second in a short one.
func pick[T any](b *bench, full, short T) T {
	if b.Short {
		return short
	}
	return full
}
