package resp

import (
	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// options are those of SET and GETEX.
type options struct {
	nx, xx, get, keep, persist bool
	timed                      bool // expires is given
	expires                    int64
	count                      bool // answer 1 or 0 instead of OK or null

	how, when []byte // the words that gave the time: EX 10
}

// allowed says which options a command has.
type allowed uint8

const (
	optExpiry  allowed = 1 << iota // EX PX EXAT PXAT
	optPersist                     // PERSIST
	optSet                         // NX XX GET KEEPTTL
)

// parse reads options, all but the time: Redis judges that later. Options that contradict each other are a syntax error.
func (o *options) parse(args [][]byte, a allowed) (fault string) {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case a&optSet != 0 && is(arg, "NX") && !o.xx:
			o.nx = true
		case a&optSet != 0 && is(arg, "XX") && !o.nx:
			o.xx = true
		case a&optSet != 0 && is(arg, "GET"):
			o.get = true
		case a&optSet != 0 && is(arg, "KEEPTTL") && o.how == nil:
			o.keep = true
		case a&optPersist != 0 && is(arg, "PERSIST") && o.how == nil:
			o.persist = true
		case o.keep, o.persist, i+1 == len(args), unitOf(arg) == unit{}, o.how != nil && unitOf(o.how) != unitOf(arg):
			return errSyntax
		default:
			o.how, o.when = arg, args[i+1]
			i++
		}
	}
	return ""
}

// time reads the time that the options of the command name give, if they do.
func (c *conn) time(name string, o *options) (fault string) {
	if o.how == nil {
		return ""
	}
	o.timed = true
	u := unitOf(o.how)
	o.expires, fault = c.expiry(name, o.when, u.ms, c.base(u))
	return fault
}

// base is the Unix time in milliseconds from which a time in u counts.
func (c *conn) base(u unit) int64 {
	if u.absolute {
		return 0
	}
	return c.svc.o.UnixMilli()
}

// unit is what a time is given in.
type unit struct {
	ms       int64
	absolute bool // since 1970
}

// unitOf returns the unit of an option that sets the expiry, the zero unit for another.
func unitOf(arg []byte) unit {
	switch {
	case is(arg, "EX"):
		return unit{1000, false}
	case is(arg, "PX"):
		return unit{1, false}
	case is(arg, "EXAT"):
		return unit{1000, true}
	case is(arg, "PXAT"):
		return unit{1, true}
	}
	return unit{}
}

// expiry reads a time that must be above 0, in units from base, both in milliseconds, and returns the Unix second at which it is over.
func (c *conn) expiry(name string, arg []byte, unit, base int64) (expires int64, fault string) {
	n, ok := integer(arg)
	if !ok {
		return 0, errInteger
	}
	if n <= 0 || n > (1<<63-1-base)/unit {
		return 0, errExpire(name)
	}
	return second(base + n*unit), ""
}

func errExpire(name string) string { return "ERR invalid expire time in '" + name + "' command" }

// lastSecond is the latest expiry that the engine keeps, in the year 2106: what is later is taken as this.
const lastSecond = 1<<32 - 2

// second rounds a Unix time in milliseconds up to a second. It is never engine.Never.
func second(ms int64) int64 {
	s := ms / 1000
	if ms%1000 > 0 {
		s++
	}
	return min(max(s, engine.Never+1), lastSecond)
}

// refuse answers that the condition of a SET did not hold; with GET the old value is the answer.
func (o *options) refuse(out *session.Out) {
	switch {
	case o.get:
	case o.count:
		out.Buf = redcon.AppendInt(out.Buf, 0)
	default:
		out.Buf = redcon.AppendNull(out.Buf)
	}
}

// agree answers that a SET was carried out.
func (o *options) agree(out *session.Out) {
	switch {
	case o.get:
	case o.count:
		out.Buf = redcon.AppendInt(out.Buf, 1)
	default:
		out.Buf = redcon.AppendOK(out.Buf)
	}
}
