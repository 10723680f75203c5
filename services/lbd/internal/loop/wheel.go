package loop

import "time"

const (
	spokes = 1024
	tick   = 10 * time.Millisecond
)

// timer is a slot's place in the wheel.
type timer struct {
	at         time.Duration // when it is looked at
	prev, next uint32        // slots of the same spoke; 0: none
	spoke      uint16
	linked     bool
}

// wheel holds slots by the tick at which they are to be looked at.
type wheel struct {
	heads [spokes]uint32 // first slot of a spoke, 0: none
	done  int64          // tick up to which all was looked at
	rest  bool           // but for what is left of its spoke
	count int
}

// idle moves a wheel that holds nothing on, so that what is put counts from now.
func (w *wheel) idle(now time.Duration) {
	if w.count == 0 {
		w.done = max(w.done, int64(now/tick))
	}
}

// tickOf returns the first tick that is not before at.
func tickOf(at time.Duration) int64 { return int64((at + tick - 1) / tick) }

// put places slot i so that it is looked at at a time, or at the wheel's end if that is further away.
func (w *wheel) put(slots []slot, i uint32, at time.Duration) {
	w.remove(slots, i)
	n := min(max(tickOf(at), w.done+1), w.done+spokes-1)
	t := &slots[i].spoke
	*t = timer{at: time.Duration(n) * tick, spoke: uint16(n % spokes), linked: true, next: w.heads[n%spokes]}
	if t.next != 0 {
		slots[t.next].spoke.prev = i
	}
	w.heads[t.spoke] = i
	w.count++
}

// remove takes slot i out.
func (w *wheel) remove(slots []slot, i uint32) {
	t := &slots[i].spoke
	if !t.linked {
		return
	}
	if t.prev != 0 {
		slots[t.prev].spoke.next = t.next
	} else {
		w.heads[t.spoke] = t.next
	}
	if t.next != 0 {
		slots[t.next].spoke.prev = t.prev
	}
	*t = timer{}
	w.count--
}

// next returns the time of the first spoke that holds something.
func (w *wheel) next() (time.Duration, bool) {
	if w.count == 0 {
		return 0, false
	}
	for n := w.done + 1; n < w.done+spokes; n++ {
		if w.heads[n%spokes] != 0 {
			return time.Duration(n) * tick, true
		}
	}
	return 0, false
}

// expire takes out what is to be looked at by now and calls look with each. look may put and remove any slot, and make room for more.
func (w *wheel) expire(slots *[]slot, now time.Duration, look func(uint32)) {
	last := int64(now / tick)
	w.idle(now)
	for w.rest || w.done < last {
		if !w.rest {
			w.done++
		}
		if last-w.done > spokes { // the loop stood still for longer than a round
			w.done = last - spokes
		}
		w.rest = true // look may not come back
		for i := w.heads[w.done%spokes]; i != 0; i = w.heads[w.done%spokes] {
			w.remove(*slots, i)
			look(i)
		}
		w.rest = false
	}
}
