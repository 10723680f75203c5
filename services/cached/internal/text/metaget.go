package text

import (
	"slices"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// metaRoom is more than an mg's answer takes beside its key and value.
const metaRoom = 256

// metaGet is `mg key flags…`.
func (t *turn) metaGet() session.Next {
	var f metaFlags
	if t.ntok > 2 {
		if text := t.parseFlags(&f, 2, false); text != "" {
			t.replyError(text)
			return going
		}
	} else {
		f.key = t.word(1)
	}
	t.stacked = true
	t.buf = slices.Grow(t.buf, metaRoom+2*len(f.key))
	r := t.store.Lock(f.key, t.now)
	if t.watched() {
		t.sawLookup(&r, false)
	}
	created := false
	if !r.Found() && f.vivify {
		created = r.Put(engine.Value{CAS: f.cas}, nil) == nil // its expiry comes when it is the turn of N
	}
	if !r.Found() {
		r.Count(engine.CmdGet)
		r.Count(engine.GetMisses)
		r.Unlock()
		t.metaMiss(&f)
		return going
	}
	big := t.metaHit(&r, &f, created)
	r.Unlock()
	if big {
		t.get = lookup{value: true}
		t.enter(keys)
		return session.Flush
	}
	return going
}

// metaMiss answers EN.
func (t *turn) metaMiss(f *metaFlags) {
	mark := len(t.buf)
	b := append(t.buf, "EN"...)
	for i := 2; i < t.ntok; i++ {
		switch w := t.word(i); w[0] {
		case 'O':
			if len(w) > maxOpaque {
				t.buf = t.buf[:mark]
				t.replyError(errOpaque)
				return
			}
			b = append(append(b, ' '), w...)
		case 'k':
			b = appendKey(b, f.key, f.binary)
		}
	}
	if !f.quiet {
		t.buf = append(b, crlf...)
	}
}

// metaHit answers with the item of r. It reports whether the value goes out from where it lies.
func (t *turn) metaHit(r *engine.Ref, f *metaFlags, created bool) (big bool) {
	value := f.value && !(f.compare && f.compareCAS == r.CAS())
	b := t.buf
	if value {
		b = appendUint(append(b, "VA "...), uint64(r.Len()))
	} else {
		b = append(b, "HD"...)
	}
	b, won, ok := t.metaFields(b, r, f, created)
	if !ok {
		t.replyError(errOpaque)
		return false
	}
	b = append(tokens(b, r, won), crlf...)
	if value {
		n := r.Len()
		t.bytes -= n
		if n > engine.PinAbove {
			t.big, big = r.Pin(), true
		} else {
			b = append(r.AppendValue(b), crlf...)
		}
	}
	t.buf = b
	if !f.noBump {
		r.Use()
	}
	if f.touch {
		r.Count(engine.CmdTouch)
		r.Count(engine.TouchHits)
	} else {
		r.Count(engine.CmdGet)
		r.Count(engine.GetHits)
	}
	return big
}

// metaFields does and appends what the flags ask for, in their order; ok is false when the opaque is too long. won says that this
// client is to rewrite the item.
func (t *turn) metaFields(b []byte, r *engine.Ref, f *metaFlags, created bool) (_ []byte, won, ok bool) {
	accessed := r.LastAccess()
	for i := 2; i < t.ntok; i++ {
		switch w := t.word(i); w[0] {
		case 'T':
			r.Touch(f.touchAt)
		case 'N':
			if created {
				r.Touch(f.vivifyAt)
				won = true
			}
		case 'R':
			if !r.Won() && !created && r.Expires() != engine.Never && r.Expires() < f.recacheAt {
				won = true
			}
		case 's':
			b = appendUint(append(b, " s"...), uint64(r.Len()))
		case 't':
			b = t.appendTTL(append(b, " t"...), r.Expires())
		case 'c':
			b = appendUint(append(b, " c"...), r.CAS())
		case 'f':
			b = appendUint(append(b, " f"...), uint64(r.Flags()))
		case 'l':
			b = appendUint(append(b, " l"...), uint64(max(t.now-accessed, 0)))
		case 'h':
			fetched := byte('0')
			if r.Fetched() {
				fetched = '1'
			}
			b = append(b, ' ', 'h', fetched)
		case 'O':
			if len(w) > maxOpaque {
				return b, won, false
			}
			b = append(append(b, ' '), w...)
		case 'k':
			b = appendKey(b, f.key, r.Coded())
		}
	}
	return b, won, true
}

// appendTTL appends the seconds until expires, -1 for never; of a time that has passed the seconds since then, negative.
func (t *turn) appendTTL(dst []byte, expires int64) []byte {
	if expires == engine.Never {
		return append(dst, "-1"...)
	}
	return strconv.AppendInt(dst, expires-t.now, 10)
}

// tokens appends the win tokens: Z, another client is at it; X, the value is stale; W, this client is to rewrite it.
func tokens(b []byte, r *engine.Ref, won bool) []byte {
	sent := r.Won()
	if sent {
		b = append(b, " Z"...)
	}
	if r.Stale() {
		b = append(b, " X"...)
		won = won || !sent
	}
	if won {
		b = append(b, " W"...)
		r.MarkWon(true)
	}
	return b
}
