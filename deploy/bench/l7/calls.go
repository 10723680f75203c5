package l7

import (
	"context"
	"errors"
	"fmt"

	"github.com/everup/everup/deploy/bench/report"
	"github.com/everup/everup/shared/fault"
)

// calls counts system calls per request. The counting itself costs time, so nothing else is taken from these runs.
func (b *bench) calls(ctx context.Context) error {
	b.section("System calls", "Of the proxy per request, counted by perf.")
	table := [][]string{{"load", "proxy", "calls/request", "by name"}}
	for _, r := range b.chosen() {
		for i := range b.proxies {
			calls, ops, err := b.callsOf(ctx, &b.proxies[i], r)
			if errors.Is(err, fault.Unsupported) {
				fmt.Fprintf(b.out, "Not counted: %v (needs Debian's linux-perf, root and the kernel's trace events)\n", err)
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", b.proxies[i].name, err)
			}
			table = append(table, []string{r.name, b.proxies[i].name, fmt.Sprintf("%.2f", float64(report.Total(calls))/float64(ops)), report.PerRequest(calls, ops, 2)})
		}
	}
	report.Table(b.out, table)
	return nil
}

func (b *bench) callsOf(ctx context.Context, p *proxy, r row) (calls map[string]int64, ops int, err error) {
	s, err := b.start(ctx, p)
	if err != nil {
		return nil, 0, err
	}
	defer s.Kill()
	calls, err = s.Calls(ctx, b.dir, func() error {
		got, err := r.load(ctx, b, s.at)
		ops = got.ops
		return err
	})
	return calls, ops, err
}
