package evict

// Node is the part of an item that belongs to the policy. The policy writes its fields one by one and never copies a Node as a whole,
// so Spare stays the engine's.
type Node struct {
	Next, Prev uint32   // neighbours in the item's queue: Next is younger, Prev is older; 0 at the ends
	State      uint8    // queue and use of the item
	Spare      [3]uint8 // the engine's: the policy neither reads nor writes it
}

// Space is the engine's memory as the policy sees it. Implementations are small structs or pointers; handles are valid from Admit until
// Remove, Victim or, as the old one, until Replace and Move have returned.
type Space interface {
	// Node returns the item's node, valid until the next call of the engine.
	Node(h uint32) *Node
	// Weight is what the item is charged, in the unit of the capacity; at least 1.
	Weight(h uint32) uint32
	// Hash is the hash of the item's key, the same that Admit was given. Called for what is evicted, at most a few times a call.
	Hash(h uint32) uint64
}

// queue is a doubly linked list of items through their nodes: in at the head, out at the tail.
type queue struct {
	head, tail uint32
	items      int
	weight     uint64
}

// pushHead links h as the youngest.
func pushHead[S Space](s S, q *queue, h uint32) {
	n := s.Node(h)
	n.Next, n.Prev = 0, q.head
	if q.head != 0 {
		s.Node(q.head).Next = h
	} else {
		q.tail = h
	}
	q.head = h
	q.items++
	q.weight += uint64(s.Weight(h))
}

// unlink takes h out of q.
func unlink[S Space](s S, q *queue, h uint32) {
	n := s.Node(h)
	if n.Prev != 0 {
		s.Node(n.Prev).Next = n.Next
	} else {
		q.tail = n.Next
	}
	if n.Next != 0 {
		s.Node(n.Next).Prev = n.Prev
	} else {
		q.head = n.Prev
	}
	n.Next, n.Prev = 0, 0
	q.items--
	q.weight -= uint64(s.Weight(h))
}

// replace puts now where old was; both may be the same handle.
func replace[S Space](s S, q *queue, old, now uint32) {
	o, n := s.Node(old), s.Node(now)
	next, prev := o.Next, o.Prev
	n.Next, n.Prev, n.State = next, prev, o.State
	if prev != 0 {
		s.Node(prev).Next = now
	} else {
		q.tail = now
	}
	if next != 0 {
		s.Node(next).Prev = now
	} else {
		q.head = now
	}
	q.weight += uint64(s.Weight(now)) - uint64(s.Weight(old))
}
