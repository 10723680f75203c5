package loop

import "testing"

// Hand leaves the deadline and what was asked for; only another handler is told.
func TestHand(t *testing.T) {
	l := open(t)
	first, second := &gatherer{l: l}, &gatherer{l: l}
	l.Post(func() {
		first.ref = l.Timer(first)
		second.ref = first.ref
		l.Again(first.ref)
		l.SetDeadline(first.ref, l.Now()+1)
		l.Hand(first.ref, second)
		l.SetDeadline(l.Timer(&stopper{l: l}), l.Now()+4*tick)
	})
	run(t, l)
	if first.seen != nil || len(second.seen) != 4 {
		t.Errorf("the first was told %v, the second %v", first.seen, second.seen)
	}
}
