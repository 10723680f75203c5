package text

import (
	"cmp"
	"context"
	"encoding/base64"
	"net"
	"slices"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// dumpKind is a way of listing keys.
type dumpKind struct {
	name, refused, end string
	line               func(b []byte, r *engine.Ref) []byte
}

// The two kinds: every detail for people, and commands for programs that fetch the items.
var (
	metadump = dumpKind{"metadump", "ERROR metadump not allowed\r\n", "END\r\n", appendMetadump}
	mgdump   = dumpKind{"mgdump", "ERROR key dump not allowed\r\n", "EN\r\n", appendMgdump}
)

// dump is `lru_crawler metadump|mgdump classes`: a goroutine lists the keys, one dump at a time.
func (t *turn) dump(kind dumpKind) session.Next {
	c, text := t.crawlable("CLIENT_ERROR lru crawler disabled\r\n")
	switch {
	case t.env.CrawlerOff.Load():
	case t.env.NoDump:
		text = kind.refused
	case t.stacked:
		text = "ERROR cannot pipeline other commands before " + kind.name + crlf
	case text != "":
	case !c.hash && c.set == 0:
		text = "NOTSTARTED no items to crawl\r\n"
	case !t.env.Dump.CompareAndSwap(false, true):
		text = "BUSY currently processing crawler request\r\n"
	default:
		return t.detach(&dumpJob{env: t.env, kind: kind, classes: c})
	}
	t.reply(text)
	return going
}

// dumpJob lists keys. It holds Env.Dump.
type dumpJob struct {
	env     *session.Env
	kind    dumpKind
	classes classes
}

func (j *dumpJob) drop() { j.env.Dump.Store(false) }

func (j *dumpJob) run(ctx context.Context, conn net.Conn) bool {
	var buf []byte
	ok := scan(ctx, j.env, func(r *engine.Ref) {
		if j.classes.has(r.Class()) {
			buf = j.kind.line(buf, r)
		}
	}, func() bool {
		if len(buf) < chunk {
			return true
		}
		sent := send(conn, buf)
		buf = buf[:0]
		return sent
	})
	return ok && send(conn, append(buf, j.kind.end...))
}

// scanStep is how many items are looked at between two calls of then.
const scanStep = 128

// scan calls f for each item and then after each step, until that returns false or ctx ends; it reports whether all were seen.
func scan(ctx context.Context, env *session.Env, f func(r *engine.Ref), then func() bool) bool {
	for cursor := uint64(0); ; {
		cursor = env.Store.Scan(cursor, scanStep, env.Clock.Now(), f)
		if !then() || ctx.Err() != nil {
			return false
		}
		if cursor == 0 {
			return true
		}
	}
}

func appendMetadump(b []byte, r *engine.Ref) []byte {
	b = watch.AppendURI(append(b, "key="...), r.Key())
	exp := int64(-1)
	if r.Expires() != engine.Never {
		exp = r.Expires()
	}
	b = strconv.AppendInt(append(b, " exp="...), exp, 10)
	b = strconv.AppendInt(append(b, " la="...), r.LastAccess(), 10)
	b = strconv.AppendUint(append(b, " cas="...), r.CAS(), 10)
	fetch := " fetch=no"
	if r.Fetched() {
		fetch = " fetch=yes"
	}
	b = append(b, fetch...)
	b = strconv.AppendInt(append(b, " cls="...), int64(r.Class()), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(r.Size()), 10)
	return append(b, '\n')
}

func appendMgdump(b []byte, r *engine.Ref) []byte {
	b = append(b, "mg "...)
	if !r.Coded() && plainKey(r.Key()) {
		b = append(b, r.Key()...)
	} else {
		b = append(base64.StdEncoding.AppendEncode(b, r.Key()), " b"...)
	}
	return append(b, crlf...)
}

// plainKey reports whether a key can be written in a command as it is.
func plainKey(key []byte) bool {
	for _, c := range key {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// maxCacheDump bounds what a cachedump lists, bytes: memcached's bound.
const maxCacheDump = 2 << 20

// cacheJob is `stats cachedump`: the youngest items first.
type cacheJob struct {
	env          *session.Env
	class, limit int
}

func (j *cacheJob) drop() {}

func (j *cacheJob) run(ctx context.Context, conn net.Conn) bool {
	type entry struct {
		cas  uint64
		line []byte
	}
	var all []entry
	size := 0
	full := func() bool { return size < maxCacheDump }
	scan(ctx, j.env, func(r *engine.Ref) {
		if r.Class() != j.class || !full() {
			return
		}
		line := append(append([]byte("ITEM "), r.Key()...), " ["...)
		line = strconv.AppendInt(line, int64(r.Len()), 10)
		line = strconv.AppendInt(append(line, " b; "...), r.Expires(), 10)
		line = append(line, " s]\r\n"...)
		all, size = append(all, entry{r.CAS(), line}), size+len(line)
	}, full)
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(b.cas, a.cas) })
	if j.limit > 0 && j.limit < len(all) {
		all = all[:j.limit]
	}
	var b []byte
	for _, e := range all {
		b = append(b, e.line...)
	}
	return send(conn, append(b, "END\r\n"...))
}

const (
	sizeStep  = 32      // bytes per line of `stats sizes`
	sizeSteps = 1 << 16 // lines; what is larger counts for the last
)

// sizesJob is `stats sizes`: how many items there are of each size.
type sizesJob struct{ env *session.Env }

func (j *sizesJob) drop() {}

func (j *sizesJob) run(ctx context.Context, conn net.Conn) bool {
	counts := map[int]int{}
	if !scan(ctx, j.env, func(r *engine.Ref) {
		counts[min((r.Size()+sizeStep-1)/sizeStep, sizeSteps)]++
	}, func() bool { return true }) {
		return false
	}
	sizes := make([]int, 0, len(counts))
	for s := range counts {
		sizes = append(sizes, s)
	}
	slices.Sort(sizes)
	var b []byte
	for _, s := range sizes {
		b = appendStat(b, strconv.Itoa(s*sizeStep), strconv.Itoa(counts[s]))
	}
	return send(conn, append(b, "END\r\n"...))
}
