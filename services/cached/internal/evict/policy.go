package evict

// scanLimit bounds how many items one call of Victim looks at.
const scanLimit = 32

const stateUsed = 1 // read since it was last at the head

// Options of a Policy.
type Options struct {
	Capacity uint64   // budget of this shard, in the unit of Space.Weight
	Advisor  *Advisor // shared by the shards of one cache; nil: the policy makes its own
}

// Advisor learns from a sample of all shards' keys what suits the traffic. One Advisor serves all policies of a cache; it is safe for
// concurrent use.
type Advisor struct{}

// NewAdvisor returns an Advisor for the shards of one cache.
func NewAdvisor() *Advisor { return &Advisor{} }

// Policy chooses the items of one shard that leave. The zero value is not usable. Not safe for concurrent use.
type Policy[S Space] struct {
	space    S
	capacity uint64
	main     queue
}

// New returns an empty policy over s.
func New[S Space](s S, opts Options) *Policy[S] {
	return &Policy[S]{space: s, capacity: opts.Capacity}
}

// Hit tells that a read found h, whose key has the given hash.
func (p *Policy[S]) Hit(h uint32, hash uint64) {
	if n := p.space.Node(h); n.State&stateUsed == 0 {
		n.State |= stateUsed
	}
}

// Miss tells that a read found nothing under a key with this hash.
func (p *Policy[S]) Miss(hash uint64) {}

// Admit tells that h was stored under a new key with this hash.
func (p *Policy[S]) Admit(h uint32, hash uint64) {
	p.space.Node(h).State = 0
	pushHead(p.space, &p.main, h)
}

// Remove takes h out: it was deleted or expired.
func (p *Policy[S]) Remove(h uint32) { unlink(p.space, &p.main, h) }

// Replace tells that the key of old was stored again as now, which takes old's place; both must be readable and may be the same handle if the
// weight did not change. It counts as a use.
func (p *Policy[S]) Replace(old, now uint32) {
	replace(p.space, &p.main, old, now)
	p.space.Node(now).State |= stateUsed
}

// Move tells that the item at old lies at now, unchanged; both must be readable. It is no use.
func (p *Policy[S]) Move(old, now uint32) { replace(p.space, &p.main, old, now) }

// Reweigh tells that h, whose weight was before, has another one now. It is no use.
func (p *Policy[S]) Reweigh(h, before uint32) {
	p.main.weight += uint64(p.space.Weight(h)) - uint64(before)
}

// Victim unlinks the item that should leave next and returns it; 0 if there is none.
func (p *Policy[S]) Victim() uint32 {
	h := p.main.tail
	for range scanLimit {
		if h == 0 || p.space.Node(h).State&stateUsed == 0 {
			break
		}
		unlink(p.space, &p.main, h)
		p.space.Node(h).State &^= stateUsed
		pushHead(p.space, &p.main, h)
		h = p.main.tail
	}
	if h != 0 {
		unlink(p.space, &p.main, h)
	}
	return h
}

// SetCapacity changes the budget; nothing is evicted by it.
func (p *Policy[S]) SetCapacity(weight uint64) { p.capacity = weight }

// Len is the number of items held.
func (p *Policy[S]) Len() int { return p.main.items }

// Weight is the sum of the weights of the items held.
func (p *Policy[S]) Weight() uint64 { return p.main.weight }

// Bytes is the memory of the policy's own tables.
func (p *Policy[S]) Bytes() int64 { return 0 }
