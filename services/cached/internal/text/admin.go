package text

import (
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/stats"
)

// adminCommand carries out what is about the server and not about items.
func (t *turn) adminCommand(name string) session.Next {
	switch name {
	case "version":
		t.reply("VERSION " + stats.Version + crlf)
	case "verbosity":
		t.verbosity()
	case "cache_memlimit":
		t.memLimit()
	case "shutdown":
		return t.shutdown()
	case "refresh_certs":
		t.refreshCerts()
	case "slabs":
		t.slabs()
	case "lru":
		t.lru()
	case "lru_crawler":
		return t.lruCrawler()
	case "extstore":
		t.extstore()
	case "watch":
		return t.watch()
	default:
		t.misused()
		if t.looksLikeHTTP() && !ownLetter(name[0]) {
			return session.Close
		}
		t.reply(replyError)
	}
	return going
}

// ownLetter reports whether memcached answers ERROR to all unknown commands beginning so, browsers' or not.
func ownLetter(c byte) bool {
	switch c {
	case 'g', 's', 'a', 'c', 'i', 'd', 't':
		return true
	}
	return false
}

// verbosity is `verbosity level [noreply]`.
func (t *turn) verbosity() {
	if !t.argsBetween(1, 2) {
		return
	}
	t.maybeNoreply()
	level, ok := ops.Uint32(t.word(1))
	if !ok {
		t.reply(replyBadFormat)
		return
	}
	if t.env.Verbosity != nil {
		t.env.Verbosity(int(min(level, 2)))
	}
	t.reply(replyOK)
}

const (
	minLimit = 8             // MiB
	maxLimit = 1_000_000_000 // MiB: more must be meant as bytes
)

// memLimit is `cache_memlimit MiB [noreply]`.
func (t *turn) memLimit() {
	if !t.argsBetween(1, 2) {
		return
	}
	t.maybeNoreply()
	switch limit, ok := ops.Uint32(t.word(1)); {
	case !ok:
		t.reply(replyError)
	case limit < minLimit:
		t.reply("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n")
	case limit > maxLimit:
		t.reply("MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n")
	case t.setLimit(int64(limit)<<20) != nil:
		t.reply("MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n")
	default:
		t.reply(replyOK)
	}
}

func (t *turn) setLimit(bytes int64) error {
	if t.env.Limit != nil {
		return t.env.Limit(bytes)
	}
	return t.store.SetLimit(bytes)
}

// shutdown is `shutdown [graceful]`.
func (t *turn) shutdown() session.Next {
	switch {
	case t.env.Shutdown == nil:
		t.reply("SERVER_ERROR: shutdown not enabled\r\n")
	case t.ntok == 1:
		t.env.Shutdown(false)
		return session.Close
	case t.ntok == 2 && t.is(1, "graceful"):
		t.env.Shutdown(true)
		return session.Close
	default:
		t.reply("CLIENT_ERROR invalid shutdown mode\r\n")
	}
	return going
}

// refreshCerts is `refresh_certs [noreply]`. An error is answered as memcached does, by its text.
func (t *turn) refreshCerts() {
	t.maybeNoreply()
	if t.env.Certs == nil {
		t.replyError("Error TLS not enabled\r\n")
		return
	}
	if err := t.env.Certs(); err != nil {
		t.replyError(err.Error() + crlf)
		return
	}
	t.reply(replyOK)
}
