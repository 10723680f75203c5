package engine

import "math/bits"

// inquiry asks whether the index leads to an item.
type inquiry struct {
	hash uint64 // of its key
	h    uint32
	pos  uint32 // where it is looked for
}

// inquiries are inquiries that wait until there are many. They are made in the order of the index: a line that is somewhere in a large index costs
// a walk of the page tables beside the wait for memory, but many lines close together cost one for all.
type inquiries struct {
	n            int
	list, sorted [inquiryBatch]inquiry
	lines        [inquiryStep]*line
	touched      uint64
}

const (
	inquiryBatch = 1 << 14
	inquiryStep  = 32 // lines asked of memory at once
)

// add notes an inquiry down; there must be room.
func (q *inquiries) add(i inquiry) {
	q.list[q.n] = i
	q.n++
}

// each looks for all items in the lines of sh's index and calls absent for those that are not there.
func (q *inquiries) each(sh *shard, absent func(inquiry) error) error {
	x := &sh.index
	if q.n > 0 && x.cur.n == 0 {
		return errIndex
	}
	q.sort()
	for left := q.sorted[:q.n]; len(left) > 0; {
		some := left[:min(len(left), inquiryStep)]
		left = left[len(some):]
		for i := range some {
			if x.front == 0 {
				q.lines[i] = sh.line(&x.cur, scale(some[i].pos, x.cur.n))
			} else {
				q.lines[i] = sh.at(some[i].pos)
			}
		}
		sum := uint64(0)
		for _, l := range q.lines[:len(some)] {
			sum += l.tags8 // the processor waits for all these lines at once, not for one after the other
		}
		q.touched += sum
		for i, l := range q.lines[:len(some)] {
			if l.holds(some[i].h, tagOf(some[i].hash)) {
				continue
			}
			if err := absent(some[i]); err != nil {
				return err
			}
		}
	}
	q.n = 0
	return nil
}

// holds reports whether h is in the line, under the tag.
func (l *line) holds(h uint32, tag uint8) bool {
	m, k := l.match(tag)
	for ; m != 0; m &= m - 1 {
		if i := bits.TrailingZeros64(m) >> 3; l.item[i] == h && i < int(l.n) {
			return true
		}
	}
	for ; k != 0; k &= k - 1 {
		if i := bits.TrailingZeros32(k)>>3 + 8; l.item[i] == h && i < int(l.n) {
			return true
		}
	}
	return false
}

// sort brings the inquiries into the order of the upper bits of their positions.
func (q *inquiries) sort() {
	var at [256]uint32
	for i := range q.list[:q.n] {
		at[q.list[i].pos>>24]++
	}
	sum := uint32(0)
	for i, n := range at {
		at[i] = sum
		sum += n
	}
	for i := range q.list[:q.n] {
		to := &at[q.list[i].pos>>24]
		q.sorted[*to%inquiryBatch] = q.list[i]
		*to++
	}
}
