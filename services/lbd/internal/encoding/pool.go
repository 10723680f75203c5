package encoding

import "sync"

// Pool lends encoders. Its methods may be called by several goroutines at once.
type Pool struct {
	mu     sync.Mutex
	limit  int64
	held   int64 // memory of all encoders, lent and free
	idle   int64 // memory of the free ones
	lent   int64 // how many
	free   [codings][levels][]*Encoder
	counts Counts
}

// Counts are what a Pool has done and holds.
type Counts struct {
	Lent    int64          // encoders in use
	Memory  int64          // bytes that encoders take, also those that wait to be used
	Begun   [codings]int64 // streams by Coding
	Refused int64          // streams for which none was left
}

// maxIdle bounds the memory of encoders that wait to be used, so that a burst does not stay for ever.
const maxIdle = 32 << 20

// NewPool returns a Pool whose encoders take at most limit bytes.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// SetLimit changes the bound. Encoders in use beyond it are used to their end.
func (p *Pool) SetLimit(limit int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	p.makeRoomLocked(0)
}

// Get lends an encoder, nil if all the memory is taken.
func (p *Pool) Get(s Spec) *Encoder {
	e, fresh := p.get(s)
	if fresh {
		return newEncoder(s)
	}
	return e
}

// get takes a free encoder, or room for a fresh one.
func (p *Pool) get(s Spec) (e *Encoder, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := &p.free[s.Coding][s.Level]
	switch n := len(*list); {
	case n > 0:
		e = (*list)[n-1]
		(*list)[n-1] = nil
		*list = (*list)[:n-1]
		p.idle -= s.Memory()
	case p.makeRoomLocked(s.Memory()):
		p.held += s.Memory()
		fresh = true
	default:
		p.counts.Refused++
		return nil, false
	}
	p.lent++
	p.counts.Begun[s.Coding]++
	return e, fresh
}

// Put takes an encoder back, whether its stream has ended or not.
func (p *Pool) Put(e *Encoder) {
	e.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	size := e.spec.Memory()
	if p.idle+size > maxIdle || p.held > p.limit {
		p.held -= size
		return
	}
	p.idle += size
	list := &p.free[e.spec.Coding][e.spec.Level]
	*list = append(*list, e)
}

// Discard forgets an encoder that is not to be used again.
func (p *Pool) Discard(e *Encoder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	p.held -= e.spec.Memory()
}

// makeRoomLocked makes sure that size bytes fit, by dropping free encoders of other kinds.
func (p *Pool) makeRoomLocked(size int64) bool {
	for c := range p.free {
		for l := range p.free[c] {
			list := &p.free[c][l]
			for p.held+size > p.limit && len(*list) > 0 {
				n := len(*list)
				gone := (*list)[n-1].spec.Memory()
				(*list)[n-1] = nil
				*list = (*list)[:n-1]
				p.held -= gone
				p.idle -= gone
			}
		}
	}
	return p.held+size <= p.limit
}

// Counts returns what was done so far.
func (p *Pool) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Lent, c.Memory = p.lent, p.held
	return c
}
