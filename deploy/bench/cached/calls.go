package cached

import (
	"context"
	"errors"
	"fmt"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/report"
	"github.com/everup/everup/shared/fault"
)

// calls counts system calls per request. The counting itself costs time, so nothing else is taken from these runs.
func (b *bench) calls(ctx context.Context) error {
	requests := pick(b, 100_000, 5_000)
	b.section("System calls", fmt.Sprintf("Of the server per request, counted by perf over %d requests, TCP, `-t 1`, 90 %% gets.", requests))
	rows := [][]string{{"load", "server", "calls/request", "by name"}}
	for _, r := range []struct {
		name               string
		connections, depth int
	}{{"1 connection, depth 1", 1, 1}, {"50 connections, depth 1", 50, 1}, {"50 connections, depth 16", 50, 16}} {
		for _, who := range b.sides {
			var calls map[string]int64
			err := b.with(ctx, who, "tcp", r.connections, []string{"-m", "1024", "-c", "1024", "-t", "1"}, func(s *server.Server, c *load.Client) error {
				if err := fill(ctx, c, 0, 1000, load.Fixed(speedSize)); err != nil {
					return err
				}
				var err error
				calls, err = s.Calls(ctx, b.dir, func() error {
					_, err := c.Run(ctx, load.Workload{Depth: r.depth, GetShare: 0.9, Keys: 1000, Sizes: load.Fixed(speedSize), Requests: requests})
					return err
				})
				return err
			})
			if errors.Is(err, fault.Unsupported) {
				fmt.Fprintf(b.out, "Not counted: %v (needs Debian's linux-perf, root and the kernel's trace events)\n", err)
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
			rows = append(rows, []string{r.name, who.name, fmt.Sprintf("%.3f", float64(report.Total(calls))/float64(requests)), report.PerRequest(calls, requests, 3)})
		}
	}
	b.table(rows)
	return nil
}
