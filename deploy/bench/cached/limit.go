package cached

import (
	"cmp"
	"context"
	"fmt"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/report"
)

// phase is a time in which the users of the cache have values of one kind.
type phase struct {
	name  string
	sizes load.Sizes
}

func phases() []phase {
	return []phase{
		{"100 B", load.Fixed(100)}, {"1 KB", load.Fixed(1000)}, {"10 KB", load.Fixed(10_000)}, {"100 KB", load.Fixed(100_000)}, {"100 B", load.Fixed(100)},
		{"1 B to 512 KB", load.Sizes{Min: 1, Max: 512_000}},
	}
}

// limit fills a cache with values of one size, then shifts the sizes: the keys of each phase are new. It shows whether the memory limit holds
// and whether the memory serves the values that are asked for now.
func (b *bench) limit(ctx context.Context) error {
	mib := pick(b, 256, 32)
	b.section("Memory limit", fmt.Sprintf("`-m %d -t 1`, one server through all phases. A phase sets new keys, 1.25 times the limit in keys and values, each once; then asks for them by Zipf's "+
		"law (0.9) and sets what is missed; hits are counted in the second half of that. live: keys and values of the phase that are there at its end, by a "+
		"sample. RSS: the most so far.", mib))
	rows := [][]string{{"phase", "server", "hits", "live", "RSS", "refused"}}
	results := make([][2][]string, len(phases()))
	for i, who := range b.sides {
		err := b.with(ctx, who, "unix", 8, []string{"-m", fmt.Sprint(mib), "-c", "1024", "-t", "1"}, func(s *server.Server, c *load.Client) error {
			var first uint32
			for n, p := range phases() {
				keys := int(1.25 * float64(mib) * (1 << 20) / (keyBytes + p.sizes.Mean()))
				row, err := b.phase(ctx, s, c, p, first, keys)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				results[n][i] = append([]string{p.name, who.name}, row...)
				first += uint32(keys)
			}
			return b.limitBar(s, i, mib)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
	}
	for _, r := range results {
		rows = append(rows, r[:]...)
	}
	b.table(rows)
	return nil
}

// limitBar compares the most memory ever held with the bar.
func (b *bench) limitBar(s *server.Server, i, mib int) error {
	m, err := s.Memory()
	if err != nil || i != 1 {
		return err
	}
	allowed := int64(mib)<<20*11/10 + 30e6
	b.bar("memory limit: most RSS, sizes shifting", report.Mebibytes(m.Peak), "≤ "+report.Mebibytes(allowed), m.Peak <= allowed)
	return nil
}

// phase returns the cells of one phase of one side.
func (b *bench) phase(ctx context.Context, s *server.Server, c *load.Client, p phase, first uint32, keys int) ([]string, error) {
	w := load.Workload{Depth: 32, Order: load.Sequential, FirstKey: first, Keys: keys, Sizes: p.sizes}
	filled, err := c.Run(ctx, w)
	if err != nil {
		return nil, err
	}
	w.Depth, w.Order, w.Skew, w.GetShare, w.Refill = 16, load.Zipf, 0.9, 1, true
	w.Requests = pick(b, min(max(keys, 20_000), 400_000), min(keys, 10_000))
	if _, err := c.Run(ctx, w); err != nil {
		return nil, err
	}
	w.Seed = 1 // other draws
	asked, err := c.Run(ctx, w)
	if err != nil {
		return nil, err
	}
	live, err := c.Run(ctx, load.Workload{Depth: 16, GetShare: 1, FirstKey: first, Keys: keys, Sizes: p.sizes, Requests: min(keys, 20_000)})
	if err != nil {
		return nil, err
	}
	m, err := s.Memory()
	if err != nil {
		return nil, err
	}
	bytes := float64(live.Values+int64(live.Hits)*keyBytes) / float64(live.Gets) * float64(keys)
	refused := fmt.Sprint(filled.Refused + asked.Refused)
	if words := cmp.Or(filled.Refusal, asked.Refusal); words != "" {
		refused += " (" + words + ")"
	}
	return []string{report.Percent(float64(asked.Hits) / float64(asked.Gets)), report.Mebibytes(int64(bytes)), report.Mebibytes(m.Peak), refused}, nil
}
