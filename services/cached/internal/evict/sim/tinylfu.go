package sim

// cmSketch counts to 15 in rows of four-bit counters kept as bytes; all are halved after ten times the capacity.
type cmSketch struct {
	rows  [4][]uint8
	mask  uint64
	adds  int
	limit int
}

func newSketch(items int) *cmSketch {
	n := 16
	for n < items {
		n *= 2
	}
	n *= 4
	s := &cmSketch{mask: uint64(n - 1), limit: 10 * max(1, items)}
	for i := range s.rows {
		s.rows[i] = make([]uint8, n)
	}
	return s
}

func (s *cmSketch) slot(i int, h uint64) *uint8 {
	x := (h + uint64(i)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	return &s.rows[i][(x>>32)&s.mask]
}

func (s *cmSketch) add(h uint64) {
	added := false
	for i := range s.rows {
		if c := s.slot(i, h); *c < 15 {
			*c++
			added = true
		}
	}
	if !added {
		return
	}
	if s.adds++; s.adds < s.limit {
		return
	}
	s.adds /= 2
	for i := range s.rows {
		for j := range s.rows[i] {
			s.rows[i][j] /= 2
		}
	}
}

func (s *cmSketch) estimate(h uint64) uint8 {
	m := uint8(15)
	for i := range s.rows {
		m = min(m, *s.slot(i, h))
	}
	return m
}

const (
	lfuNone = iota
	lfuWindow
	lfuProbation
	lfuProtected
)

// tinylfu is W-TinyLFU (TOS '17): an LRU window before a segmented LRU that admits by frequency.
type tinylfu struct {
	t                            *Trace
	capacity, windowCap, protCap uint64
	where                        []uint8
	window, probation, protected list
	sketch                       *cmSketch
	climb                        *climber // nil: the window keeps its size
}

// WTinyLFU has a fixed window of 1 %.
func WTinyLFU(t *Trace, capacity uint64) Cache { return newTinyLFU(t, capacity, 0.01, false) }

// WTinyLFUClimbing moves its window's size towards more hits (Middleware '18).
func WTinyLFUClimbing(t *Trace, capacity uint64) Cache { return newTinyLFU(t, capacity, 0.01, true) }

// WTinyLFUWindow returns a Maker with a fixed window of the given share.
func WTinyLFUWindow(share float64) Maker {
	return func(t *Trace, capacity uint64) Cache { return newTinyLFU(t, capacity, share, false) }
}

func newTinyLFU(t *Trace, capacity uint64, window float64, climb bool) Cache {
	l := newLinks(t.Unique)
	mean := max(1, t.Footprint()/uint64(max(1, t.Unique)))
	c := &tinylfu{t: t, capacity: capacity, where: make([]uint8, t.Unique), window: list{l: l}, probation: list{l: l}, protected: list{l: l},
		sketch: newSketch(int(capacity / mean))}
	c.size(max(1, uint64(window*float64(capacity))))
	if climb {
		c.climb = &climber{step: -0.0625 * float64(capacity), sample: 10 * int(capacity/mean), initial: 0.0625 * float64(capacity)}
	}
	return c
}

func (c *tinylfu) size(window uint64) {
	c.windowCap = min(window, c.capacity)
	c.protCap = (c.capacity - c.windowCap) * 8 / 10
}

func (c *tinylfu) list(where uint8) *list {
	return []*list{nil, &c.window, &c.probation, &c.protected}[where]
}

func (c *tinylfu) move(key uint32, to uint8) {
	w := c.t.Size(key)
	if from := c.where[key]; from != lfuNone {
		c.list(from).remove(key, w)
	}
	c.where[key] = to
	if to != lfuNone {
		c.list(to).push(key, w)
	}
}

func (c *tinylfu) Access(key uint32) bool {
	w := uint64(c.t.Size(key))
	if w > c.capacity {
		return false
	}
	c.sketch.add(Hash(key))
	hit := c.where[key] != lfuNone
	switch c.where[key] {
	case lfuNone:
		c.move(key, lfuWindow)
		c.evict()
	case lfuWindow:
		c.move(key, lfuWindow)
	default:
		c.move(key, lfuProtected)
		for c.protected.weight > c.protCap && c.protected.n > 0 {
			c.move(c.protected.last(), lfuProbation)
		}
	}
	if c.climb != nil {
		if d := c.climb.observe(hit); d != 0 {
			c.size(uint64(min(0.8*float64(c.capacity), max(1, float64(c.windowCap)+d))))
			for c.window.weight > c.windowCap && c.window.n > 0 {
				c.move(c.window.last(), lfuProbation)
			}
			for c.window.weight < c.windowCap && c.probation.n > 0 {
				c.move(c.probation.last(), lfuWindow)
			}
			for c.protected.weight > c.protCap && c.protected.n > 0 {
				c.move(c.protected.last(), lfuProbation)
			}
		}
	}
	return hit
}

// evict moves the overflow of the window to the main part and lets each candidate fight the victim there.
func (c *tinylfu) evict() {
	for c.window.weight > c.windowCap && c.window.n > 0 {
		cand := c.window.last()
		c.move(cand, lfuProbation)
		for c.window.weight+c.probation.weight+c.protected.weight > c.capacity {
			from := &c.probation
			if from.last() == cand && from.n == 1 && c.protected.n > 0 {
				from = &c.protected
			}
			victim := from.last()
			if victim == cand || c.sketch.estimate(Hash(cand)) > c.sketch.estimate(Hash(victim)) {
				c.move(victim, lfuNone)
				if victim == cand {
					break
				}
				continue
			}
			c.move(cand, lfuNone)
			break
		}
	}
	for c.window.weight+c.probation.weight+c.protected.weight > c.capacity { // only with sizes
		for _, q := range []*list{&c.probation, &c.window, &c.protected} {
			if q.n > 0 {
				c.move(q.last(), lfuNone)
				break
			}
		}
	}
}

// climber is the hill climbing of the window's size.
type climber struct {
	step, initial, prev float64
	hits, n, sample     int
}

func (c *climber) observe(hit bool) float64 {
	c.n++
	if hit {
		c.hits++
	}
	if c.n < c.sample {
		return 0
	}
	rate := float64(c.hits) / float64(c.n)
	change := rate - c.prev
	amount := c.step
	if change < 0 {
		amount = -amount
	}
	if max(change, -change) >= 0.05 {
		if amount >= 0 {
			c.step = c.initial
		} else {
			c.step = -c.initial
		}
	} else {
		c.step = 0.98 * amount
	}
	c.prev, c.hits, c.n = rate, 0, 0
	return amount
}
