package text

import (
	"bytes"

	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// maxLogin is the longest value of a login, bytes.
const maxLogin = 16 << 10

// login takes the line of `set key flags exptime length`, whose value is to be user and password. Nothing else is carried out before.
func (t *turn) login() session.Next {
	rest := t.in[t.pos:]
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		if len(rest) > maxLine {
			t.misused()
			return session.Close
		}
		return session.More
	}
	line := rest[:end]
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	t.split(line)
	t.pos += end + 1
	length, ok := ops.Uint32(t.word(4))
	if !ok || !t.is(0, "set") {
		t.replyError("CLIENT_ERROR unauthenticated\r\n")
		return t.pause()
	}
	if length > maxLogin {
		t.replyError("CLIENT_ERROR auth token too long\r\n")
		return session.Close
	}
	t.left = int64(length)
	t.enter(loginBody)
	return going
}

// loginBody takes the value of a login.
func (t *turn) loginBody() session.Next {
	length := int(t.left)
	value := t.in[t.pos:]
	if len(value) < length+2 {
		return session.More
	}
	t.pos += length + 2
	t.enter(login)
	if !lineEnds(value, length) {
		t.replyError("CLIENT_ERROR bad command line termination\r\n")
		return t.pause()
	}
	value = value[:length]
	if i := bytes.IndexByte(value, 0); i >= 0 {
		value = value[:i]
	}
	t.split(value)
	if t.ntok < 2 {
		t.replyError("CLIENT_ERROR bad authentication token format\r\n")
		return t.pause()
	}
	ok := t.env.Password != nil && t.env.Password(t.word(0), t.word(1), t.peer)
	if t.note != nil {
		t.note.AuthCmds.Add(1)
		if !ok {
			t.note.AuthErrors.Add(1)
		}
	}
	if !ok {
		t.replyError("CLIENT_ERROR authentication failure\r\n")
		return t.pause()
	}
	t.enter(command)
	t.replyError("STORED\r\n")
	return going
}

// pause goes on with the turn while its budget lasts: attempts to log in are commands, too.
func (t *turn) pause() session.Next {
	if t.keys--; t.keys <= 0 && t.pos < len(t.in) {
		return session.Yield
	}
	return going
}
