package vrrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// reader takes numbers from fuzzed bytes.
type reader []byte

func (r *reader) next() int {
	if len(*r) == 0 {
		return 0
	}
	b := (*r)[0]
	*r = (*r)[1:]
	return int(b)
}

// event reads an event and how much time goes by before it, which may be less than none.
func (r *reader) event(cfg Config) (Event, time.Duration) {
	ev := Event{Kind: EventKind(r.next() % int(eventKinds+1))}
	pass := []time.Duration{0, time.Millisecond, cfg.Interval, 3 * cfg.Interval, time.Minute, -cfg.Interval, Never / 2, -Never / 2}[r.next()%8]
	switch ev.Kind {
	case EvPriority:
		ev.Priority = Priority(r.next())
	case EvAdvert:
		ev.Advert = r.advert(cfg)
	}
	return ev, pass
}

func (r *reader) advert(cfg Config) *Advert {
	how := r.next()
	if how == 255 {
		return nil
	}
	ad := advertOf(cfg, Priority(r.next()))
	ad.Src = netip.AddrFrom4([4]byte{10, 77, 0, byte(r.next() % 5)})
	ad.NoPreempt, ad.Tenure = how&1 != 0, Tenure(how>>1&3)
	if how&8 != 0 {
		ad.At = time.Duration(r.next()) * time.Second
	}
	switch how >> 4 {
	case 1:
		ad.Interval = time.Duration(r.next()) * time.Second
	case 2:
		ad.Addrs = nil
	case 3:
		ad.Version = V2
	case 4:
		ad.VRID++
	case 5:
		ad.AuthType = AuthText
	case 6:
		ad.Src = netip.MustParseAddr("fe80::1")
	case 7:
		ad.Src = netip.Addr{}
	case 8:
		ad.Interval = -Never
	}
	return ad
}

// FuzzMachine steps a machine, alone and in a group of two, through any events at any times.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 100, 3, 0, 1, 4, 2, 0, 2, 0, 0, 200, 1, 6, 1, 8, 2, 10, 1})
	f.Add([]byte{7, 255, 4, 0, 2, 1, 0, 255, 4, 9, 0, 50, 11, 0, 12, 0, 7, 1, 0, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := reader(data)
		how := in.next()
		cfg := testConfig()
		cfg.Priority = Priority(max(in.next(), 1))
		cfg.Preempt = how&1 == 0
		cfg.PreemptDelay = time.Duration(how>>1&1) * time.Second
		cfg.StartDelay = time.Duration(how>>2&1) * time.Second
		if how&8 != 0 {
			cfg.Version = V2
		}
		alone := &watched{m: newMachine(t, cfg)}
		pair := []*watched{{m: newMachine(t, cfg)}, {m: newMachine(t, cfg)}}
		group := NewGroup(pair[0].m, pair[1].m)
		now := time.Duration(0)
		for len(in) > 0 {
			ev, pass := in.event(cfg)
			now += pass
			if pass > 0 && now < 0 || now > Never/2 {
				now = 0
			}
			alone.took(t, alone.m.Step(now, ev, nil))
			if ev.Kind == EvDrained {
				alone.rests(t)
			}
			member := in.next() % 3
			var fx []GroupEffect
			if member == 2 {
				fx = group.StepAll(now, ev, nil)
			} else {
				fx = group.Step(now, member, ev, nil)
			}
			for i, w := range pair {
				var own []Effect
				for _, e := range fx {
					if e.Member == i {
						own = append(own, e.Effect)
					}
				}
				w.took(t, own)
			}
		}
	})
}

// watched is a machine whose effects are checked.
type watched struct {
	m    *Machine
	held bool
	now  time.Duration
}

// rests checks that a machine that is given its timer has no other to be given at the same time, but for one that it
// found only then: its shell would never sleep.
func (w *watched) rests(t *testing.T) {
	t.Helper()
	for range 2 {
		w.took(t, w.m.Step(w.m.now, Event{Kind: EvDrained}, nil))
	}
	if at := w.m.Deadline(); at <= w.m.now {
		t.Fatalf("at %v the deadline is %v: %+v", w.m.now, at, w.m.Status())
	}
}

// took checks what must hold after each step.
func (w *watched) took(t *testing.T, fx []Effect) {
	t.Helper()
	m := w.m
	bad := func(format string, args ...any) {
		t.Helper()
		text := ""
		for _, e := range fx {
			text += "  " + effectText(e) + "\n"
		}
		t.Fatalf("%s\n%s%+v", fmt.Sprintf(format, args...), text, m.Status())
	}
	work := 0
	for _, e := range fx {
		switch e.Kind {
		case DoAdd:
			w.held = true
		case DoRemove:
			if !w.held {
				bad("addresses are removed that are not there")
			}
			w.held = false
		}
		if e.Kind != TellConflict {
			work++
		}
	}
	switch {
	case w.held != (m.State() == Active):
		bad("held %t", w.held)
	case work > 8:
		bad("%d effects", work)
	case m.now < w.now:
		bad("time goes back from %v to %v", w.now, m.now)
	case m.State() == Active && m.active.adverAt == Never:
		bad("Active and silent")
	case m.State() == Backup && m.backup.downAt == Never && !m.backup.wants:
		bad("Backup for ever")
	case m.State() != Backup && m.backup != backupState{downAt: Never}:
		bad("%+v in %v", m.backup, m.State())
	case m.State() != Active && (m.active.adverAt != Never || m.active.leaveAt != Never || m.notice.at != Never):
		bad("%+v %+v in %v", m.active, m.notice, m.State())
	case m.State() != Initialize && !m.started && m.active.leaving != releasing:
		bad("not started")
	}
	w.now = m.now
}
