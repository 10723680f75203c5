package sim

// links holds the neighbours of every key; a key is in at most one of the lists that share it. Keys are shifted by one, 0 is none.
type links struct{ next, prev []uint32 }

func newLinks(n int) *links { return &links{make([]uint32, n+1), make([]uint32, n+1)} }

// list is a doubly linked list of keys: in at the head, out at the tail.
type list struct {
	l          *links
	head, tail uint32
	n          int
	weight     uint64
}

func (q *list) push(key, weight uint32) {
	k := key + 1
	q.l.next[k], q.l.prev[k] = 0, q.head
	if q.head != 0 {
		q.l.next[q.head] = k
	} else {
		q.tail = k
	}
	q.head = k
	q.n++
	q.weight += uint64(weight)
}

func (q *list) remove(key, weight uint32) {
	k := key + 1
	next, prev := q.l.next[k], q.l.prev[k]
	if next != 0 {
		q.l.prev[next] = prev
	} else {
		q.head = prev
	}
	if prev != 0 {
		q.l.next[prev] = next
	} else {
		q.tail = next
	}
	q.n--
	q.weight -= uint64(weight)
}

// last is the key at the tail; the list must not be empty.
func (q *list) last() uint32 { return q.tail - 1 }
