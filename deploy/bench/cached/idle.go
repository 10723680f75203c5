package cached

import (
	"context"
	"fmt"
	"time"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/process"
	"github.com/everup/everup/deploy/bench/report"
)

const idleLimit = 30 * time.Second // for all runs with one number of connections

// idle measures what a connection costs that has asked once and then rests.
func (b *bench) idle(ctx context.Context) error {
	counts := pick(b, []int{10_000, 100_000}, []int{1_000})
	b.section("Idle connections", "Over a unix socket, `-t 1`, each connection has asked for one key. Memory of the process; the kernel's own for the sockets is not in it. "+
		"In brackets the least and the most of the runs: a garbage-collected heap is not always equally full.")
	rows := [][]string{{"connections", "server", "RSS before", "RSS with them", "per connection"}}
	for _, n := range counts {
		if had := process.Files(n + process.SpareFiles); had < n+process.SpareFiles {
			fmt.Fprintf(b.out, "%d connections: a process may have %d descriptors here, so there are %d.\n\n", n, had, had-process.SpareFiles)
			n = had - process.SpareFiles
		}
		var all [2][]rested
		err := b.repeat(ctx, idleLimit, func(run int) error {
			for _, i := range order(run) {
				r, err := b.idleOf(ctx, b.sides[i], n)
				if err != nil {
					return fmt.Errorf("%s, %d connections: %w", b.sides[i].name, n, err)
				}
				all[i] = append(all[i], r)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, who := range b.sides {
			rows = append(rows, idleRow(n, who, all[i]))
		}
	}
	b.table(rows)
	b.fewer()
	return nil
}

// rested is the memory of a server in one run.
type rested struct{ before, after, each float64 }

func idleRow(n int, who side, all []rested) []string {
	each := func(r rested) float64 { return r.each }
	low, high := report.Spread(all, each)
	return []string{
		fmt.Sprint(n), who.name, report.Mebibytes(int64(report.Mid(all, func(r rested) float64 { return r.before }))), report.Mebibytes(int64(report.Mid(all, func(r rested) float64 { return r.after }))),
		fmt.Sprintf("%.0f B (%.0f–%.0f)", report.Mid(all, each), low, high),
	}
}

func (b *bench) idleOf(ctx context.Context, who side, n int) (r rested, err error) {
	err = b.with(ctx, who, "unix", 1, []string{"-m", "64", "-c", fmt.Sprint(n + 100), "-t", "1"}, func(s *server.Server, _ *load.Client) error {
		before, err := s.Memory()
		if err != nil {
			return err
		}
		c, err := load.Dial(ctx, s.Network, s.Address, n, 1)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Run(ctx, load.Workload{GetShare: 1, Keys: 1000, Sizes: load.Fixed(valueBytes), Requests: n}); err != nil {
			return err
		}
		after, err := s.Memory()
		r = rested{float64(before.RSS), float64(after.RSS), float64(after.RSS-before.RSS) / float64(n)}
		return err
	})
	return r, err
}
