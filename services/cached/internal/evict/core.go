package evict

const (
	scanLimit = 64 // items one call of victim looks at
	fillSteps = 2  // items one call of admit moves from the window to a main part that is not full
	probing   = 32 // at one eviction of so many, main's tail is looked at for items that are not used any more
	drift     = 32 // the capacity is corrected when it is wrong by more than this part …
	patience  = 64 // … at so many evictions in a row
)

// core is the policy in a given mode: a window in which new items prove themselves, a main part for those that did, and ghosts of those that did
// not.
//
// The queues are S3-FIFO's: both are FIFO, a hit only writes the state byte, and an item used since is given another round. What differs: a
// key that comes back while its ghost is remembered is not taken to main at once; its distance since the last use must be shorter than that
// of the item at main's tail, as in LIRS. This is what holds a loop larger than the cache, which everything in it survives in a ghost list.
// And whatever comes while main is not full fills it, be it used or not, so that a loop finds a part of itself resident.
type core[S Space] struct {
	space              S
	mode               *mode
	capacity           uint64
	windowCap, mainCap uint64
	slack              uint64 // main counts as full when it lacks less than this
	window, main       queue
	sweep              uint32 // the item of main at which old epochs are forgotten next; 0: the tail
	epoch              uint8
	admitted           uint64 // weight admitted in this epoch
	evictions          uint8  // counts round
	wrong              uint8  // evictions in a row at which the capacity was not what it should be
	ghosts             ghosts
}

func newCore[S Space](s S, capacity uint64, m *mode) core[S] {
	c := core[S]{space: s, epoch: 1}
	c.resize(capacity, m)
	return c
}

// resize sets capacity and mode; the queues follow as items come and go.
func (c *core[S]) resize(capacity uint64, m *mode) {
	c.capacity, c.mode = capacity, m
	c.windowCap = capacity
	if !m.lru {
		c.windowCap = max(1, capacity/1024*m.window+capacity%1024*m.window/1024)
	}
	c.mainCap = capacity - min(capacity, c.windowCap)
	c.slack = c.mainCap / 64
}

func (c *core[S]) weight() uint64 { return c.window.weight + c.main.weight }
func (c *core[S]) items() int     { return c.window.items + c.main.items }

// hit notes a use of h.
func (c *core[S]) hit(h uint32) {
	n := c.space.Node(h)
	s := used(n.State, c.epoch)
	if s == n.State {
		return
	}
	if c.mode.lru && s&epochMask != n.State&epochMask {
		c.toWindow(h, s)
		return
	}
	n.State = s
}

// touch notes a write of h: a use, but one that reads are not needed to outlive, so it counts once however often it happens.
func (c *core[S]) touch(h uint32) {
	n := c.space.Node(h)
	s := n.State&^epochMask | c.epoch
	if s&freqMask == 0 {
		s += freqOne
	}
	if c.mode.lru && s&epochMask != n.State&epochMask {
		c.toWindow(h, s)
		return
	}
	n.State = s
}

// toWindow makes h the youngest of the window. In LRU's mode that happens at most once an epoch to an item, which keeps the order to an
// eighth of the capacity.
func (c *core[S]) toWindow(h uint32, state uint8) {
	c.unlink(h)
	c.space.Node(h).State = state &^ stateMain
	pushHead(c.space, &c.window, h)
}

// unlink takes h out of the queue it is in.
func (c *core[S]) unlink(h uint32) {
	n := c.space.Node(h)
	if n.State&stateMain == 0 {
		unlink(c.space, &c.window, h)
		return
	}
	if c.sweep == h {
		c.sweep = n.Next
	}
	unlink(c.space, &c.main, h)
}

// toMain moves the window's tail to main.
func (c *core[S]) toMain(h uint32) {
	unlink(c.space, &c.window, h)
	n := c.space.Node(h)
	n.State = stateMain | n.State&epochMask
	pushHead(c.space, &c.main, h)
}

// admit takes in a new item.
func (c *core[S]) admit(h uint32, hash uint64) {
	c.pass(h)
	n := c.space.Node(h)
	n.State = c.epoch
	last := c.ghosts.take(hash, c.epoch)
	if last != ancient && !c.mode.lru && age(last, c.epoch) <= c.mode.memory && c.deserves(last) {
		n.State |= stateMain
		pushHead(c.space, &c.main, h)
		return
	}
	pushHead(c.space, &c.window, h)
	for range fillSteps {
		if c.window.weight <= c.windowCap || !c.mainHasRoom() {
			break
		}
		c.toMain(c.window.tail)
	}
}

// mainHasRoom says whether main lacks so much that anything may fill it.
func (c *core[S]) mainHasRoom() bool { return c.main.weight+c.slack < c.mainCap }

