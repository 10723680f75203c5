package binary

import (
	"bytes"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// mechanism is the only one: PLAIN, RFC 4616.
	mechanism = "PLAIN"
	// maxMechanism is the longest name of a mechanism, bytes.
	maxMechanism = 32
	// maxProof bounds what a client sends to authenticate: RFC 4616 allows three strings of 255 bytes. A longer proof fails unread.
	maxProof = 1024
)

// allowed reports whether the request may be served before the client is authenticated, or the client is.
func (c *conn) allowed() bool {
	switch c.req.base {
	case opSASLList, opSASLAuth, opSASLStep, opVersion:
		return true
	}
	return c.authed
}

// mechanisms answers the list of mechanisms. As in memcached, asking begins the authentication anew.
func (c *conn) mechanisms(out *session.Out) {
	if !c.env.SASL {
		out.Buf = appendError(out.Buf, &c.req, statusUnknown)
		return
	}
	c.authed = false
	out.Buf = append(appendHeader(out.Buf, &c.req, statusOK, 0, 0, len(mechanism), 0), mechanism...)
}

// authenticating answers SASL's start and step, whose proof follows at in[n:].
func (c *conn) authenticating(in []byte, n int, out *session.Out) (int, session.Next, bool) {
	r := &c.req
	switch {
	case !c.env.SASL:
		return c.unproved(statusUnknown, n, out)
	case len(r.key) > maxMechanism:
		return c.unproved(statusInvalid, n, out)
	case engine.ItemSize(len(r.key), int(r.value), 0, !c.env.NoCAS) > engine.LargestChunk: // memcached keeps it as an item
		return c.unproved(statusOutOfMemory, n, out)
	case r.value > maxProof:
		c.failed()
		return c.unproved(statusAuth, n, out)
	case int64(len(in)-n) < r.value:
		return 0, session.More, false
	}
	c.authenticate(in[n:n+int(r.value)], out)
	return n + int(r.value), session.More, true
}

// unproved answers s and has the proof skipped.
func (c *conn) unproved(s status, n int, out *session.Out) (int, session.Next, bool) {
	out.Buf = appendError(out.Buf, &c.req, s)
	c.drop(c.req.value)
	return n, session.More, true
}

// authenticate judges a proof. Whatever was proved before is forgotten first, and a step counts only after a start of this
// very exchange, so that no second attempt passes on what the first left behind.
func (c *conn) authenticate(proof []byte, out *session.Out) {
	r := &c.req
	started := c.started
	c.authed, c.started = false, false
	switch {
	case !bytes.EqualFold(r.key, []byte(mechanism)) && r.base == opSASLAuth, !started && r.base == opSASLStep:
	case r.base == opSASLAuth && len(proof) == 0:
		c.started = true
		out.Buf = appendHeader(out.Buf, r, statusAuthGoOn, 0, 0, 0, 0)
		return
	case c.proves(proof):
		c.note.AuthCmds.Add(1)
		c.authed = true
		out.Buf = append(appendHeader(out.Buf, r, statusOK, 0, 0, len(authenticated), 0), authenticated...)
		return
	}
	c.failed()
	out.Buf = appendError(out.Buf, r, statusAuth)
}

const authenticated = "Authenticated"

func (c *conn) failed() {
	c.authed, c.started = false, false
	c.note.AuthCmds.Add(1)
	c.note.AuthErrors.Add(1)
}

// proves judges a message of PLAIN: authorization identity, NUL, user, NUL, password. Nobody may act for somebody else.
func (c *conn) proves(proof []byte) bool {
	as, rest, ok := bytes.Cut(proof, []byte{0})
	if !ok {
		return false
	}
	user, password, ok := bytes.Cut(rest, []byte{0})
	if !ok || len(user) == 0 || len(as) > 0 && !bytes.Equal(as, user) || bytes.IndexByte(password, 0) >= 0 {
		return false
	}
	return c.env.Password != nil && c.env.Password(user, password, c.peer)
}
