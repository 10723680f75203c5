package cached

import (
	"context"
	"fmt"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/report"
)

const (
	overheadItems = 5_000_000
	keyBytes      = 16
	valueBytes    = 100
)

// overhead measures what an item costs beyond its key and value.
func (b *bench) overhead(ctx context.Context) error {
	items := pick(b, overheadItems, overheadItems/20)
	b.section("Memory per item", fmt.Sprintf("%d items, keys of %d bytes, values of %d, `-m 2048 -t 1`. overhead: resident memory less key and value, per item; "+
		"growth counts from the memory of the empty server, all counts everything.", items, keyBytes, valueBytes))
	rows := [][]string{{"server", "RSS empty", "RSS full", "overhead (growth)", "overhead (all)", "items"}}
	for i, who := range b.sides {
		err := b.with(ctx, who, "unix", 8, []string{"-m", "2048", "-c", "1024", "-t", "1"}, func(s *server.Server, c *load.Client) error {
			empty, err := s.Memory()
			if err != nil {
				return err
			}
			if err := fill(ctx, c, 0, items, load.Fixed(valueBytes)); err != nil {
				return err
			}
			full, err := s.Memory()
			if err != nil {
				return err
			}
			r, err := c.Run(ctx, load.Workload{GetShare: 1, Multiget: 100, Keys: items, Sizes: load.Fixed(valueBytes), Requests: 1000})
			if err != nil {
				return err
			}
			if r.Misses > 0 {
				return fmt.Errorf("%d of %d keys are missing", r.Misses, r.Gets)
			}
			count, err := s.Stat("curr_items")
			if err != nil {
				return err
			}
			over := func(bytes int64) float64 { return float64(bytes)/float64(items) - keyBytes - valueBytes }
			rows = append(rows, []string{who.name, report.Mebibytes(empty.RSS), report.Mebibytes(full.RSS), fmt.Sprintf("%.1f B", over(full.RSS-empty.RSS)),
				fmt.Sprintf("%.1f B", over(full.RSS)), fmt.Sprint(count)})
			if i == 1 {
				b.bar("overhead per item (RSS beyond key and value)", fmt.Sprintf("%.1f B", over(full.RSS)), "≤ 40 B", over(full.RSS) <= 40)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
	}
	b.table(rows)
	return nil
}