// deserves says whether a key last used in the given epoch, and now again, belongs into main rather than the item at main's tail.
func (c *core[S]) deserves(last uint8) bool {
	if c.mainHasRoom() || c.main.tail == 0 {
		return true
	}
	if n := c.space.Node(c.main.tail); n.State&freqMask != 0 {
		n.State -= freqOne
		c.again()
	}
	return age(c.space.Node(c.main.tail).State&epochMask, c.epoch) > age(last, c.epoch)
}

// again gives the item at main's tail another round.
func (c *core[S]) again() {
	h := c.main.tail
	c.unlink(h)
	pushHead(c.space, &c.main, h)
}

// remove takes h out.
func (c *core[S]) remove(h uint32) { c.unlink(h) }

// replace puts now where old was.
func (c *core[S]) replace(old, now uint32) {
	q := &c.window
	if c.space.Node(old).State&stateMain != 0 {
		q = &c.main
		if c.sweep == old {
			c.sweep = now
		}
	}
	replace(c.space, q, old, now)
}

// reweigh corrects the weight of h's queue, to which h contributed before.
func (c *core[S]) reweigh(h, before uint32) {
	q := &c.window
	if c.space.Node(h).State&stateMain != 0 {
		q = &c.main
	}
	q.weight += uint64(c.space.Weight(h)) - uint64(before)
}

// victim unlinks the item that leaves next; 0 if there is none.
func (c *core[S]) victim() uint32 {
	if c.items() == 0 {
		return 0
	}
	h := c.choose()
	c.unlink(h)
	c.correct()
	c.retire(h)
	return h
}

// correct takes for the capacity what the engine fills in truth, if that differs from the budget for long: fragmentation may keep it below.
func (c *core[S]) correct() {
	w := c.weight()
	if w <= c.capacity+c.capacity/drift && w >= c.capacity-c.capacity/drift {
		c.wrong = 0
		return
	}
	if c.wrong++; c.wrong == patience {
		c.wrong = 0
		c.resize(w, c.mode)
	}
}

// choose finds the item that leaves next, moving those that do not yet.
func (c *core[S]) choose() uint32 {
	if c.mode.lru {
		return c.oldest()
	}
	if c.stale() {
		return c.main.tail
	}
	for range scanLimit {
		if c.window.tail != 0 && (c.window.weight > c.windowCap || c.main.weight <= c.mainCap) || c.main.tail == 0 {
			h := c.window.tail
			if c.space.Node(h).State&freqMask < c.mode.promote<<freqShift && !c.mainHasRoom() {
				return h
			}
			c.toMain(h)
			continue
		}
		n := c.space.Node(c.main.tail)
		if n.State&freqMask == 0 {
			return c.main.tail
		}
		n.State -= freqOne
		c.again()
	}
	if c.main.tail != 0 {
		return c.main.tail
	}
	return c.window.tail
}

// stale says whether main's tail should leave for nothing but its age. Without that, a main part that the traffic has left would stay for ever
// where what comes now, such as a loop longer than the ghosts remember, never finds its way in. A slow hand looks for such items, one
// at 32 evictions: rare keys are worth keeping, and a loop up to about 30 times the capacity is held.
func (c *core[S]) stale() bool {
	c.evictions++
	if c.evictions%probing != 0 || c.main.tail == 0 {
		return false
	}
	n := c.space.Node(c.main.tail)
	if n.State&(freqMask|epochMask) == 0 {
		return true
	}
	if n.State&epochMask == ancient {
		n.State -= freqOne
	}
	c.again()
	return false
}

// oldest is the older of the two tails.
func (c *core[S]) oldest() uint32 {
	w, m := c.window.tail, c.main.tail
	switch {
	case m == 0:
		return w
	case w == 0:
		return m
	case age(c.space.Node(m).State&epochMask, c.epoch) >= age(c.space.Node(w).State&epochMask, c.epoch):
		return m
	}
	return w
}

// retire remembers the evicted h.
func (c *core[S]) retire(h uint32) {
	c.ghosts.tend(c.items(), c.epoch)
	c.ghosts.add(c.space.Hash(h), c.space.Node(h).State&epochMask, c.epoch)
}

// pass lets time pass, which is counted in what comes in.
func (c *core[S]) pass(h uint32) {
	c.admitted += uint64(c.space.Weight(h))
	if c.admitted >= c.capacity/epochsPerTurn {
		c.admitted = 0
		c.epoch = nextEpoch(c.epoch)
	}
	c.forget()
}

// forget marks one item of main as ancient if its last use is long ago, before its epoch comes round again.
func (c *core[S]) forget() {
	if c.sweep == 0 {
		c.sweep = c.main.tail
	}
	if c.sweep == 0 {
		return
	}
	n := c.space.Node(c.sweep)
	if a := age(n.State&epochMask, c.epoch); a != ageAncient && a > memory {
		n.State &^= epochMask
	}
	c.sweep = n.Next
}
