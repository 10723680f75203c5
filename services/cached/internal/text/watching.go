package text

import (
	"context"
	"net"

	"github.com/everup/everup/services/cached/internal/session"
)

// topicOf is the topic of a word of `watch`; those of the proxy exist, but nothing is ever logged there.
func topicOf(word string) (session.Topic, bool) {
	switch word {
	case "fetchers":
		return session.Fetchers, true
	case "mutations":
		return session.Mutations, true
	case "evictions":
		return session.Evictions, true
	case "connevents":
		return session.ConnEvents, true
	case "deletions":
		return session.Deletions, true
	case "rawcmds":
		return session.RawCmds, true
	case "sysevents":
		return session.SysEvents, true
	case "proxyreqs", "proxyevents", "proxyuser":
		return 0, true
	}
	return 0, false
}

// watch is `watch [topic…]`: from here on the connection gets log lines.
func (t *turn) watch() session.Next {
	t.maybeNoreply()
	if t.env.NoWatch || t.env.Watch.Join == nil {
		t.reply("CLIENT_ERROR watch commands not allowed\r\n")
		return going
	}
	if t.stacked {
		t.reply("ERROR cannot pipeline other commands before watch\r\n")
		return going
	}
	topics := session.Topic(0)
	for i := 1; i < t.ntok; i++ {
		topic, ok := topicOf(string(t.word(i)))
		if !ok {
			t.reply(replyError)
			return going
		}
		topics |= topic
	}
	if t.ntok == 1 {
		topics = session.Fetchers
	}
	w := t.env.Watch.Join(topics)
	if w == nil {
		t.reply("WATCHER_TOO_MANY log watcher limit reached\r\n")
		return going
	}
	t.replyError(replyOK)
	return t.detach(watchJob{w})
}

// watchJob is a watcher.
type watchJob struct{ watcher session.Watcher }

func (j watchJob) run(ctx context.Context, conn net.Conn) bool {
	j.watcher.Run(ctx, conn)
	return false
}

func (j watchJob) drop() { j.watcher.Close() }
