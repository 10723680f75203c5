package sim

const (
	arcNone = iota
	arcT1
	arcT2
	arcB1
	arcB2
)

// arc is the adaptive replacement cache (FAST '03), its counts taken as weights.
type arc struct {
	t              *Trace
	c              uint64
	p              uint64 // target of t1
	where          []uint8
	t1, t2, b1, b2 list
}

// ARC is the adaptive replacement cache.
func ARC(t *Trace, capacity uint64) Cache {
	l := newLinks(t.Unique)
	return &arc{t: t, c: capacity, where: make([]uint8, t.Unique), t1: list{l: l}, t2: list{l: l}, b1: list{l: l}, b2: list{l: l}}
}

func (c *arc) list(where uint8) *list { return []*list{nil, &c.t1, &c.t2, &c.b1, &c.b2}[where] }

func (c *arc) move(key uint32, to uint8) {
	w := c.t.Size(key)
	if from := c.where[key]; from != arcNone {
		c.list(from).remove(key, w)
	}
	c.where[key] = to
	if to != arcNone {
		c.list(to).push(key, w)
	}
}

func (c *arc) Access(key uint32) bool {
	w := uint64(c.t.Size(key))
	if w > c.c {
		return false
	}
	switch c.where[key] {
	case arcT1, arcT2:
		c.move(key, arcT2)
		return true
	case arcB1:
		d := w * max(1, c.b2.weight/max(1, c.b1.weight))
		c.p = min(c.c, c.p+d)
		c.move(key, arcNone)
		c.room(w, false)
		c.move(key, arcT2)
	case arcB2:
		d := w * max(1, c.b1.weight/max(1, c.b2.weight))
		c.p -= min(c.p, d)
		c.move(key, arcNone)
		c.room(w, true)
		c.move(key, arcT2)
	default:
		c.fresh(w)
		c.room(w, false)
		c.move(key, arcT1)
	}
	return false
}

// fresh trims the ghosts before a key that nothing is known of comes in.
func (c *arc) fresh(w uint64) {
	for c.t1.weight+c.b1.weight+w > c.c && c.b1.n > 0 {
		c.move(c.b1.last(), arcNone)
	}
	for c.t1.weight+w > c.c && c.t1.n > 0 { // b1 is empty: t1 alone fills the cache
		c.move(c.t1.last(), arcNone)
	}
	for c.t1.weight+c.t2.weight+c.b1.weight+c.b2.weight+w > 2*c.c && c.b2.n > 0 {
		c.move(c.b2.last(), arcNone)
	}
}

// room is REPLACE of the paper, until w fits.
func (c *arc) room(w uint64, fromB2 bool) {
	for c.t1.weight+c.t2.weight+w > c.c {
		if c.t1.n > 0 && (c.t1.weight > c.p || fromB2 && c.t1.weight == c.p || c.t2.n == 0) {
			c.move(c.t1.last(), arcB1)
		} else {
			c.move(c.t2.last(), arcB2)
		}
	}
}
