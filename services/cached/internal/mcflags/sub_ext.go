package mcflags

import (
	"strings"
)

// extSuboptions are those of memcached's storage on flash. All are checked and none does anything.
func extSuboptions() []suboption {
	ext := func(of func(*Ext) *int64, unit int64) func(*parser, string) error {
		return sized(func(k *Kept) *int64 { return of(&k.Ext) }, unit)
	}
	return []suboption{
		{"ext_path", needsArgument, (*parser).extPath, "there is no storage on flash: values that do not fit into memory (-m) are evicted, and nothing is written to this file"},
		{"ext_page_size", needsArgument, (*parser).extPageSize, noFlash},
		{"ext_wbuf_size", needsArgument, ext(func(e *Ext) *int64 { return &e.WriteBuf }, 1<<20), noFlash},
		{"ext_threads", needsArgument, ext(func(e *Ext) *int64 { return &e.Threads }, 1), noFlash},
		{"ext_io_depth", needsArgument, ext(func(e *Ext) *int64 { return &e.Depth }, 1), noFlash},
		{"ext_item_size", needsArgument, ext(func(e *Ext) *int64 { return &e.ItemSize }, 1), noFlash},
		{"ext_item_age", needsArgument, ext(func(e *Ext) *int64 { return &e.ItemAge }, 1), noFlash},
		{"ext_low_ttl", needsArgument, ext(func(e *Ext) *int64 { return &e.LowTTL }, 1), noFlash},
		{"ext_recache_rate", needsArgument, ext(func(e *Ext) *int64 { return &e.RecacheRate }, 1), noFlash},
		{"ext_compact_under", needsArgument, ext(func(e *Ext) *int64 { return &e.CompactUnder }, 1), noFlash},
		{"ext_drop_under", needsArgument, ext(func(e *Ext) *int64 { return &e.DropUnder }, 1), noFlash},
		{"ext_max_sleep", needsArgument, ext(func(e *Ext) *int64 { return &e.MaxSleep }, 1), noFlash},
		{"ext_max_frag", needsArgument, (*parser).extMaxFrag, noFlash},
		{"ext_drop_unread", noArgument, func(p *parser, _ string) error { p.Kept.Ext.DropUnread = true; return nil }, noFlash},
	}
}

func (p *parser) extPageSize(v string) error {
	if len(p.Kept.Ext.Paths) > 0 {
		return wrong(p.at, "must stand before the first ext_path")
	}
	return sized(func(k *Kept) *int64 { return &k.Ext.PageSize }, 1<<20)(p, v)
}

func (p *parser) extMaxFrag(v string) (err error) {
	p.Kept.Ext.MaxFrag, err = p.real(v)
	return err
}

// extPath checks file:size, with a unit, and a bucket behind another colon.
func (p *parser) extPath(v string) error {
	const form = "must be file:size, the size a number with M, G, T or P"
	file, rest, _ := strings.Cut(v, ":")
	size, bucket, named := strings.Cut(rest, ":")
	if file == "" || size == "" || !strings.ContainsRune("mgtpMGTP", rune(size[len(size)-1])) {
		return wrong(p.at, form)
	}
	n, ok := whole(size[:len(size)-1])
	if !ok || n < 0 || n > maxFlash>>flashShift(size[len(size)-1]) {
		return wrong(p.at, form)
	}
	if named && !isBucket(bucket) {
		return wrong(p.at, "%s is not a bucket", quote(bucket))
	}
	if len(p.Kept.Ext.Paths) < maxListeners {
		p.Kept.Ext.Paths = append(p.Kept.Ext.Paths, file)
		p.Kept.Ext.Pages = n << flashShift(size[len(size)-1]) / max(p.Kept.Ext.PageSize, 1)
	}
	return nil
}

// maxFlash is the largest file on flash, bytes.
const maxFlash = 1 << 62

// flashShift is the power of two that the unit M, G, T or P stands for.
func flashShift(unit byte) int { return 20 + 10*strings.IndexByte("MGTP", unit&^0x20) }

func isBucket(s string) bool {
	switch s {
	case "default", "compact", "lowttl", "chunked", "old", "coldcompact":
		return true
	}
	return false
}
