package text

import (
	"encoding/binary"

	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// The beginnings of the commands that are recognised without looking for the end of their line.
const (
	wordGet  = 'g' | 'e'<<8 | 't'<<16 | ' '<<24
	wordGets = 'g' | 'e'<<8 | 't'<<16 | 's'<<24
	wordSet  = 's' | 'e'<<8 | 't'<<16 | ' '<<24
)

// quick carries out the classic commands that make up nearly all traffic, when they are written as clients write them: single
// spaces, plain numbers, nothing missing. ok says whether it has; what is written otherwise takes the long way, with the same answers.
func (t *turn) quick(rest []byte) (next session.Next, ok bool) {
	if len(rest) < 8 {
		return 0, false
	}
	switch w := binary.LittleEndian.Uint32(rest); {
	case w == wordGet:
		return t.quickGet(rest, 4, false)
	case w == wordSet:
		return t.quickSet(rest)
	case w == wordGets && rest[4] == ' ':
		return t.quickGet(rest, 5, true)
	}
	return 0, false
}

// lineEnds reports whether a CRLF is at i.
func lineEnds(s []byte, i int) bool {
	return i+1 < len(s) && s[i] == '\r' && s[i+1] == '\n'
}

// quickGet is a get of one key.
func (t *turn) quickGet(rest []byte, from int, cas bool) (session.Next, bool) {
	end := wordEnd(rest, from)
	if end == from || end > from+maxKey || !lineEnds(rest, end) {
		return 0, false
	}
	t.meter.Begin()
	t.pos += end + 2
	t.keys-- // a look-up costs more than a command
	r := t.store.Lock(rest[from:end], t.now)
	if t.lookup(&r, lookup{cas: cas}) {
		t.get = lookup{cas: cas, value: true, end: true}
		t.enter(keys)
		t.meter.End(session.Get)
		return session.Flush, true
	}
	t.buf = append(t.buf, "END\r\n"...)
	t.stacked = false
	t.meter.End(session.Get)
	return going, true
}

// quickSet is `set key flags exptime length [noreply]` with plain numbers.
func (t *turn) quickSet(rest []byte) (session.Next, bool) {
	end := wordEnd(rest, 4)
	if end == 4 || end > 4+maxKey {
		return 0, false
	}
	flags, i := digits(rest, end)
	exptime, i := digits(rest, i)
	length, i := digits(rest, i)
	if i < 0 || flags > 1<<32-1 || exptime > 1<<31-1 || length > maxLength {
		return 0, false
	}
	switch {
	case lineEnds(rest, i):
	case len(rest) > i+10 && string(rest[i:i+10]) == " noreply\r\n":
		t.noreply = true
		i += 8
	default:
		return 0, false
	}
	w := write{key: rest[4:end], length: int(length), cmd: session.Set, drop: true}
	w.store.Value.Flags = uint32(flags)
	w.store.Value.Expires = ops.Expires(int64(exptime), t.now, t.env.Started)
	return t.write(&w, i+2), true
}

// digits reads a space at i and a plain number behind it; end is the index behind the number, -1 where there is none. An i of -1 stays so.
func digits(s []byte, i int) (n uint64, end int) {
	if i < 0 || i >= len(s) || s[i] != ' ' {
		return 0, -1
	}
	first := i + 1
	for i = first; i < len(s) && s[i]-'0' <= 9; i++ {
		n = n*10 + uint64(s[i]-'0')
	}
	if i == first || i > first+10 {
		return 0, -1
	}
	return n, i
}
