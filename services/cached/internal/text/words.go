package text

import (
	"bytes"

	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// words carries out the command at the beginning of rest, whose newline is at end, word by word.
func (t *turn) words(rest []byte, end int) session.Next {
	line := commandLine(rest, end)
	from := 0
	for from < len(line) && line[from] == ' ' {
		from++
	}
	to := tokenEnd(line, from)
	name := line[from:to]
	if len(name) == 2 && name[0] == 'm' {
		t.split(line)
		return t.metaCommand(name[1], end+1)
	}
	if len(name) >= 3 && (name[0] == 'g' || string(name) == "bget") {
		return t.getCommand(string(name), line, to, end)
	}
	t.split(line)
	if mode, cmd, ok := storeMode(string(name)); ok {
		return t.storeCommand(mode, cmd, end+1)
	}
	t.pos += end + 1
	if len(name) < 2 {
		t.reply(replyError)
		return going
	}
	return t.otherCommand(string(name))
}

// getCommand is the family of get; its keys are not split off beforehand, there may be thousands.
func (t *turn) getCommand(name string, line []byte, to, end int) session.Next {
	var l lookup
	switch name {
	case "get", "bget": // memcached still knows its ancient binary get
	case "gets":
		l.cas = true
	case "gat":
		l.touch = true
	case "gats":
		l.touch, l.cas = true, true
	default:
		return t.errorLine(end)
	}
	for to < len(line) && line[to] == ' ' {
		to++
	}
	if to == len(line) {
		return t.errorLine(end)
	}
	if l.touch {
		from := to
		to = tokenEnd(line, from)
		exptime, ok := ops.Int32(line[from:to])
		if !ok {
			t.pos += end + 1
			t.reply(replyExptime)
			return going
		}
		l.expires = ops.Expires(int64(exptime), t.now, t.env.Started)
	}
	return t.startLookup(line, to, end, l)
}

// errorLine answers ERROR to the line whose newline is at end.
func (t *turn) errorLine(end int) session.Next {
	t.pos += end + 1
	t.misused()
	t.reply(replyError)
	return going
}

// storeMode finds a command of the set family by its name.
func storeMode(name string) (ops.Mode, session.Cmd, bool) {
	switch name {
	case "set":
		return ops.Set, session.Set, true
	case "add":
		return ops.Add, session.Add, true
	case "replace":
		return ops.Replace, session.Replace, true
	case "append":
		return ops.Append, session.Append, true
	case "prepend":
		return ops.Prepend, session.Prepend, true
	case "cas":
		return ops.CAS, session.Cas, true
	}
	return 0, 0, false
}

// storeCommand is `set key flags exptime length [noreply]` and its likes, with header bytes of command line.
func (t *turn) storeCommand(mode ops.Mode, cmd session.Cmd, header int) session.Next {
	args := 5
	if mode == ops.CAS {
		args = 6
	}
	if t.ntok != args && t.ntok != args+1 {
		t.pos += header
		t.reply(replyError)
		return going
	}
	t.maybeNoreply()
	w := write{key: t.word(1), cmd: cmd, drop: mode == ops.Set}
	w.store.Mode = mode
	flags, flagsOK := ops.Uint32(t.word(2))
	exptime, exptimeOK := ops.Int32(t.word(3))
	length, lengthOK := ops.Int32(t.word(4))
	ok := len(w.key) <= maxKey && flagsOK && exptimeOK && lengthOK && length >= 0 && length <= maxLength
	if mode == ops.CAS && ok {
		w.store.Compare, ok = ops.Uint(t.word(5))
	}
	if !ok {
		t.pos += header
		t.reply(replyBadFormat)
		return going
	}
	w.length = int(length)
	w.store.Value.Flags = flags
	w.store.Value.Expires = ops.Expires(int64(exptime), t.now, t.env.Started)
	return t.write(&w, header)
}

// maybeNoreply notes whether the last word asks for no reply.
func (t *turn) maybeNoreply() {
	if t.ntok > 0 && string(t.word(t.ntok-1)) == "noreply" {
		t.noreply = true
	}
}

// looksLikeHTTP reports whether the line is a browser's request or one smuggled in by its help.
func (t *turn) looksLikeHTTP() bool {
	return t.ntok > 0 && bytes.HasPrefix(t.word(t.ntok-1), []byte("HTTP/"))
}
