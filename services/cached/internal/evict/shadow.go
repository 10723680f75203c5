package evict

const miniBuckets = 2048

// mini is the Space of a shadow: items in slices, found by hash.
type mini struct {
	nodes   []Node
	hashes  []uint64
	weights []uint32
	chain   []uint32 // next item of the same bucket, or next free one
	buckets []uint32
	free    uint32
}

func (m *mini) Node(h uint32) *Node    { return &m.nodes[h] }
func (m *mini) Weight(h uint32) uint32 { return m.weights[h] }
func (m *mini) Hash(h uint32) uint64   { return m.hashes[h] }

func newMini() *mini {
	return &mini{nodes: make([]Node, 1), hashes: make([]uint64, 1), weights: make([]uint32, 1), chain: make([]uint32, 1), buckets: make([]uint32, miniBuckets)}
}

func (m *mini) bucket(hash uint64) *uint32 { return &m.buckets[mix(hash)>>40%miniBuckets] }

// find returns the key's item, 0 if there is none.
func (m *mini) find(hash uint64) uint32 {
	h := *m.bucket(hash)
	for h != 0 && m.hashes[h] != hash {
		h = m.chain[h]
	}
	return h
}

// insert makes an item for a key that is not there.
func (m *mini) insert(hash uint64, weight uint32) uint32 {
	h := m.free
	if h != 0 {
		m.free = m.chain[h]
	} else {
		h = uint32(len(m.nodes))
		m.nodes = append(m.nodes, Node{})
		m.hashes = append(m.hashes, 0)
		m.weights = append(m.weights, 0)
		m.chain = append(m.chain, 0)
	}
	b := m.bucket(hash)
	m.hashes[h], m.weights[h], m.chain[h] = hash, weight, *b
	*b = h
	return h
}

// delete frees an item; its weight becomes 0, which no item in use has.
func (m *mini) delete(h uint32) {
	at := m.bucket(m.hashes[h])
	for *at != h {
		at = &m.chain[*at]
	}
	*at = m.chain[h]
	m.chain[h], m.weights[h] = m.free, 0
	m.free = h
}

func (m *mini) bytes() int64 {
	return int64(cap(m.nodes))*12 + int64(cap(m.hashes))*8 + int64(cap(m.weights)+cap(m.chain)+cap(m.buckets))*4
}

// shadow is a small cache of the sampled keys that runs in one mode.
type shadow struct {
	mini     *mini
	core     core[*mini]
	capacity uint64
}

func newShadow(capacity uint64, m *mode) *shadow {
	s := newMini()
	return &shadow{mini: s, core: newCore(s, capacity, m), capacity: capacity}
}

// read says whether the key is there, and counts it as used if so.
func (s *shadow) read(hash uint64) bool {
	h := s.mini.find(hash)
	if h != 0 {
		s.core.hit(h)
	}
	return h != 0
}

// store brings the key in; one that is there gets the new weight. A write over an old value is a use.
func (s *shadow) store(hash uint64, weight uint32, overwrite bool) {
	h := s.mini.find(hash)
	if h == 0 {
		h = s.mini.insert(hash, weight)
		s.core.admit(h, hash)
	} else {
		before := s.mini.weights[h]
		s.mini.weights[h] = weight
		s.core.reweigh(h, before)
		if overwrite {
			s.core.touch(h)
		}
	}
	s.trim()
}

// trim evicts down to the capacity.
func (s *shadow) trim() {
	for s.core.weight() > s.capacity {
		s.mini.delete(s.core.victim())
	}
}

// drop takes the key out.
func (s *shadow) drop(hash uint64) {
	if h := s.mini.find(hash); h != 0 {
		s.core.remove(h)
		s.mini.delete(h)
	}
}

// thin keeps only the keys that are still sampled.
func (s *shadow) thin(sampled uint64) {
	for h := uint32(1); int(h) < len(s.mini.nodes); h++ {
		if hash := s.mini.hashes[h]; s.mini.weights[h] != 0 && mix(hash) > sampled {
			s.core.remove(h)
			s.mini.delete(h)
		}
	}
}

func (s *shadow) bytes() int64 { return s.mini.bytes() + s.core.ghosts.bytes() }
