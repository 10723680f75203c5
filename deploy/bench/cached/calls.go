package cached

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
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
			rows = append(rows, []string{r.name, who.name, fmt.Sprintf("%.3f", float64(total(calls))/float64(requests)), perRequest(calls, requests)})
		}
	}
	b.table(rows)
	return nil
}

func total(calls map[string]int64) int64 {
	var n int64
	for _, c := range calls {
		n += c
	}
	return n
}

// perRequest lists the calls that were made, the most frequent first.
func perRequest(calls map[string]int64, requests int) string {
	names := slices.SortedFunc(maps.Keys(calls), func(a, b string) int {
		return cmp.Or(-cmp.Compare(calls[a], calls[b]), cmp.Compare(a, b))
	})
	var out []string
	for _, n := range names {
		if v := float64(calls[n]) / float64(requests); v >= 0.0005 {
			out = append(out, fmt.Sprintf("%s %.3f", n, v))
		}
	}
	return strings.Join(out, ", ")
}
