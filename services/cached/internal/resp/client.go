package resp

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/session"
)

// redisVersion is the version of Redis whose commands these are, for clients that ask before they use some.
const redisVersion = "7.0.15"

// ping answers PING.
func (c *conn) ping(args [][]byte, out *session.Out) {
	switch len(args) {
	case 0:
		out.Buf = redcon.AppendString(out.Buf, "PONG")
	case 1:
		out.Buf = redcon.AppendBulk(out.Buf, args[0])
	default:
		out.Buf = redcon.AppendError(out.Buf, wrongNumber("ping"))
	}
}

func wrongNumber(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

func (c *conn) echo(args [][]byte, out *session.Out) { out.Buf = redcon.AppendBulk(out.Buf, args[0]) }

// selectDB answers SELECT: there is only database 0.
func (c *conn) selectDB(args [][]byte, out *session.Out) {
	n, ok := integer(args[0])
	switch {
	case !ok:
		out.Buf = redcon.AppendError(out.Buf, errInteger)
	case n != int64(int32(n)):
		out.Buf = redcon.AppendError(out.Buf, "ERR value is out of range, value must between -2147483648 and 2147483647")
	case n != 0:
		out.Buf = redcon.AppendError(out.Buf, "ERR DB index is out of range")
	default:
		out.Buf = redcon.AppendOK(out.Buf)
	}
}

func (c *conn) quitCmd(_ [][]byte, out *session.Out) {
	out.Buf = redcon.AppendOK(out.Buf)
	c.quit = true
}

// reset answers RESET: the connection is as new.
func (c *conn) reset(_ [][]byte, out *session.Out) {
	c.authed = !c.svc.guarded()
	c.client.name.Store(nil)
	out.Buf = redcon.AppendString(out.Buf, "RESET")
}

const (
	errWrongPass  = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
)

// auth answers AUTH.
func (c *conn) auth(args [][]byte, out *session.Out) {
	user, password := []byte(defaultUser), args[0]
	switch {
	case len(args) > 2:
		out.Buf = redcon.AppendError(out.Buf, errSyntax)
		return
	case len(args) == 2:
		user, password = args[0], args[1]
	case !c.svc.guarded():
		out.Buf = redcon.AppendError(out.Buf, errNoPassword)
		return
	}
	if !c.login(user, password) {
		out.Buf = redcon.AppendError(out.Buf, errWrongPass)
		return
	}
	out.Buf = redcon.AppendOK(out.Buf)
}

// login judges a password; a wrong one leaves the client as it was, as in Redis.
func (c *conn) login(user, password []byte) bool {
	if !c.svc.guarded() {
		return string(user) == defaultUser // a user without a password takes any
	}
	if !c.svc.admits(user, password, c.peer) {
		c.svc.counts.AuthErrors.Add(1)
		return false
	}
	c.authed = true
	return true
}

// hello answers HELLO.
func (c *conn) hello(args [][]byte, out *session.Out) {
	if len(args) > 0 {
		switch v, ok := integer(args[0]); {
		case !ok:
			out.Buf = redcon.AppendError(out.Buf, "ERR Protocol version is not an integer or out of range")
			return
		case v != 2:
			out.Buf = redcon.AppendError(out.Buf, "NOPROTO unsupported protocol version")
			return
		}
		if fault := c.helloOptions(args[1:]); fault != "" {
			out.Buf = redcon.AppendError(out.Buf, fault)
			return
		}
	}
	if !c.authed {
		out.Buf = redcon.AppendError(out.Buf, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	b := redcon.AppendArray(out.Buf, 14)
	b = redcon.AppendBulkString(redcon.AppendBulkString(b, "server"), "redis")
	b = redcon.AppendBulkString(redcon.AppendBulkString(b, "version"), redisVersion)
	b = redcon.AppendInt(redcon.AppendBulkString(b, "proto"), 2)
	b = redcon.AppendInt(redcon.AppendBulkString(b, "id"), c.client.id)
	b = redcon.AppendBulkString(redcon.AppendBulkString(b, "mode"), "standalone")
	b = redcon.AppendBulkString(redcon.AppendBulkString(b, "role"), "master")
	out.Buf = redcon.AppendArray(redcon.AppendBulkString(b, "modules"), 0)
}

func (c *conn) helloOptions(args [][]byte) (fault string) {
	for len(args) > 0 {
		switch {
		case is(args[0], "AUTH") && len(args) > 2:
			if !c.login(args[1], args[2]) {
				return errWrongPass
			}
			args = args[3:]
		case is(args[0], "SETNAME") && len(args) > 1:
			if !c.setName(args[1]) {
				return errName
			}
			args = args[2:]
		default:
			return "ERR Syntax error in HELLO option '" + string(upToNUL(args[0])) + "'"
		}
	}
	return ""
}

const (
	errName = "ERR Client names cannot contain spaces, newlines or special characters."
	// nameBytes bounds a client's name: it is kept as long as the connection.
	nameBytes = 256
)

// setName names the client, "" for no name.
func (c *conn) setName(name []byte) bool {
	if !plain(name) {
		return false
	}
	s := string(name[:min(len(name), nameBytes)])
	c.client.name.Store(&s)
	return true
}

// plain reports whether s is printable and without spaces.
func plain(s []byte) bool {
	return !slices.ContainsFunc(s, func(b byte) bool { return b < '!' || b > '~' })
}

func (cl *client) nameOr() string {
	if s := cl.name.Load(); s != nil {
		return *s
	}
	return ""
}

// clientCmd answers CLIENT.
func (c *conn) clientCmd(args [][]byte, out *session.Out) {
	sub := strings.ToLower(string(args[0][:min(len(args[0]), unknownMax)]))
	count := map[string]int{"id": 1, "getname": 1, "info": 1, "setname": 2, "setinfo": 3, "no-evict": 2, "no-touch": 2, "list": -1}[sub]
	switch {
	case count == 0:
		out.Buf = redcon.AppendError(out.Buf, unknownSub(args[0], "CLIENT"))
		return
	case count > 0 && len(args) != count:
		out.Buf = redcon.AppendError(out.Buf, wrongNumber("client|"+sub))
		return
	}
	switch sub {
	case "id":
		out.Buf = redcon.AppendInt(out.Buf, c.client.id)
	case "getname":
		if name := c.client.nameOr(); name != "" {
			out.Buf = redcon.AppendBulkString(out.Buf, name)
		} else {
			out.Buf = redcon.AppendNull(out.Buf)
		}
	case "info":
		out.Buf = redcon.AppendBulk(out.Buf, append(c.client.appendLine(nil, c.env.Clock.Now()), '\n'))
	case "list":
		out.Buf = redcon.AppendBulk(out.Buf, c.svc.clientList(c.env.Clock.Now()))
	case "setname":
		if !c.setName(args[1]) {
			out.Buf = redcon.AppendError(out.Buf, errName)
			return
		}
		out.Buf = redcon.AppendOK(out.Buf)
	case "setinfo":
		out.Buf = setInfo(args[1], args[2], out.Buf)
	default: // no-evict, no-touch: there is nothing to switch
		if !is(args[1], "ON") && !is(args[1], "OFF") {
			out.Buf = redcon.AppendError(out.Buf, errSyntax)
			return
		}
		out.Buf = redcon.AppendOK(out.Buf)
	}
}

// setInfo answers CLIENT SETINFO, by which libraries tell who they are; nothing is kept.
func setInfo(attribute, value, b []byte) []byte {
	switch {
	case !is(attribute, "LIB-NAME") && !is(attribute, "LIB-VER"):
		return redcon.AppendError(b, "ERR Unrecognized option '"+string(upToNUL(attribute))+"'")
	case !plain(value):
		return redcon.AppendError(b, "ERR "+strings.ToLower(string(attribute))+" cannot contain spaces, newlines or special characters.")
	}
	return redcon.AppendOK(b)
}

func unknownSub(sub []byte, name string) string {
	return "ERR unknown subcommand '" + string(upToNUL(sub[:min(len(sub), unknownMax)])) + "'. Try " + name + " HELP."
}

// listMost bounds the answer to CLIENT LIST, bytes: the oldest connections are told.
const listMost = 512 << 10

func (s *Service) clientList(now int64) (b []byte) {
	s.mu.Lock()
	all := make([]*client, 0, len(s.clients))
	for _, cl := range s.clients {
		all = append(all, cl)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(x, y *client) int { return cmp.Compare(x.id, y.id) })
	for _, cl := range all {
		if len(b) > listMost {
			break
		}
		b = append(cl.appendLine(b, now), '\n')
	}
	return b
}

// appendLine appends what CLIENT LIST tells of cl.
func (cl *client) appendLine(b []byte, now int64) []byte {
	last := "NULL"
	if cmd := cl.command.Load(); cmd != nil {
		last = cmd.name
	}
	number := func(name string, n int64) { b = strconv.AppendInt(append(b, name...), n, 10) }
	number("id=", cl.id)
	b = append(append(b, " addr="...), cl.remote...)
	b = append(append(b, " laddr="...), cl.local...)
	b = append(append(b, " name="...), cl.nameOr()...)
	number(" age=", max(now-cl.since, 0))
	number(" idle=", max(now-cl.last.Load(), 0))
	b = append(b, " flags=N db=0 sub=0 psub=0 multi=-1 cmd="...)
	b = append(append(b, last...), " user="+defaultUser+" resp=2"...)
	return b
}
