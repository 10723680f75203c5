// Package cached measures everup's cached beside Debian's memcached: the rows of BARS.md "cached", each side with the same flags, on
// the same core, in turn.
//
// The servers run on one core and the load on another; BARS.md says how figures are taken: machines are shared and noisy, so
// the two sides alternate and medians and their ratio count. CPU time per request is read from the server's CPU clock, in nanoseconds.
// What the load generator itself costs stands beside, since it shares the machine: where it, not the server, was the limit, the
// server was not busy all the time, and the report says how busy it was.
//
// The machine must have nothing else to do. A better priority is no help: what TCP over loopback does in soft interrupts is put off to
// ksoftirqd, which would then wait for the very processes that wait for it.
//
// Run is one sequence without goroutines of its own. It bounds its time by counts and durations that are written down in the
// file of each part, and takes fewer runs than asked for where the machine is slow: about eight minutes in all, half a minute with Short. Its memory is bounded by -m of the servers, 4 GiB at most.
package cached

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/process"
	"github.com/everup/everup/shared/fault"
)

// Options of a bench.
type Options struct {
	Peer       string   // memcached's binary
	Subject    string   // the binary compared with it; it takes memcached's flags
	Runs       int      // of each side, for what is noisy
	Short      bool     // smaller counts and shorter runs: shows that the bench works
	ServerCore int      // that the servers run on
	LoadCore   int      // that this process runs on
	Parts      []string // to run; empty: all
	Loads      string   // a word in the names of the loads of speed to run; empty: all
	Shm        string   // directory on tmpfs for the memory files of warm restarts
}

// part is a piece of the bench that prints a section of its own.
type part struct {
	name string
	run  func(*bench, context.Context) error
}

func parts() []part {
	return []part{
		{"speed", (*bench).speed}, {"latency", (*bench).latency}, {"calls", (*bench).calls}, {"overhead", (*bench).overhead},
		{"limit", (*bench).limit}, {"restart", (*bench).restart}, {"idle", (*bench).idle},
	}
}

// Parts returns the names of the parts.
func Parts() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// side is one of the two that are compared.
type side struct {
	name string // as in the tables
	path string
}

// bench is one run of it.
type bench struct {
	Options
	sides [2]side // the peer, the subject
	out   io.Writer
	dir   string // scratch
	bars  []bar
	done  int // the fewest runs that any row of the part is of
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
	if err := process.Pin(o.LoadCore); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-cached")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if err := b.head(ctx); err != nil {
		return err
	}
	began := time.Now()
	for _, p := range parts() {
		if len(o.Parts) > 0 && !slices.Contains(o.Parts, p.name) {
			continue
		}
		runtime.GC() // what the last part left is not to be collected during the next
		b.done = o.Runs
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
	peer, err := server.Version(ctx, b.Peer)
	if err != nil {
		return err
	}
	subject, err := server.Version(ctx, b.Subject)
	if err != nil {
		return err
	}
	b.sides = [2]side{{filepath.Base(b.Peer), b.Peer}, {filepath.Base(b.Subject), b.Subject}}
	if b.sides[0].name == b.sides[1].name {
		b.sides[1].name += " (again)"
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "## cached\n\n%s, %s, %s, kernel %s, %d cores, servers on core %d, load on core %d, medians of %d runs of each in turn where nothing else is said. "+
		"`/proc/loadavg` before: %s; figures of a machine that others use are worth little.\n",
		time.Now().Format(time.DateOnly), peer, subject, unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), b.ServerCore, b.LoadCore, b.Runs,
		strings.TrimSpace(string(load)))
	return nil
}

// start starts one side. Every start has a directory of its own.
func (b *bench) start(ctx context.Context, s side, network string, args ...string) (*server.Server, error) {
	dir, err := os.MkdirTemp(b.dir, "server")
	if err != nil {
		return nil, err
	}
	return server.Start(ctx, server.Spec{Path: s.path, Args: args, Network: network, Dir: dir, Core: b.ServerCore})
}

// repeat calls f for each run, fewer times when another run would probably go beyond the limit, and says how many there were.
func (b *bench) repeat(ctx context.Context, limit time.Duration, f func(run int) error) error {
	began := time.Now()
	var longest time.Duration
	done := 0
	for ; done < b.Runs; done++ {
		if done > 0 && time.Since(began)+longest > limit {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		if err := f(done); err != nil {
			return err
		}
		longest = max(longest, time.Since(start))
	}
	b.done = min(b.done, done)
	return nil
}

// order returns the sides in the order of the i-th run: who goes first changes each time.
func order(i int) [2]int {
	if i%2 == 0 {
		return [2]int{0, 1}
	}
	return [2]int{1, 0}
}

// pick returns the first in a full bench, the second in a short one.
func pick[T any](b *bench, full, short T) T {
	if b.Short {
		return short
	}
	return full
}
