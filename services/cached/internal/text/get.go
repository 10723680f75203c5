package text

import (
	"bytes"
	"slices"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// lookup is a get, gets, gat or gats, and how far it has come when a turn ends within it.
type lookup struct {
	cas, touch bool  // gets; gat
	value      bool  // a value was sent from where it lies: its line end is due
	end        bool  // END is due behind the last key
	doomed     bool  // a key is too long: those before it are looked up, and then only that is answered
	expires    int64 // of gat
	line, tail int   // bytes of the line that are left, and of its end
}

// headerRoom is more than "VALUE ", flags, length, CAS, spaces and line ends take.
const headerRoom = 80

// startLookup begins a get whose keys are line[from:]; the newline is at end, counted from pos.
func (t *turn) startLookup(line []byte, from, end int, l lookup) session.Next {
	l.end, l.doomed = true, longKey(line[from:])
	t.meter.Begin()
	t.pos += from
	t.coming.clear()
	t.get = l
	t.get.line, t.get.tail = len(line)-from, end+1-len(line)
	t.enter(keys)
	next := t.lookups()
	if l.touch {
		t.meter.End(session.Gat)
	} else {
		t.meter.End(session.Get)
	}
	return next
}

// longKey reports whether a word of s is too long for a key.
func longKey(s []byte) bool {
	for len(s) > maxKey {
		i := bytes.LastIndexByte(s[:maxKey+1], ' ')
		if i < 0 {
			return true
		}
		s = s[i+1:]
	}
	return false
}

// lookups goes on with the keys of a get.
func (t *turn) lookups() session.Next {
	l := &t.get
	if l.value {
		t.buf = append(t.buf, crlf...)
		l.value = false
	}
	c := &t.coming
	for c.next < c.ahead.Len() || t.expect(t.pos+l.line) {
		switch {
		case len(t.buf) >= session.OutHigh:
			return session.Flush
		case t.keys <= 0 || t.bytes <= 0:
			return session.Yield
		}
		t.keys--
		if c.long {
			l.end = false
			t.buf = append(t.buf, replyBadFormat...)
			break
		}
		w := c.word[c.next]
		l.line -= w.to - t.pos
		t.pos = w.to
		key := t.in[w.from:w.to]
		r := c.ahead.Lock(t.store, c.next, key, t.now)
		c.next++
		mark := len(t.buf)
		big := t.lookup(&r, *l)
		if l.doomed {
			t.buf = t.buf[:mark]
			t.big.Unpin()
			continue
		}
		if big {
			l.value = true
			return session.Flush
		}
	}
	t.pos += l.line + l.tail
	l.line, l.tail = 0, 0
	if l.end {
		t.buf = append(t.buf, "END\r\n"...)
		l.end = false
	}
	t.stacked = false
	t.enter(command)
	return going
}

// lookup answers one key of a get, and unlocks it. It reports whether the value goes out from where it lies, in t.big: then its line end is due.
func (t *turn) lookup(r *engine.Ref, l lookup) (big bool) {
	hit := r.Found()
	switch {
	case l.touch:
		ops.Touch(r, l.expires)
	case hit:
		r.Count(engine.CmdGet)
		r.Count(engine.GetHits)
	default:
		r.Count(engine.CmdGet)
		r.Count(engine.GetMisses)
	}
	if t.watched() {
		t.sawLookup(r, true)
	}
	if hit {
		n := r.Len()
		t.bytes -= n
		key := r.Key()
		b := slices.Grow(t.buf, headerRoom+len(key)+min(n, engine.PinAbove))
		b = append(append(b, "VALUE "...), key...)
		b = appendUint(append(b, ' '), uint64(r.Flags()))
		b = appendUint(append(b, ' '), uint64(n))
		if l.cas {
			b = appendUint(append(b, ' '), r.CAS())
		}
		b = append(b, crlf...)
		if n > engine.PinAbove {
			t.big, big = r.Pin(), true
		} else {
			b = append(r.AppendValue(b), crlf...)
		}
		t.buf = b
		r.Use()
	}
	r.Unlock()
	return big
}
