package text

import (
	"bytes"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/stats"
)

// maxClass is how many slab classes memcached can have, class 0 included.
const maxClass = 64

// float reads a number for a setting.
func float(s []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(s), 64)
	return f, err == nil
}

// slabs is `slabs reassign|automove …`. There are no slabs to move: what memcached would accept is accepted, and a move finds no page.
func (t *turn) slabs() {
	switch {
	case t.ntok == 4 && t.is(1, "reassign"):
		t.reassign()
	case t.ntok >= 3 && t.is(1, "automove"):
		t.maybeNoreply()
		t.automove()
	default:
		t.reply(replyError)
	}
}

func (t *turn) reassign() {
	if stats.Setting(t.env, "slab_reassign") == "no" {
		t.reply("CLIENT_ERROR slab reassignment disabled\r\n")
		return
	}
	from, fromOK := ops.Int32(t.word(2))
	to, toOK := ops.Int32(t.word(3))
	last := int32(len(engine.ChunkSizes()))
	switch {
	case !fromOK || !toOK:
		t.reply(replyBadFormat)
	case from == to:
		t.reply("SAME src and dst class are identical\r\n")
	case from < 0 || to < 0 || from > last || to > last: // -1, any class, finds no page in none
		t.reply("BADCLASS invalid src or dst class id\r\n")
	default:
		t.reply("NOSPARE source class has no spare pages\r\n")
	}
}

func (t *turn) automove() {
	arg := t.word(3)
	switch string(t.word(2)) {
	case "ratio":
		if _, ok := float(arg); !ok {
			t.reply(replyError)
			return
		}
	case "freeratio": // the next two are newer than 1.6.18
		if _, ok := float(arg); !ok {
			t.reply(replyBadFormat)
			return
		}
	case "window":
		n, ok := ops.Uint32(arg)
		if !ok {
			t.reply(replyBadFormat)
			return
		}
		if n < 3 || n > 1800 {
			t.reply("CLIENT_ERROR automove window too low or too high\r\n")
			return
		}
	default:
		level, ok := ops.Uint32(t.word(2))
		if !ok {
			t.reply(replyBadFormat)
			return
		}
		if level > 2 {
			t.reply(replyError)
			return
		}
	}
	t.reply(replyOK)
}

// lru is `lru tune|mode|temp_ttl …`: checked and without effect, cached tunes itself.
func (t *turn) lru() {
	if t.ntok < 2 {
		t.reply(replyError)
		return
	}
	t.maybeNoreply()
	maintained := stats.Setting(t.env, "lru_maintainer_thread") != "no"
	text := replyError
	switch {
	case t.is(1, "tune") && t.ntok >= 6:
		text = t.lruTune()
	case t.is(1, "mode") && t.ntok >= 3 && maintained:
		if t.is(2, "flat") || t.is(2, "segmented") {
			text = replyOK
		}
	case t.is(1, "temp_ttl") && t.ntok >= 3 && maintained:
		if _, ok := ops.Int32(t.word(2)); ok {
			text = replyOK
		}
	}
	t.reply(text)
}

func (t *turn) lruTune() string {
	hot, hotOK := ops.Uint32(t.word(2))
	warm, warmOK := ops.Uint32(t.word(3))
	hotAge, hotAgeOK := float(t.word(4))
	warmAge, warmAgeOK := float(t.word(5))
	switch {
	case !hotOK || !warmOK || !hotAgeOK || !warmAgeOK:
		return replyError
	case hot+warm > 80:
		return "ERROR hot and warm pcts must not exceed 80\r\n"
	case hotAge <= 0 || warmAge <= 0:
		return "ERROR hot/warm age factors must be greater than 0\r\n"
	}
	return replyOK
}

// extstore is `extstore setting value`: checked and without effect, there is no flash tier.
func (t *turn) extstore() {
	if t.ntok < 2 {
		t.reply(replyError)
		return
	}
	t.maybeNoreply()
	ok := false
	if t.ntok >= 3 {
		switch string(t.word(1)) {
		case "free_memchunks":
			class, classOK := ops.Uint32(t.word(2))
			_, limitOK := ops.Uint32(t.word(3))
			ok = t.ntok > 3 && classOK && limitOK && class < maxClass
		case "item_size", "item_age", "low_ttl", "recache_rate", "compact_under", "drop_under", "max_sleep", "drop_unread":
			_, ok = ops.Uint32(t.word(2))
		case "max_frag":
			_, ok = float(t.word(2))
		}
	}
	if ok {
		t.reply(replyOK)
	} else {
		t.reply(replyError)
	}
}

// lruCrawler is `lru_crawler …`.
func (t *turn) lruCrawler() session.Next {
	switch {
	case t.ntok == 3 && t.is(1, "crawl"):
		t.crawl()
	case t.ntok == 3 && t.is(1, "metadump"):
		return t.dump(metadump)
	case t.ntok == 3 && t.is(1, "mgdump"):
		return t.dump(mgdump)
	case t.ntok == 3 && t.is(1, "tocrawl"):
		if _, ok := ops.Uint32(t.word(2)); ok {
			t.reply(replyOK)
		} else {
			t.reply(replyBadFormat)
		}
	case t.ntok == 3 && t.is(1, "sleep"):
		switch n, ok := ops.Uint32(t.word(2)); {
		case !ok:
			t.reply(replyBadFormat)
		case n > 1_000_000:
			t.reply("CLIENT_ERROR sleep must be one second or less\r\n")
		default:
			t.reply(replyOK)
		}
	case t.ntok == 2 && t.is(1, "enable"):
		if t.env.CrawlerOff.CompareAndSwap(true, false) {
			t.reply(replyOK)
		} else {
			t.reply("ERROR failed to start lru crawler thread\r\n")
		}
	case t.ntok == 2 && t.is(1, "disable"):
		t.env.CrawlerOff.Store(true)
		t.reply(replyOK)
	default:
		t.reply(replyError)
	}
	return going
}

// crawl is `lru_crawler crawl classes`: some of what has expired is taken back at once, of whatever class.
func (t *turn) crawl() {
	classes, text := t.crawlable("CLIENT_ERROR lru crawler disabled\r\n")
	switch {
	case text != "":
	case classes.hash:
		text = "ERROR an unknown error happened\r\n"
	case classes.set == 0:
		text = "NOTSTARTED no items to crawl\r\n"
	default:
		t.store.Sweep(t.now, crawlItems)
		text = replyOK
	}
	t.reply(text)
}

// crawlItems is how many items a crawl looks at: a client must not keep a loop busy for long.
const crawlItems = 1000

// classes are slab classes that a command is for: hash stands for all, in the order of the table.
type classes struct {
	set  uint64
	hash bool
}

func (c classes) has(class int) bool { return c.hash || c.set&(1<<class) != 0 }

// crawlable reads word 2, a list of classes; text is the error to answer.
func (t *turn) crawlable(disabled string) (c classes, text string) {
	if t.env.CrawlerOff.Load() {
		return c, disabled
	}
	switch w := t.word(2); string(w) {
	case "all":
		c.set = ^uint64(0)
	case "hash":
		c.hash = true
	default:
		for id := range bytes.SplitSeq(w, []byte(",")) {
			if len(id) == 0 {
				continue
			}
			n, ok := ops.Uint32(id)
			if !ok || n < 1 || n >= maxClass {
				return c, "BADCLASS invalid class id\r\n"
			}
			c.set |= 1 << n
		}
	}
	return c, ""
}
