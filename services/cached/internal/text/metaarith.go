package text

import (
	"encoding/base64"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// metaArith is `ma key flags…`.
func (t *turn) metaArith() {
	var f metaFlags
	if t.parseFlags(&f, 2, false) != "" {
		t.replyError(errEither)
		return
	}
	a := ops.Arith{Delta: f.delta, CAS: f.cas}
	switch f.mode {
	case 0, 'I', '+':
	case 'D', '-':
		a.Decr = true
	default:
		t.replyError("CLIENT_ERROR invalid mode for ma M token\r\n")
		return
	}
	if f.compare {
		a.Compare = f.compareCAS
	}
	r := t.store.Lock(f.key, t.now)
	t.lookedUp(&r)
	t.stacked = true
	if text := t.metaAdd(&r, &f, &a); text != "" {
		t.replyError(text)
	}
	r.Unlock()
}

// metaAdd carries out and answers a; it returns the error to answer instead.
func (t *turn) metaAdd(r *engine.Ref, f *metaFlags, a *ops.Arith) string {
	n, out := ops.AddDelta(r, a)
	switch out {
	case ops.Stored:
		t.stored(r)
		return t.metaNumber(r, f, n, false, f.quiet)
	case ops.NonNumeric:
		return replyNonNumeric
	case ops.NoMemory:
		return replyOutOfMemory
	case ops.Exists:
		return t.metaCode("EX", f)
	}
	if !f.vivify {
		ops.MissedDelta(r, a.Decr)
		return t.metaCode("NF", f)
	}
	var digits [20]byte
	if r.Put(engine.Value{CAS: f.cas}, strconv.AppendUint(digits[:0], f.initial, 10)) != nil {
		return "SERVER_ERROR Out of memory allocating new item\r\n"
	}
	t.sawStore(r, &write{key: f.key, cmd: session.MetaArith, store: ops.Store{Mode: ops.Add}}, ops.Stored)
	t.stored(r)
	return t.metaNumber(r, f, f.initial, true, false) // memcached hides only what was counted, not what was created
}

// metaCode answers a code with key and opaque.
func (t *turn) metaCode(code string, f *metaFlags) string {
	var e echo
	if !t.echoOf(&e, 2, f.binary) {
		return errOpaque
	}
	t.buf = append(e.append(append(t.buf, code...), f.key, 0, false), crlf...)
	return ""
}

// metaNumber does what the flags ask for and answers n.
func (t *turn) metaNumber(r *engine.Ref, f *metaFlags, n uint64, created, hide bool) string {
	var number [20]byte
	digits := strconv.AppendUint(number[:0], n, 10)
	b := t.buf
	if f.value {
		b = appendUint(append(b, "VA "...), uint64(len(digits)))
	} else {
		b = append(b, "HD"...)
	}
	for i := 2; i < t.ntok; i++ {
		switch w := t.word(i); w[0] {
		case 'c':
			b = appendUint(append(b, " c"...), r.CAS())
		case 't':
			b = t.appendTTL(append(b, " t"...), r.Expires())
		case 'T':
			r.Touch(f.touchAt)
		case 'N':
			if created {
				r.Touch(f.vivifyAt)
			}
		case 'O':
			if len(w) > maxOpaque {
				return errOpaque
			}
			b = append(append(b, ' '), w...)
		case 'k':
			b = appendKey(b, f.key, f.binary)
		}
	}
	if f.value {
		b = append(append(b, crlf...), digits...)
	}
	if !hide {
		t.buf = append(b, crlf...)
	}
	return ""
}

// metaDebug is `me key [b]`.
func (t *turn) metaDebug() session.Next {
	if t.ntok < 2 || len(t.word(1)) > maxKey {
		t.reply(replyBadFormat)
		return going
	}
	key, binary := t.word(1), t.is(2, "b")
	if binary {
		key = t.decode(key)
		if len(key) == 0 {
			t.reply(replyBadFormat)
			return going
		}
	}
	t.meter.Begin()
	r := t.store.Lock(key, t.now)
	t.lookedUp(&r)
	r.Count(engine.CmdMeta)
	t.stacked = true
	if r.Found() {
		t.buf = t.appendDebug(t.buf, &r)
	} else {
		t.buf = append(t.buf, "EN\r\n"...)
	}
	r.Unlock()
	t.meter.End(session.MetaDebug)
	return going
}

// appendDebug appends what is known of r's item. The expiry is given as memcached gives it: seconds since it, so that what
// is still to come is negative, and what never expires is as what expires in a second.
func (t *turn) appendDebug(b []byte, r *engine.Ref) []byte {
	b = append(b, "ME "...)
	if r.Coded() {
		b = base64.StdEncoding.AppendEncode(b, r.Key())
	} else {
		b = append(b, r.Key()...)
	}
	exp := int64(-1)
	if r.Expires() != engine.Never {
		exp = t.now - r.Expires()
	}
	b = strconv.AppendInt(append(b, " exp="...), exp, 10)
	b = strconv.AppendInt(append(b, " la="...), max(t.now-r.LastAccess(), 0), 10)
	b = strconv.AppendUint(append(b, " cas="...), r.CAS(), 10)
	fetch := " fetch=no"
	if r.Fetched() {
		fetch = " fetch=yes"
	}
	b = append(b, fetch...)
	b = strconv.AppendInt(append(b, " cls="...), int64(r.Class()), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(r.Size()), 10)
	return append(b, crlf...)
}
