package vip

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/vip/internal/child"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// childEnv makes the test binary a VRRP process that holds nothing: a fakeHolder behind a socket.
const childEnv = "EVERUP_TEST_VIP_FAKE"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	os.Exit(fakeMain())
}

func fakeMain() int {
	ctl, _, err := child.Inherit()
	if err != nil {
		return 3
	}
	h := &fakeHolder{emit: func(m *wire.Message) {
		if b, err := wire.Append(nil, m); err == nil {
			_, _ = ctl.Write(b)
		}
	}}
	var r wire.Reader
	buf := make([]byte, 64<<10)
	stop := errors.New("stop")
	for {
		n, err := ctl.Read(buf)
		if err != nil {
			return 0
		}
		switch err := r.Feed(buf[:n], func(m *wire.Message) error {
			if h.take(m) {
				return stop
			}
			return nil
		}); {
		case errors.Is(err, stop):
			return 0
		case err != nil:
			return 4
		}
	}
}

// fakeHolder behaves like the VRRP process as far as the daemon sees it; nothing is sent and no address added. peer says whether
// another host takes what is given away.
type fakeHolder struct {
	emit   func(*wire.Message)
	peer   bool
	silent bool // it answers no Do
	hello  wire.Hello
	drops  map[string]uint64 // what each router has dropped

	plan   *wire.Plan
	groups map[string]*fakeGroup
	beats  int
}

type fakeGroup struct {
	wire.Group
	judged    bool
	faults    []string
	released  bool
	delta     int
	routers   []wire.RouterStatus
	conflicts []string
}

// take does what the daemon says; true: it is to end.
func (h *fakeHolder) take(m *wire.Message) (end bool) {
	switch {
	case m.Plan != nil:
		h.onPlan(m.Plan)
	case m.Verdict != nil:
		if g := h.groups[m.Verdict.Group]; g != nil {
			g.judged, g.faults, g.delta = true, m.Verdict.Faults, m.Verdict.Delta
			h.settle(g, "fault")
		}
	case m.Do != nil:
		return h.onDo(m.Do)
	case m.Beat != nil:
		h.beats++ // and a snapshot, so that one comes each second also where there is no clock
	}
	h.snapshot()
	return false
}

func (h *fakeHolder) onPlan(p *wire.Plan) {
	if h.plan == nil {
		hello := h.hello
		h.emit(&wire.Message{Hello: &hello})
	}
	h.plan = p
	old := h.groups
	h.groups = map[string]*fakeGroup{}
	for _, g := range p.Groups {
		f := &fakeGroup{Group: g}
		if was := old[g.Name]; was != nil {
			f.judged, f.faults, f.released, f.delta = was.judged, was.faults, was.released, was.delta
		}
		for _, r := range g.Routers {
			st := wire.RouterStatus{
				Vip: r.Vip, Interface: r.Interface, Family: familyOf(r.Addresses[0].Addr()), VRID: int(r.Config.VRID),
				Version: int(r.Config.Version), Addresses: r.Addresses, State: "Initialize", Cause: "startup", Since: time.Now(),
				Base: int(r.Config.Priority), Interval: r.Config.Interval, Down: 3*r.Config.Interval + r.Config.Interval*(256-time.Duration(r.Config.Priority))/256,
			}
			if was := old[g.Name]; was != nil {
				for _, o := range was.routers {
					if o.Vip == st.Vip && o.Family == st.Family {
						st.State, st.Cause, st.Since, st.Counters = o.State, o.Cause, o.Since, o.Counters
					}
				}
			}
			f.routers = append(f.routers, st)
		}
		h.groups[g.Name] = f
		if f.judged {
			h.settle(f, "fault")
		}
	}
}

// settle brings a group's routers to where they belong.
func (h *fakeHolder) settle(g *fakeGroup, why string) {
	for i := range g.routers {
		r := &g.routers[i]
		r.Priority = min(max(r.Base+g.delta, 1), 254)
		switch {
		case !g.judged || g.released && r.State == "Initialize":
		case g.released:
			h.enter(g, r, "Initialize", "release")
		case len(g.faults) > 0 && r.State != "Initialize":
			h.enter(g, r, "Initialize", why)
		case len(g.faults) > 0:
		case g.Routers[i].Adopt && r.State == "Initialize":
			h.enter(g, r, "Active", "adoption")
		case r.State == "Initialize":
			h.enter(g, r, "Backup", "startup")
			if !h.peer {
				h.enter(g, r, "Active", "down_timer")
			}
		}
	}
}

