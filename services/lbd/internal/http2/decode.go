package http2

import "github.com/everup/everup/services/lbd/internal/http1"

// decoder decodes header blocks of one connection (RFC 7541). All blocks have to pass through it, in order.
type decoder struct {
	table table
}

// decoded is a field that was decoded: places in the arena.
type decoded struct {
	name, value http1.Text
	means       meaning
}

// arena is where a block is decoded to.
type arena struct {
	b    []byte
	room int // of the header list's size, as RFC 9113 section 6.5.2 counts it: what is over is not kept
}

// update takes the size updates that a block may begin with (RFC 7541 section 4.2), at most two, and returns what follows.
func (d *decoder) update(block []byte) (rest []byte, ok bool) {
	for range 2 {
		if len(block) == 0 || block[0]&0xe0 != 0x20 {
			return block, true
		}
		n, rest, ok := integer(block, 5)
		if !ok || n > tableSize {
			return block, false
		}
		d.table.resize(n)
		block = rest
	}
	return block, true
}

// next decodes the next field of a block, which is not empty, and returns what follows it. keep is false for a field that did not fit into
// the arena: its texts are not there.
func (d *decoder) next(block []byte, a *arena) (f decoded, rest []byte, keep, ok bool) {
	b := block[0]
	switch {
	case b&0x80 != 0:
		i, rest, ok := integer(block, 7)
		if !ok {
			return f, nil, false, false
		}
		f, keep, ok = d.indexed(i, a)
		return f, rest, keep, ok
	case b&0x40 != 0:
		return d.literal(block, 6, true, a)
	case b&0x20 != 0:
		return f, nil, false, false // a size update behind a field
	}
	return d.literal(block, 4, false, a) // whether it may ever be indexed is the encoder's affair
}

// indexed copies a line of a table.
func (d *decoder) indexed(i int, a *arena) (f decoded, keep, ok bool) {
	if i > 0 && i < len(static) {
		l := &static[i]
		if !a.take(len(l.text)) {
			return f, false, true
		}
		f.name = a.copyString(l.text[:l.name])
		f.value = a.copyString(l.text[l.name:])
		f.means = l.means
		return f, true, true
	}
	l, ok := d.table.at(i - len(static))
	if !ok {
		return f, false, false
	}
	if !a.take(int(l.name) + int(l.value)) {
		return f, false, true
	}
	name, value := d.table.texts(l)
	f.name = a.copy(name)
	f.value = a.copy(value)
	f.means = l.means
	return f, true, true
}

// literal decodes a field whose name is in a table or written out, and whose value is written out.
func (d *decoder) literal(block []byte, prefix int, insert bool, a *arena) (f decoded, rest []byte, keep, ok bool) {
	start := len(a.b)
	i, rest, ok := integer(block, prefix)
	if !ok {
		return f, nil, false, false
	}
	switch {
	case i == 0:
		if f.name, rest, ok = a.literal(rest); ok {
			f.means = judgeName(f.name.In(a.b))
		}
	case i < len(static):
		l := &static[i]
		f.name, f.means = a.copyString(l.text[:l.name]), l.means
	default:
		var l *line
		if l, ok = d.table.at(i - len(static)); ok {
			name, _ := d.table.texts(l)
			f.name, f.means = a.copy(name), l.means
		}
	}
	if !ok {
		return f, nil, false, false
	}
	if f.value, rest, ok = a.literal(rest); !ok {
		return f, nil, false, false
	}
	f.means.value = judgeValue(f.means, f.value.In(a.b))
	if insert {
		d.table.insert(f.name.In(a.b), f.value.In(a.b), f.means)
	}
	if !a.take(f.name.Len() + f.value.Len()) {
		a.b = a.b[:start]
		return f, rest, false, true
	}
	return f, rest, true, true
}

// take counts a field of n bytes; false if it is over what may be kept.
func (a *arena) take(n int) bool {
	if a.room -= n + lineOverhead; a.room < 0 {
		a.room = 0
		return false
	}
	return true
}

func (a *arena) copy(b []byte) http1.Text {
	a.b = append(a.b, b...)
	return http1.Place(len(a.b)-len(b), len(a.b))
}

func (a *arena) copyString(s string) http1.Text {
	a.b = append(a.b, s...)
	return http1.Place(len(a.b)-len(s), len(a.b))
}

// literal decodes a string (RFC 7541 section 5.2).
func (a *arena) literal(block []byte) (t http1.Text, rest []byte, ok bool) {
	if len(block) == 0 {
		return t, nil, false
	}
	coded := block[0]&0x80 != 0
	n, block, ok := integer(block, 7)
	if !ok || n > len(block) {
		return t, nil, false
	}
	at := len(a.b)
	if !coded {
		a.b = append(a.b, block[:n]...)
	} else if a.b, ok = appendHuffman(a.b, block[:n]); !ok {
		return t, nil, false
	}
	return http1.Place(at, len(a.b)), block[n:], true
}

// maxInteger bounds the numbers of HPACK: no index, size or length that is of use comes near it.
const maxInteger = 1 << 21

// integer decodes a number with a prefix of so many bits (RFC 7541 section 5.1), from a block that is not empty.
func integer(block []byte, prefix int) (n int, rest []byte, ok bool) {
	full := 1<<prefix - 1
	n = int(block[0]) & full
	if n < full {
		return n, block[1:], true
	}
	for i, b := range block[1:] {
		if i == 4 {
			break
		}
		n += int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return n, block[i+2:], n <= maxInteger
		}
	}
	return 0, nil, false
}
