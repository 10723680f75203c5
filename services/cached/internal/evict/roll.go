package evict

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"math/rand/v2"
)

// Queues is the number of queues of a policy. [Node.Queue] is the one that an item is in.
const Queues = 2

// Ends are the two ends of a queue and the number of its items: Tail is the oldest, Head the youngest, both 0 in an empty queue. Each item's
// [Node] leads to its neighbours.
type Ends struct {
	Tail, Head uint32
	Items      int
}

// Ends of the queues, by number.
func (p *Policy[S]) Ends() [Queues]Ends {
	c := &p.core
	return [Queues]Ends{{c.window.tail, c.window.head, c.window.items}, {c.main.tail, c.main.head, c.main.items}}
}

// Queue is the number of the queue that an item is in.
func (n *Node) Queue() int { return int(n.State >> 7) }

// Roll proves that the nodes of a policy's items are linked as lists of them say, without following a link: nodes lie anywhere in memory, and
// waiting for each is what would take time. It adds up a keyed hash of every item with its neighbours and its queue, once over the
// lists and once over the nodes as they lie. Equal sums mean equal sets of such triples, but for a chance of 2⁻⁶⁴ or so; and when each item is met once,
// equal sets leave no link astray, no item out, and no ring. The key is drawn anew for each Roll. Not safe for concurrent use.
type Roll struct {
	key         [2]uint64
	listed, met uint64 // sums
	ends        [Queues]Ends
	items       [Queues]int // met
	weight      [Queues]uint64
}

// NewRoll returns a Roll of nothing.
func NewRoll() *Roll { return &Roll{key: [2]uint64{rand.Uint64(), rand.Uint64()}} }

// List tells the whole list of a queue, from its tail on, four bytes a handle, little-endian. It is called at most once a queue.
func (r *Roll) List(queue int, handles []byte) {
	n := len(handles) / 4
	if n == 0 {
		return
	}
	at := func(i int) uint32 { return binary.LittleEndian.Uint32(handles[4*i:]) }
	sum, prev, h := r.listed, uint32(0), at(0)
	r.ends[queue] = Ends{Tail: h, Items: n}
	for i := 1; i < n; i++ {
		next := at(i)
		sum += r.hash(queue, prev, h, next)
		prev, h = h, next
	}
	r.listed = sum + r.hash(queue, prev, h, 0)
	r.ends[queue].Head = h
}

// Meet tells of an item with its node and weight. It must be called once for each.
func (r *Roll) Meet(h uint32, n *Node, weight uint32) {
	q := n.Queue()
	r.met += r.hash(q, n.Prev, h, n.Next)
	r.items[q]++
	r.weight[q] += uint64(weight)
}

func (r *Roll) hash(queue int, prev, h, next uint32) uint64 {
	hi, lo := bits.Mul64((uint64(prev)<<32|uint64(next))^r.key[0], (uint64(h)<<1|uint64(queue))^r.key[1])
	return mix(hi ^ lo)
}

var errRoll = errors.New("evict: items are not linked as listed")

// Adopt takes in all items of r; the policy has none yet. It fails when their links are not as they should be.
func (p *Policy[S]) Adopt(r *Roll) error {
	if r.listed != r.met {
		return errRoll
	}
	c := &p.core
	for i, q := range [Queues]*queue{&c.window, &c.main} {
		if r.items[i] != r.ends[i].Items {
			return errRoll
		}
		*q = queue{head: r.ends[i].Head, tail: r.ends[i].Tail, items: r.items[i], weight: r.weight[i]}
	}
	return nil
}
