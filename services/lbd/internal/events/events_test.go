package events

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// rig is a Limiter at a time of its own.
type rig struct {
	*testing.T
	l   *Limiter
	now time.Time
}

func newRig(t *testing.T) *rig {
	now := time.Unix(1000, 0)
	return &rig{t, NewLimiter(now), now}
}

// add adds n events of a kind and returns how many are told at once.
func (r *rig) add(n int, kind, object string) (told int) {
	for range n {
		if r.l.Add(r.now, Event{kind, object, map[string]any{"why": kind}}) {
			told++
		}
	}
	return told
}

// due lets time pass and returns what is told then.
func (r *rig) due(pass time.Duration) (out []string) {
	r.now = r.now.Add(pass)
	for _, e := range r.l.Due(r.now) {
		out = append(out, fmt.Sprint(e.Kind, " ", e.Object, " ", e.Data["why"], " ", e.Data["held"]))
	}
	return out
}

func (r *rig) want(got, want any) {
	r.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.Errorf("got %v, want %v", got, want)
	}
}

// Of a thing that flaps the last state is told in the end.
func TestOneThing(t *testing.T) {
	r := newRig(t)
	r.want(r.add(burst, "down", "a"), burst)
	r.want(r.add(3, "up", "a"), 0)
	r.want(r.add(1, "down", "a"), 0)
	r.want(r.add(1, "up", "b"), 1) // another thing
	r.want(r.due(every-time.Second), []string{})
	r.want(r.due(time.Second), []string{"down a down 4"})
	r.want(r.due(time.Hour), []string{})
	r.want(len(r.l.things), 0)
	r.want(r.add(burst+1, "up", "a"), burst)
}

// An event that comes while one is held does not overtake it.
func TestOrder(t *testing.T) {
	r := newRig(t)
	r.want(r.add(burst+1, "down", "a"), burst)
	r.now = r.now.Add(every)
	r.want(r.add(1, "up", "a"), 0)
	r.want(r.due(0), []string{"up a up 2"})
}

func TestAllThings(t *testing.T) {
	r := newRig(t)
	told := 0
	for i := range maxThings + 10 {
		told += r.add(1, "suspect", strconv.Itoa(i))
	}
	r.want(told, burstAll)
	r.want(r.l.Lost(), 10)
	r.want(len(r.due(time.Second)), perSecond)
	r.want(r.due(0), []string{})
	n := 0
	for range 60 {
		n += len(r.due(time.Second))
	}
	r.want(n, maxThings-burstAll-perSecond)
	r.due(time.Hour)
	r.want(r.add(1, "suspect", "new"), 1) // makes room
	r.want(r.l.Lost(), 10)
}

func TestEmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		m := NewEmitter(func(kind, object string, data any) { got = append(got, fmt.Sprint(kind, " ", object, " ", data)) })
		for i := range burst + 2 {
			m.Emit("down", "a", map[string]any{"n": i})
		}
		time.Sleep(every)
		m.Tick()
		if len(got) != burst+1 || got[0] != "down a map[n:0]" || got[burst] != "down a map[held:2 n:6]" || m.Lost() != 0 {
			t.Errorf("%q", got)
		}
	})
}
