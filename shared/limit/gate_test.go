package limit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

func mustGate(t testing.TB, limit, queue int, patience time.Duration) *Gate[string] {
	t.Helper()
	g, err := NewGate[string](limit, queue, patience)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNewGateRefuses(t *testing.T) {
	f := func(limit, queue int, patience time.Duration) {
		t.Helper()
		if _, err := NewGate[int](limit, queue, patience); fault.Of(err) != fault.Invalid {
			t.Errorf("NewGate(%d, %d, %v): %v", limit, queue, patience, err)
		}
	}
	f(-1, 0, 0)
	f(1, -1, time.Second)
	f(1, 1, -time.Second)
	f(1, 1, 0)
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The commands are new, enter, leave, cancel, limit and expire; a time is in seconds. The trace says all that a step
// leads to, and the state after it.
func TestGateScripts(t *testing.T) {
	labtest.Script(t, "testdata/gate", func(t *testing.T) labtest.Runner {
		var g *Gate[string]
		var fx Effects[string]
		tickets := map[string]Ticket{}
		return func(cmd string, args []string, _ string) string {
			said := ""
			at := func(i int) int64 { return int64(number(t, args[i])) * int64(time.Second) }
			switch cmd {
			case "new":
				g = mustGate(t, number(t, args[0]), number(t, args[1]), time.Duration(at(2)))
			case "enter":
				v, ticket := g.Enter(at(0), args[1], &fx)
				tickets[args[1]] = ticket
				said = []string{"granted", "queued", "refused"}[v] + " "
			case "leave":
				g.Leave(at(0), &fx)
			case "cancel":
				said = fmt.Sprintf("%v ", g.Cancel(tickets[args[0]]))
			case "limit":
				g.SetLimit(at(0), number(t, args[1]), &fx)
			case "expire":
				g.Expire(at(0), &fx)
			}
			if len(fx.Expired) > 0 {
				said += "expired: " + strings.Join(fx.Expired, " ") + " "
			}
			if len(fx.Granted) > 0 {
				said += "let in: " + strings.Join(fx.Granted, " ") + " "
			}
			fx.Reset()
			due := "-"
			if d, ok := g.Deadline(); ok {
				due = time.Duration(d).String()
			}
			return fmt.Sprintf("%s[inside %d, waiting %d, next deadline %s]", said, g.Inside(), g.Waiting(), due)
		}
	})
}

func TestLeaveOfNobodyPanics(t *testing.T) {
	defer func() {
		if s, _ := recover().(string); !strings.HasPrefix(s, "BUG:") {
			t.Errorf("panic %q", s)
		}
	}()
	mustGate(t, 1, 0, 0).Leave(0, &Effects[string]{})
}

// model is a gate by the definition, with slices only.
type model struct {
	limit, queue int
	inside       int
	waiting      []waiter[int]
}

func (m *model) expire(now int64) (out []int) {
	for len(m.waiting) > 0 && m.waiting[0].deadline <= now {
		out = append(out, m.waiting[0].who)
		m.waiting = m.waiting[1:]
	}
	return out
}

func (m *model) admit() (in []int) {
	for m.inside < m.limit && len(m.waiting) > 0 {
		in = append(in, m.waiting[0].who)
		m.waiting = m.waiting[1:]
		m.inside++
	}
	return in
}

// A gate does what the model does, step by step, whatever the steps are; time goes on.
func FuzzGate(f *testing.F) {
	f.Add([]byte("eeeeeelllleeceexl9eeel0"))
	f.Add([]byte{0, 0, 0, 0, 1, 2, 3, 4, 5, 1, 1, 1, 255, 254})
	f.Fuzz(func(t *testing.T, steps []byte) {
		const queue, patience = 4, 10
		g, err := NewGate[int](2, queue, patience)
		if err != nil {
			t.Fatal(err)
		}
		m := &model{limit: 2, queue: queue}
		var fx Effects[int]
		tickets := map[int]Ticket{}
		now := int64(0)
		for who, s := range steps {
			fx.Reset()
			now += int64(s >> 4)
			var expired, granted []int
			switch s % 5 {
			case 0, 1:
				expired = m.expire(now)
				v, ticket := g.Enter(now, who, &fx)
				want := Refused
				if m.inside < m.limit {
					want = Granted
					m.inside++
				} else if len(m.waiting) < m.queue {
					want = Queued
					tickets[who] = ticket
					m.waiting = append(m.waiting, waiter[int]{who: who, deadline: now + patience})
				}
				if v != want {
					t.Fatalf("step %d: verdict %d, want %d", who, v, want)
				}
			case 2:
				if m.inside == 0 {
					continue
				}
				m.inside--
				expired = m.expire(now)
				granted = m.admit()
				g.Leave(now, &fx)
			case 3:
				whom := who - int(s%8)
				i := slices.IndexFunc(m.waiting, func(w waiter[int]) bool { return w.who == whom })
				if ticket, ok := tickets[whom]; ok {
					if g.Cancel(ticket) != (i >= 0) {
						t.Fatalf("step %d: cancel of %d", who, whom)
					}
					if i >= 0 {
						m.waiting = slices.Delete(slices.Clone(m.waiting), i, i+1)
					}
				}
			case 4:
				m.limit = int(s % 7)
				expired = m.expire(now)
				granted = m.admit()
				g.SetLimit(now, m.limit, &fx)
			}
			if !slices.Equal(fx.Expired, expired) || !slices.Equal(fx.Granted, granted) {
				t.Fatalf("step %d: %+v, want %v expired and %v let in", who, fx, expired, granted)
			}
			if g.Inside() != m.inside || g.Waiting() != len(m.waiting) || cap(g.queue) > 4*queue {
				t.Fatalf("step %d: %d in, %d waiting in %d; want %d, %d", who, g.Inside(), g.Waiting(), cap(g.queue), m.inside, len(m.waiting))
			}
		}
	})
}

func TestGateAllocatesNothing(t *testing.T) {
	g := mustGate(t, 1, 8, time.Second)
	var fx Effects[string]
	now := int64(0)
	cycle := func() {
		now++
		for range 5 {
			g.Enter(now, "x", &fx)
		}
		for g.Inside() > 0 {
			g.Leave(now, &fx)
		}
		fx.Reset()
	}
	cycle()
	if n := testing.AllocsPerRun(100, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
