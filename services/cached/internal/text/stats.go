package text

import (
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/stats"
)

// stats is `stats [what …]`. Long answers are made and sent by a goroutine.
func (t *turn) stats() session.Next {
	switch string(t.word(1)) {
	case "":
		t.buf = collect(t.buf, t.env, stats.General)
	case "settings":
		t.buf = collect(t.buf, t.env, stats.Settings)
	case "items":
		t.buf = collect(t.buf, t.env, stats.Items)
	case "slabs":
		t.buf = collect(t.buf, t.env, stats.Slabs)
	case "extstore": // there is none, and nothing to say of it
	case "reset":
		stats.Reset(t.env)
		t.reply("RESET\r\n")
		return going
	case "detail":
		return t.statsDetail()
	case "cachedump":
		return t.cacheDump()
	case "sizes":
		if stats.Setting(t.env, "track_sizes") == "yes" {
			return t.detach(&sizesJob{env: t.env})
		}
		t.buf = appendStat(t.buf, "sizes_status", "disabled")
	case "sizes_enable":
		t.buf = appendStat(t.buf, "sizes_status", "enabled")
		return going
	case "sizes_disable":
		t.buf = appendStat(t.buf, "sizes_status", "disabled")
		return going
	case "conns":
		return t.detach(&connsJob{env: t.env})
	default:
		t.reply(replyError)
		return going
	}
	t.buf = append(t.buf, "END\r\n"...)
	t.stacked = false
	return going
}

// collect appends the lines that from tells.
func collect(dst []byte, env *session.Env, from func(*session.Env, stats.Emit)) []byte {
	from(env, func(name, value string) { dst = appendStat(dst, name, value) })
	return dst
}

func appendStat(dst []byte, name, value string) []byte {
	dst = append(append(dst, "STAT "...), name...)
	return append(append(append(dst, ' '), value...), crlf...)
}

func (t *turn) statsDetail() session.Next {
	switch string(t.word(2)) {
	case "on":
		t.env.Prefixes.Enable(true)
		t.reply(replyOK)
	case "off":
		t.env.Prefixes.Enable(false)
		t.reply(replyOK)
	case "dump":
		return t.detach(textJob(t.env.Prefixes.AppendDump(nil)))
	default:
		t.reply("CLIENT_ERROR usage: stats detail on|off|dump\r\n")
	}
	return going
}

// cacheDump is `stats cachedump class limit`.
func (t *turn) cacheDump() session.Next {
	class, classOK := ops.Uint32(t.word(2))
	limit, limitOK := ops.Uint32(t.word(3))
	switch {
	case t.env.NoDump:
		t.reply("CLIENT_ERROR stats cachedump not allowed\r\n")
	case t.ntok < 4:
		t.reply("CLIENT_ERROR bad command line\r\n")
	case !classOK || !limitOK:
		t.reply(replyBadFormat)
	case class >= maxClass:
		t.reply("CLIENT_ERROR Illegal slab id\r\n")
	default:
		return t.detach(&cacheJob{env: t.env, class: int(class), limit: int(limit)})
	}
	return going
}
