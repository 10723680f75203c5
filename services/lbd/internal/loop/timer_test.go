package loop

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gatherer is a Finisher that notes what it is called for.
type gatherer struct {
	l    *Loop
	ref  Ref
	seen []string
}

func (g *gatherer) Ready(ev Events) {
	g.seen = append(g.seen, "ready")
	g.l.Later(g.ref)
	g.l.Later(g.ref)
}

func (g *gatherer) Expired() {
	g.seen = append(g.seen, "expired")
	g.l.Later(g.ref)
}

func (g *gatherer) Finish() { g.seen = append(g.seen, "finish") }

func TestTimerWithoutDescriptor(t *testing.T) {
	l := open(t)
	g := &gatherer{l: l}
	gone := &gatherer{l: l}
	l.Post(func() {
		g.ref, gone.ref = l.Timer(g), l.Timer(gone)
		l.Again(g.ref)
		l.SetDeadline(g.ref, l.Now()+20*time.Millisecond)
		l.Again(gone.ref)
		l.SetDeadline(gone.ref, l.Now()+10*time.Millisecond)
		l.Later(gone.ref)
		l.Remove(gone.ref)
		l.SetDeadline(l.Timer(&stopper{l: l}), l.Now()+60*time.Millisecond)
	})
	run(t, l)
	if diff := cmp.Diff([]string{"ready", "finish", "expired", "finish"}, g.seen); diff != "" {
		t.Error(diff)
	}
	if gone.seen != nil {
		t.Errorf("a removed timer was told %v", gone.seen)
	}
}

// stopper ends the loop when its time has come.
type stopper struct{ l *Loop }

func (*stopper) Ready(Events) {}
func (s *stopper) Expired()   { s.l.Stop() }

// again is a timer that sets itself once more when it has expired, and makes as many others as need more room for all.
type again struct {
	l       *Loop
	ref     Ref
	expired int
	left    *int // of those that are to expire a second time
}

func (a *again) Ready(Events) {}

func (a *again) Expired() {
	for range 100 {
		a.l.Timer(a)
	}
	if a.expired++; a.expired == 1 {
		a.l.SetDeadline(a.ref, a.l.Now()+10*time.Millisecond)
		return
	}
	if *a.left--; *a.left == 0 {
		a.l.Stop()
	}
}

// TestTimersBesideGrowth: who expires beside one that makes the loop keep more slots can be set again.
func TestTimersBesideGrowth(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	left := 10
	var all []*again
	for range left {
		a := &again{l: l, left: &left}
		a.ref = l.Timer(a)
		l.SetDeadline(a.ref, time.Millisecond)
		all = append(all, a)
	}
	late := &stopper{l}
	l.SetDeadline(l.Timer(late), 5*time.Second)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		if a.expired != 2 {
			t.Errorf("timer %d expired %d times", i, a.expired)
		}
	}
}
