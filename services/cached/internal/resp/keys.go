package resp

import (
	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

func (c *conn) delEach(key []byte, ok bool, _ *session.Out) {
	if !ok || !isKey(key) {
		return
	}
	ref := c.lock(key)
	if c.remove(&ref, key) {
		c.total++
	}
	ref.Unlock()
}

func (c *conn) existsEach(key []byte, ok bool, _ *session.Out) {
	if !ok || !isKey(key) {
		return
	}
	ref := c.lock(key)
	if ref.Found() {
		c.total++
	}
	ref.Unlock()
}

func (c *conn) touchEach(key []byte, ok bool, _ *session.Out) {
	if !ok || !isKey(key) {
		return
	}
	ref := c.lock(key)
	if ref.Found() {
		ref.Use()
		c.total++
	}
	ref.Unlock()
}

func (c *conn) totalTail(out *session.Out) { out.Buf = redcon.AppendInt(out.Buf, c.total) }

// kind answers TYPE: all is strings.
func (c *conn) kind(args [][]byte, out *session.Out) {
	c.total = 0
	if c.existsEach(args[0], true, out); c.total == 0 {
		out.Buf = redcon.AppendString(out.Buf, "none")
		return
	}
	out.Buf = redcon.AppendString(out.Buf, "string")
}

func (c *conn) expire(args [][]byte, out *session.Out) {
	c.expireAt("expire", args, 1000, c.svc.o.UnixMilli(), out)
}

func (c *conn) pexpire(args [][]byte, out *session.Out) {
	c.expireAt("pexpire", args, 1, c.svc.o.UnixMilli(), out)
}

func (c *conn) expireat(args [][]byte, out *session.Out) {
	c.expireAt("expireat", args, 1000, 0, out)
}

func (c *conn) pexpireat(args [][]byte, out *session.Out) {
	c.expireAt("pexpireat", args, 1, 0, out)
}

// expireAt answers EXPIRE and its relatives: the time counts from base, in milliseconds, in the given unit.
func (c *conn) expireAt(name string, args [][]byte, unit, base int64, out *session.Out) {
	only, fault := conditions(args[2:])
	n, ok := integer(args[1])
	switch {
	case fault != "":
	case !ok:
		fault = errInteger
	case n > (1<<63-1-base)/unit || n < (-1<<63)/unit:
		fault = errExpire(name)
	case !isKey(args[0]):
		fault = errKey
	}
	if fault != "" {
		out.Buf = redcon.AppendError(out.Buf, fault)
		return
	}
	at := base + n*unit
	ref := c.lock(args[0])
	defer ref.Unlock()
	if !ref.Found() || !only.hold(ref.Expires(), second(at)) {
		out.Buf = redcon.AppendInt(out.Buf, 0)
		return
	}
	if at <= c.svc.o.UnixMilli() {
		c.drop(&ref, args[0])
	} else {
		ops.Touch(&ref, second(at))
	}
	out.Buf = redcon.AppendInt(out.Buf, 1)
}

// condition is when EXPIRE is to do something.
type condition struct{ nx, xx, gt, lt bool }

// hold reports whether an expiry at old, which may be engine.Never, may be replaced by one at new.
func (o condition) hold(old, new int64) bool {
	never := old == engine.Never
	switch {
	case o.nx && !never, o.xx && never, o.gt && (never || new <= old), o.lt && !never && new >= old:
		return false
	}
	return true
}

func conditions(args [][]byte) (o condition, fault string) {
	for _, arg := range args {
		switch {
		case is(arg, "NX"):
			o.nx = true
		case is(arg, "XX"):
			o.xx = true
		case is(arg, "GT"):
			o.gt = true
		case is(arg, "LT"):
			o.lt = true
		default:
			return o, "ERR Unsupported option " + string(upToNUL(arg))
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		return o, "ERR NX and XX, GT or LT options at the same time are not compatible"
	case o.gt && o.lt:
		return o, "ERR GT and LT options at the same time are not compatible"
	}
	return o, ""
}

// persist answers PERSIST.
func (c *conn) persist(args [][]byte, out *session.Out) {
	done := int64(0)
	if isKey(args[0]) {
		ref := c.lock(args[0])
		if ref.Found() && ref.Expires() != engine.Never {
			ops.Touch(&ref, engine.Never)
			done = 1
		}
		ref.Unlock()
	}
	out.Buf = redcon.AppendInt(out.Buf, done)
}

func (c *conn) ttl(args [][]byte, out *session.Out) {
	c.remaining(args[0], out, func(ms int64) int64 { return ms / 1000 })
}

func (c *conn) pttl(args [][]byte, out *session.Out) {
	c.remaining(args[0], out, func(ms int64) int64 { return ms })
}

// remaining answers how long key still lives: -1 for ever, -2 there is none, else f of the milliseconds.
func (c *conn) remaining(key []byte, out *session.Out, f func(ms int64) int64) {
	n := c.expiresOf(key)
	if n > 0 {
		n = f(max(n*1000-c.svc.o.UnixMilli(), 0))
	}
	out.Buf = redcon.AppendInt(out.Buf, n)
}

func (c *conn) expiretime(args [][]byte, out *session.Out) {
	out.Buf = redcon.AppendInt(out.Buf, c.expiresOf(args[0]))
}

func (c *conn) pexpiretime(args [][]byte, out *session.Out) {
	n := c.expiresOf(args[0])
	if n > 0 {
		n *= 1000
	}
	out.Buf = redcon.AppendInt(out.Buf, n)
}

// expiresOf is the Unix second at which key dies, -1 if never, -2 if there is none.
func (c *conn) expiresOf(key []byte) int64 {
	if !isKey(key) {
		return -2
	}
	ref := c.lock(key)
	defer ref.Unlock()
	switch {
	case !ref.Found():
		return -2
	case ref.Expires() == engine.Never:
		return -1
	}
	return ref.Expires()
}

const (
	// scanCount is how many items a SCAN looks at unless it says otherwise, scanMost however many it wants.
	scanCount, scanMost = 10, 1000
	// scanParts bounds the parts of the store that one SCAN goes through: most are empty when there are few items.
	scanParts = 64
)

// scan answers SCAN.
func (c *conn) scan(args [][]byte, out *session.Out) {
	cur, ok := cursor(args[0])
	if !ok {
		out.Buf = redcon.AppendError(out.Buf, "ERR invalid cursor")
		return
	}
	pattern, count, strings, fault := scanOptions(args[1:])
	if fault != "" {
		out.Buf = redcon.AppendError(out.Buf, fault)
		return
	}
	var found []byte
	keys, seen := 0, 0
	for range scanParts {
		cur = c.env.Store.Scan(cur, count-seen, c.env.Clock.Now(), func(r *engine.Ref) {
			seen++
			if strings && (pattern == nil || match(pattern, r.Key())) {
				found = redcon.AppendBulk(found, r.Key())
				keys++
			}
		})
		if cur == 0 || seen >= count {
			break
		}
	}
	out.Buf = redcon.AppendArray(out.Buf, 2)
	out.Buf = redcon.AppendBulkUint(out.Buf, cur)
	out.Buf = append(redcon.AppendArray(out.Buf, keys), found...)
}

// scanOptions reads SCAN's options; strings is false when another type is asked for.
func scanOptions(args [][]byte) (pattern []byte, count int, strings bool, fault string) {
	count, strings = scanCount, true
	for ; len(args) >= 2; args = args[2:] {
		switch arg := args[1]; {
		case is(args[0], "MATCH"):
			pattern = arg
		case is(args[0], "COUNT"):
			n, ok := integer(arg)
			if !ok {
				return nil, 0, false, errInteger
			}
			if n < 1 {
				return nil, 0, false, errSyntax
			}
			count = int(min(n, scanMost))
		case is(args[0], "TYPE"):
			strings = is(arg, "STRING")
		default:
			return nil, 0, false, errSyntax
		}
	}
	if len(args) > 0 {
		fault = errSyntax
	}
	return pattern, count, strings, fault
}

func (c *conn) dbsize(_ [][]byte, out *session.Out) {
	out.Buf = redcon.AppendInt(out.Buf, c.env.Store.Stats().Items)
}

// flush answers FLUSHALL and FLUSHDB.
func (c *conn) flush(args [][]byte, out *session.Out) {
	switch {
	case len(args) > 1 || len(args) == 1 && !is(args[0], "ASYNC") && !is(args[0], "SYNC"):
		out.Buf = redcon.AppendError(out.Buf, errSyntax)
		return
	case c.env.NoFlush:
		out.Buf = redcon.AppendError(out.Buf, "ERR "+c.cmd.name+" not allowed")
		return
	}
	now := c.env.Clock.Now()
	c.env.Store.FlushAll(now, now)
	if c.peer.Note != nil {
		c.peer.Note.CmdFlush.Add(1)
	}
	if c.env.Flushed != nil {
		c.env.Flushed(0)
	}
	out.Buf = redcon.AppendOK(out.Buf)
}
