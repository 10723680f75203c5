package http2

// tableSize is the size of the dynamic table that the peer may use: HPACK's first one, which we announce no other than.
const tableSize = 4096

// lineOverhead is what a line counts beside its texts (RFC 7541 section 4.1).
const lineOverhead = 32

// table is HPACK's dynamic table (RFC 7541 section 2.3.2). Lines lie behind each other in text, the oldest first; what was evicted
// is overwritten when the slices have grown to twice what the table can hold.
type table struct {
	lines []line
	first int // the oldest line
	text  []byte
	base  uint32 // where text begins, as offsets count
	size  int
	limit int // what the peer's encoder has set
}

type line struct {
	off         uint32
	name, value uint16
	means       meaning
}

func (t *table) reset() {
	t.lines, t.text = t.lines[:0], t.text[:0]
	t.first, t.base, t.size, t.limit = 0, 0, 0, tableSize
}

// at returns the line that was added i lines before the newest, if there is one.
func (t *table) at(i int) (l *line, ok bool) {
	if i < 0 || i >= len(t.lines)-t.first {
		return nil, false
	}
	return &t.lines[len(t.lines)-1-i], true
}

// texts returns a line's name and value, good until the next insert.
func (t *table) texts(l *line) (name, value []byte) {
	b := t.text[l.off-t.base:]
	return b[:l.name], b[l.name : int(l.name)+int(l.value)]
}

// insert adds a line; it evicts, and adds none, where it does not fit (RFC 7541 section 4.4).
func (t *table) insert(name, value []byte, m meaning) {
	n := len(name) + len(value) + lineOverhead
	t.evict(t.limit - n)
	if n > t.limit {
		return
	}
	if len(t.text)+len(name)+len(value) > 2*tableSize || len(t.lines) >= 2*tableSize/lineOverhead {
		t.compact()
	}
	t.lines = append(t.lines, line{t.base + uint32(len(t.text)), uint16(len(name)), uint16(len(value)), m})
	t.text = append(append(t.text, name...), value...)
	t.size += n
}

// evict drops the oldest lines until no more than size is used.
func (t *table) evict(size int) {
	for t.size > max(size, 0) {
		l := &t.lines[t.first]
		t.size -= int(l.name) + int(l.value) + lineOverhead
		t.first++
	}
	if t.first == len(t.lines) {
		t.lines, t.text, t.first, t.base = t.lines[:0], t.text[:0], 0, 0
	}
}

// compact moves what is there to the front.
func (t *table) compact() {
	off := t.lines[t.first].off - t.base
	t.text = t.text[:copy(t.text, t.text[off:])]
	t.base += off
	t.lines = t.lines[:copy(t.lines, t.lines[t.first:])]
	t.first = 0
}

// resize takes the encoder's size update.
func (t *table) resize(limit int) {
	t.limit = limit
	t.evict(limit)
}
