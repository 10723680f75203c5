package text

import (
	"encoding/binary"

	"github.com/everup/everup/services/cached/internal/engine"
)

// wordMg is an mg's beginning; its fourth byte is the key's.
const wordMg = 'm' | 'g'<<8 | ' '<<16

// foresee announces the keys of the commands that follow in the input to the engine: those that are written as clients write them, gets of one key, mg and
// set, up to one that is not. It leaves in t.seen how far that was.
func (t *turn) foresee() {
	t.seen = t.pos
	if _, _, end := t.foreseeOne(t.pos); end < 0 || end == len(t.in) {
		return
	}
	var a engine.Ahead
	for !a.Full() {
		from, key, end := t.foreseeOne(t.seen)
		if end < 0 {
			break
		}
		a.Add(t.store, t.in[from:key])
		t.seen = end
	}
	if a.Len() >= fewKeys {
		a.Fetch(t.store)
	}
}

// foreseeOne finds the key of the command at pos, in[from:to], and the end of the command; an end of -1 says that there is nothing to foresee.
func (t *turn) foreseeOne(pos int) (from, to, end int) {
	rest := t.in[pos:]
	if len(rest) < 8 {
		return 0, 0, -1
	}
	w := binary.LittleEndian.Uint32(rest)
	switch {
	case w == wordGet || w == wordSet:
		from = 4
	case w == wordGets && rest[4] == ' ':
		from = 5
	case w<<8 == wordMg<<8:
		from = 3
	default:
		return 0, 0, -1
	}
	to = wordEnd(rest, from)
	if to == from || to > from+maxKey {
		return 0, 0, -1
	}
	switch end = to; {
	case w == wordSet:
		_, end = digits(rest, end)
		_, end = digits(rest, end)
		var length uint64
		if length, end = digits(rest, end); end < 0 || length > heldValue || !lineEnds(rest, end) {
			return 0, 0, -1
		}
		end += 2 + int(length)
	case from == 3:
		for end < len(rest) && rest[end] >= ' ' {
			end++
		}
	}
	if !lineEnds(rest, end) {
		return 0, 0, -1
	}
	return pos + from, pos + to, pos + end + 2
}