func (h *fakeHolder) enter(g *fakeGroup, r *wire.RouterStatus, state, cause string) {
	r.State, r.Cause, r.Since = state, cause, time.Now()
	h.emit(&wire.Message{Tell: &wire.Tell{
		Kind: wire.TellState, At: r.Since, Group: g.Name, Vip: r.Vip, Family: r.Family, State: state, Cause: cause,
	}})
}

func (h *fakeHolder) onDo(d *wire.Do) (end bool) {
	if h.silent {
		return false
	}
	answer := ""
	for _, name := range h.names() {
		g := h.groups[name]
		if d.Group != "" && d.Group != name {
			continue
		}
		switch d.Verb {
		case wire.Release, wire.Stop:
			g.released = true
			h.settle(g, "release")
		case wire.Resume:
			g.released = false
			h.settle(g, "fault")
		case wire.SwitchOver, wire.TakeOver:
			if !h.peer {
				answer = "no peer takes the addresses of " + name
				continue
			}
			state, cause := "Backup", "switch_over"
			if d.Verb == wire.TakeOver {
				state, cause = "Active", "take_over"
			}
			for i := range g.routers {
				h.enter(g, &g.routers[i], state, cause)
			}
		}
	}
	h.snapshot()
	h.emit(&wire.Message{Done: &wire.Done{ID: d.ID, Error: answer}})
	return d.Verb == wire.Stop
}

func (h *fakeHolder) names() (out []string) {
	for name := range h.groups {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (h *fakeHolder) snapshot() {
	if h.plan == nil {
		return
	}
	s := &wire.Snapshot{Plan: h.plan.ID, At: time.Now()}
	for _, name := range h.names() {
		g := h.groups[name]
		st := wire.GroupStatus{Name: name, Released: g.released, Faults: g.faults}
		for _, r := range g.routers {
			r.Conflicts = g.conflicts
			r.Counters.Dropped = h.drops
			st.Routers = append(st.Routers, r)
		}
		s.Groups = append(s.Groups, st)
	}
	h.emit(&wire.Message{Snapshot: s})
}

// fakeProcess is a fakeHolder in a goroutine, in place of a process.
type fakeProcess struct {
	holder fakeHolder
	got    func(*wire.Message)
	inbox  chan *wire.Message
	do     chan func(h *fakeHolder)
	hung   chan struct{}
	killed chan error
	done   chan struct{}
	err    error
	hang   sync.Once
	onPlan func(*wire.Plan) // sees a plan when it is sent

	mu   sync.Mutex
	sent []*wire.Message // all that the daemon said
}

func startFake(got func(*wire.Message), peer bool) *fakeProcess {
	p := &fakeProcess{
		got: got, inbox: make(chan *wire.Message, 1000), do: make(chan func(*fakeHolder)), hung: make(chan struct{}),
		killed: make(chan error, 1), done: make(chan struct{}),
	}
	p.holder = fakeHolder{emit: got, peer: peer, hello: wire.Hello{PID: 7, Realtime: true, Locked: true}}
	go p.run()
	return p
}

func (p *fakeProcess) run() {
	defer close(p.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case m := <-p.inbox:
			if p.holder.take(m) {
				return
			}
		case f := <-p.do:
			f(&p.holder)
		case <-tick.C:
			p.holder.snapshot()
		case <-p.hung:
			return
		case p.err = <-p.killed:
			return
		}
	}
}

func (p *fakeProcess) Send(ms ...*wire.Message) error {
	p.mu.Lock()
	p.sent = append(p.sent, ms...)
	p.mu.Unlock()
	for _, m := range ms {
		if m.Plan != nil {
			p.onPlan(m.Plan)
		}
		p.inbox <- m
	}
	return nil
}

func (p *fakeProcess) Kill(why error) {
	select {
	case p.killed <- why:
	default:
	}
}

func (p *fakeProcess) Hangup()               { p.hang.Do(func() { close(p.hung) }) }
func (p *fakeProcess) Done() <-chan struct{} { return p.done }
func (p *fakeProcess) Err() error            { return p.err }
func (p *fakeProcess) PID() int              { return 7 }

// count returns how many messages of a kind the daemon sent.
func (p *fakeProcess) count(is func(*wire.Message) bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.sent {
		if is(m) {
			n++
		}
	}
	return n
}

// nth returns a message that the daemon sent.
func (p *fakeProcess) nth(i int) *wire.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[i]
}

// last returns the last message that the daemon sent.
func (p *fakeProcess) last() *wire.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[len(p.sent)-1]
}

// plans returns the plans that the daemon sent.
func (p *fakeProcess) plans() (out []*wire.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.sent {
		if m.Plan != nil {
			out = append(out, m.Plan)
		}
	}
	return out
}
