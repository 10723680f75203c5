package trailer

import "time"

// MaxSkew is how far the time in the first advert of a sender may be from ours.
const MaxSkew = 30 * time.Second

// senders is how many senders a Window knows. More than one speaks from the same address only where a node was replaced,
// or by mistake; the one heard longest ago is forgotten for a fifth. That matters for recordings that are still fresh: five nodes
// would have to have had one address within MaxSkew.
const senders = 4

// Window tells new adverts of a peer from recorded ones, as the package's comment has it. The zero value has heard nobody.
// It is for one goroutine at a time.
type Window struct {
	marks [senders]mark // the sender heard last is first
	known int
}

// mark is the newest that was heard of a sender.
type mark struct {
	sender, epoch, seq uint64
}

// Take judges an authentic claim, at the time now: Accepted, which is remembered, Replayed or Stale.
func (w *Window) Take(c Claim, now time.Time) Verdict {
	m := mark{c.Sender, c.Epoch, c.Seq}
	i := w.find(c.Sender)
	switch {
	case i < w.known && !w.marks[i].before(m):
		return Replayed
	case i == w.known && !near(c.At, now):
		return Stale
	case i == w.known && w.known < senders:
		w.known++
	}
	i = min(i, senders-1)
	copy(w.marks[1:i+1], w.marks[:i])
	w.marks[0] = m
	return Accepted
}

// find returns the sender's place, known if it has none.
func (w *Window) find(sender uint64) int {
	for i := range w.known {
		if w.marks[i].sender == sender {
			return i
		}
	}
	return w.known
}

// before reports whether n is newer than m.
func (m mark) before(n mark) bool {
	return n.epoch > m.epoch || n.epoch == m.epoch && n.seq > m.seq
}

func near(at, now time.Time) bool {
	d := now.Sub(at)
	return d >= -MaxSkew && d <= MaxSkew
}
