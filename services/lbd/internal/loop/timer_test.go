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
