package mcflags

import (
	"math"
	"strings"
)

// slabSuboptions are those of memcached's slabs and LRU queues.
func slabSuboptions() []suboption {
	set := func(of func(*Kept) *bool, to bool) func(*parser, string) error {
		return func(p *parser, _ string) error { *of(&p.Kept) = to; return nil }
	}
	reassign := func(k *Kept) *bool { return &k.SlabReassign }
	crawler := func(k *Kept) *bool { return &k.LRUCrawler }
	pct := span{1, 79, "must be at least 1 and below 80"}
	return []suboption{
		{"slab_reassign", noArgument, set(reassign, true), noSlabs},
		{"no_slab_reassign", noArgument, set(reassign, false), noSlabs},
		{"slab_automove", noArgument, (*parser).slabAutomove, noSlabs},
		{"no_slab_automove", noArgument, func(p *parser, _ string) error { p.Kept.SlabAutomove = 0; return nil }, noSlabs},
		{"slab_automove_ratio", needsArgument, (*parser).automoveRatio, noSlabs},
		{"slab_automove_window", needsArgument, number(func(k *Kept) *int64 { return &k.AutomoveWindow }, span{3, math.MaxInt32, "must be greater than 2"}), noSlabs},
		{"slab_automove_freeratio", needsArgument, (*parser).automoveFreeRatio, noSlabs},
		{"slab_sizes", needsArgument, (*parser).slabSizes, noSlabs},
		{"slab_chunk_max", needsArgument, (*parser).slabChunkMax, noSlabs},
		{"no_chunked_items", noArgument, func(p *parser, _ string) error { p.Kept.SlabChunkMax = 1 << 20; return nil }, noSlabs},
		{"tail_repair_time", needsArgument, number(func(k *Kept) *int64 { return &k.TailRepairTime }, span{10, math.MaxInt32, "must be at least 10 seconds"}), noLRU},
		{"lru_crawler", noArgument, set(crawler, true), crawlerCommands},
		{"no_lru_crawler", noArgument, set(crawler, false), crawlerCommands},
		{"lru_crawler_sleep", needsArgument, number(func(k *Kept) *int64 { return &k.CrawlerSleep }, span{0, 1e6, "must be between 0 and 1 second"}), noCrawler},
		{"lru_crawler_tocrawl", needsArgument, sized(func(k *Kept) *int64 { return &k.CrawlerToCrawl }, 1), noCrawler},
		{"lru_maintainer", noArgument, (*parser).lruMaintainer, noLRU},
		{"no_lru_maintainer", noArgument, (*parser).noLRUMaintainer, noLRU},
		{"hot_lru_pct", needsArgument, number(func(k *Kept) *int64 { return &k.HotPct }, pct), noLRU},
		{"warm_lru_pct", needsArgument, number(func(k *Kept) *int64 { return &k.WarmPct }, pct), noLRU},
		{"hot_max_factor", needsArgument, factor(func(k *Kept) *float64 { return &k.HotMaxFactor }), noLRU},
		{"warm_max_factor", needsArgument, factor(func(k *Kept) *float64 { return &k.WarmMaxFactor }), noLRU},
		{"temporary_ttl", needsArgument, (*parser).temporaryTTL, "items of a short life have no queue of their own and may be evicted before they expire"},
	}
}

// slabAutomove reads 0, 1 or 2; alone it stands for 1.
func (p *parser) slabAutomove(v string) (err error) {
	if v == "" {
		v = "1"
	}
	p.Kept.SlabAutomove, err = p.atoi(v, span{0, 2, "must be between 0 and 2"})
	return err
}

func (p *parser) automoveRatio(v string) (err error) {
	const why = "must be greater than 0 and at most 1"
	p.Kept.AutomoveRatio, err = p.above(v, 0, why)
	if p.Kept.AutomoveRatio > 1 {
		return wrong(p.at, why)
	}
	return err
}

func (p *parser) automoveFreeRatio(v string) (err error) {
	p.Kept.AutomoveFreeRatio, err = p.real(v)
	return err
}

func factor(of func(*Kept) *float64) func(*parser, string) error {
	return func(p *parser, v string) error {
		x, err := p.above(v, 0, "must be greater than 0")
		*of(&p.Kept) = x
		return err
	}
}

func (p *parser) lruMaintainer(string) error {
	p.Kept.LRUMaintainer, p.Kept.LRUSegmented = true, true
	return nil
}

func (p *parser) noLRUMaintainer(string) error {
	p.Kept.LRUMaintainer, p.Kept.LRUSegmented = false, false
	return nil
}

func (p *parser) temporaryTTL(v string) (err error) {
	p.Kept.TempTTL, err = p.atoi(v, span{math.MinInt32, math.MaxInt32, "is not a number of 32 bits"})
	p.Kept.TempLRU = true
	return err
}

// slabChunkMax takes any size above 0. memcached asks for one that divides -I and its pages; there is nothing to divide here.
func (p *parser) slabChunkMax(v string) (err error) {
	p.Kept.SlabChunkMax, err = p.strict(v, span{1, math.MaxInt32, "is not a size"})
	return err
}

// slabSizes checks sizes between dashes: each at least memcached's smallest chunk and larger than the one before.
func (p *parser) slabSizes(v string) error {
	const smallest, largest, most = 48, 512 << 10, 62
	last, sizes := int64(0), strings.Split(v, "-")
	if len(sizes) > most {
		return wrong(p.at, "more than %d sizes", most)
	}
	for _, s := range sizes {
		n, ok := whole(s)
		if !ok || n < smallest || n > largest {
			return wrong(p.at, "%s is not a size within %d and %d", quote(s), smallest, largest)
		}
		if n <= last {
			return wrong(p.at, "%d is not greater than the size before it", n)
		}
		last = n
	}
	return nil
}
