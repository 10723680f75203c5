package load

// request is one that was sent and whose answer has not been read to its end.
type request struct {
	due  int64 // nanoseconds since the run began
	keys int32 // how many
	get  bool
}

// pending are the requests of a connection in the order in which they were sent, which is that of the answers. Its rings
// have a fixed capacity: push is only for a queue with room.
type pending struct {
	requests []request // lengths of both rings are powers of two
	keys     []uint32
	head     uint32 // oldest request
	tail     uint32 // next free
	keyHead  uint32 // first key of the oldest request
	keyTail  uint32
}

// newPending returns a queue for at most n requests of at most so many keys each.
func newPending(n, keys int) pending {
	return pending{requests: make([]request, ceilPow2(n)), keys: make([]uint32, ceilPow2(n*keys))}
}

func ceilPow2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

func (q *pending) len() int { return int(q.tail - q.head) }

// begin adds a request without keys; addKey gives it one after the other.
func (q *pending) begin(get bool, due int64) {
	q.requests[q.tail&uint32(len(q.requests)-1)] = request{due: due, get: get}
	q.tail++
}

// addKey adds a key to the youngest request.
func (q *pending) addKey(id uint32) {
	q.keys[q.keyTail&uint32(len(q.keys)-1)] = id
	q.keyTail++
	q.requests[(q.tail-1)&uint32(len(q.requests)-1)].keys++
}

// front returns the oldest request. The queue must not be empty.
func (q *pending) front() *request { return &q.requests[q.head&uint32(len(q.requests)-1)] }

// key returns the i-th key of the oldest request.
func (q *pending) key(i int) uint32 { return q.keys[(q.keyHead+uint32(i))&uint32(len(q.keys)-1)] }

// pop takes the oldest request off.
func (q *pending) pop() {
	q.keyHead += uint32(q.front().keys)
	q.head++
}
