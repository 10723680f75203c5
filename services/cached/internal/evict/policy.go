package evict

import "math"

// Options of a Policy.
type Options struct {
	Capacity uint64   // budget of this shard, in the unit of Space.Weight
	Advisor  *Advisor // shared by the shards of one cache; nil: the policy makes its own
}

// batch is how many events a policy collects before it takes the Advisor's lock.
const batch = 16

// Policy chooses the items of one shard that leave. The zero value is not usable. Not safe for concurrent use.
type Policy[S Space] struct {
	core    core[S]
	advisor *Advisor
	mode    uint32 // in force here
	sampled uint64 // the Advisor's, as of the last batch
	told    uint64 // capacity that the Advisor knows of
	pending int
	events  [batch]event
}

// New returns an empty policy over s.
func New[S Space](s S, opts Options) *Policy[S] {
	if opts.Advisor == nil {
		opts.Advisor = NewAdvisor()
	}
	p := &Policy[S]{advisor: opts.Advisor, mode: opts.Advisor.mode.Load(), sampled: math.MaxUint64}
	p.core = newCore(s, opts.Capacity, &modes[p.mode])
	p.advisor.enrol(opts.Capacity)
	p.told = opts.Capacity
	return p
}

// Hit tells that a read found h, whose key has the given hash.
func (p *Policy[S]) Hit(h uint32, hash uint64) {
	p.core.hit(h)
	if mix(hash) <= p.sampled {
		p.tell(eventHit, hash, p.core.space.Weight(h))
	}
}

// Miss tells that a read found nothing under a key with this hash.
func (p *Policy[S]) Miss(hash uint64) {
	if mix(hash) <= p.sampled {
		p.tell(eventMiss, hash, 0)
	}
}

// Admit tells that h was stored under a new key with this hash.
func (p *Policy[S]) Admit(h uint32, hash uint64) {
	p.core.admit(h, hash)
	if mix(hash) <= p.sampled {
		p.tell(eventAdmit, hash, p.core.space.Weight(h))
	}
}

// Remove takes h out: it was deleted or expired.
func (p *Policy[S]) Remove(h uint32) {
	p.core.remove(h)
	if hash := p.core.space.Hash(h); mix(hash) <= p.sampled {
		p.tell(eventRemove, hash, 0)
	}
}

// Forget tells that a key with this hash, which is not here, was deleted. It may be left out; the Advisor judges better with it.
func (p *Policy[S]) Forget(hash uint64) {
	if mix(hash) <= p.sampled {
		p.tell(eventRemove, hash, 0)
	}
}

// Replace tells that the key of old was stored again as now, which takes old's place; both must be readable. Where the value was overwritten in
// place, old and now are the same handle, and Reweigh tells of a change of the weight.
func (p *Policy[S]) Replace(old, now uint32) {
	p.core.replace(old, now)
	p.core.touch(now)
	if hash := p.core.space.Hash(now); mix(hash) <= p.sampled {
		p.tell(eventReplace, hash, p.core.space.Weight(now))
	}
}

// Move tells that the item at old lies at now, unchanged; both must be readable. It is no use.
func (p *Policy[S]) Move(old, now uint32) { p.core.replace(old, now) }

// Reweigh tells that h, whose weight was before, has another one now. It is no use.
func (p *Policy[S]) Reweigh(h, before uint32) { p.core.reweigh(h, before) }

// Victim unlinks the item that should leave next and returns it; 0 if there is none.
func (p *Policy[S]) Victim() uint32 { return p.core.victim() }

// SetCapacity changes the budget; nothing is evicted by it.
func (p *Policy[S]) SetCapacity(weight uint64) { p.core.resize(weight, p.core.mode) }

// Len is the number of items held.
func (p *Policy[S]) Len() int { return p.core.items() }

// Weight is the sum of the weights of the items held.
func (p *Policy[S]) Weight() uint64 { return p.core.weight() }

// Bytes is the memory of the policy's own tables; the Advisor's is in its Status.
func (p *Policy[S]) Bytes() int64 { return p.core.ghosts.bytes() }

// tell hands an event to the Advisor, sixteen at a time, and takes its advice.
func (p *Policy[S]) tell(kind eventKind, hash uint64, weight uint32) {
	p.events[p.pending] = event{hash: hash, weight: weight, kind: kind}
	if p.pending++; p.pending < batch {
		return
	}
	p.pending = 0
	p.advisor.observe(p.events[:], int64(p.core.capacity-p.told))
	p.told = p.core.capacity
	p.sampled = p.advisor.sampled.Load()
	if m := p.advisor.mode.Load(); m != p.mode {
		p.mode = m
		p.core.resize(p.core.capacity, &modes[m])
	}
}
