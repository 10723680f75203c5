package vrrp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// simulation is some routers on one link per member of their groups, in virtual time. All is decided by the seed and the
// schedule of disturbances, so that a run can be repeated, and again with less of the schedule.
type simulation struct {
	rng     *rand.Rand
	members int
	now     time.Duration
	seq     int
	queue   simQueue
	routers []*simRouter
	cut     [][]bool // [from][to]
	loss    float64
	delay   time.Duration // the longest of a packet
	jitter  time.Duration // the latest a timer fires
	check   *checker
	tell    func(format string, args ...any) // nil: nothing is traced
	fx      []GroupEffect
}

// simRouter is a host with its shell.
type simRouter struct {
	id      int
	cfgs    []Config
	group   *Group   // of several members
	machine *Machine // the only one
	up      bool
	frozen  freeze
	clock   time.Duration // what its clock is ahead
	inbox   []simPacket
	held    []bool
	booked  time.Duration // the timer event that counts
}

// freeze is what does not run.
type freeze uint8

const (
	running freeze = iota
	process        // the process: packets lie in its sockets
	machine        // the whole host: packets are lost
)

type simPacket struct {
	member int
	advert Advert
}

// simEvent is what happens at a time: a packet comes, a timer may be due, a disturbance.
type simEvent struct {
	at     time.Duration
	seq    int
	router int
	packet *simPacket
	act    func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func (s *simulation) after(d time.Duration, ev simEvent) {
	s.seq++
	ev.at, ev.seq = s.now+d, s.seq
	heap.Push(&s.queue, ev)
}

func (s *simulation) trace(format string, args ...any) {
	if s.tell != nil {
		s.tell("%v  "+format, append([]any{s.now}, args...)...)
	}
}

// upTo returns a random duration up to most.
func (s *simulation) upTo(most time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(most) + 1))
}

// run lets time pass until end.
func (s *simulation) run(end time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= end && s.check.failure == "" {
		ev := heap.Pop(&s.queue).(simEvent)
		s.check.pass(ev.at)
		s.now = ev.at
		switch {
		case ev.act != nil:
			ev.act()
		case ev.packet != nil:
			s.arrive(s.routers[ev.router], *ev.packet)
		default:
			s.timer(s.routers[ev.router])
		}
	}
	s.check.pass(end)
	s.now = max(s.now, end)
}

func (r *simRouter) deadline() (time.Duration, int) {
	if r.group != nil {
		return r.group.Deadline()
	}
	return r.machine.Deadline(), 0
}

func (r *simRouter) member(i int) *Machine {
	if r.group != nil {
		return r.group.Member(i)
	}
	return r.machine
}

// able reports whether the router takes part.
func (r *simRouter) able() bool {
	m := r.member(0)
	return m.started && !m.faulty
}

// boot makes a new process.
func (s *simulation) boot(r *simRouter, adopt bool) {
	machines := make([]*Machine, len(r.cfgs))
	for i, cfg := range r.cfgs {
		m, err := New(cfg)
		if err != nil {
			panic(err)
		}
		machines[i] = m
	}
	r.machine, r.group = machines[0], nil
	if len(machines) > 1 {
		r.machine, r.group = nil, NewGroup(machines...)
	}
	r.up, r.frozen, r.inbox = true, running, nil
	kind := EvStartup
	if adopt {
		kind = EvAdopt
	} else {
		for i := range r.held {
			s.hold(r, i, false)
		}
	}
	s.all(r, Event{Kind: kind})
}

// all gives an event to all members.
func (s *simulation) all(r *simRouter, ev Event) {
	if r.group == nil {
		s.step(r, 0, ev)
		return
	}
	s.fx = r.group.StepAll(s.now+r.clock, ev, s.fx[:0])
	s.do(r)
}

// step gives an event to a member.
func (s *simulation) step(r *simRouter, member int, ev Event) {
	if r.group != nil {
		s.fx = r.group.Step(s.now+r.clock, member, ev, s.fx[:0])
	} else {
		s.fx = s.fx[:0]
		for _, e := range r.machine.Step(s.now+r.clock, ev, nil) {
			s.fx = append(s.fx, GroupEffect{0, e})
		}
	}
	s.do(r)
}

// do is the shell: it does the effects and books the next timer.
func (s *simulation) do(r *simRouter) {
	fx := append([]GroupEffect(nil), s.fx...)
	for _, e := range fx {
		s.trace("%d.%d %s", r.id, e.Member, effectText(e.Effect))
		switch e.Kind {
		case DoSend:
			s.send(r, e)
		case DoAdd:
			s.hold(r, e.Member, true)
		case DoRemove:
			s.hold(r, e.Member, false)
		case DoDrain:
			s.drain(r, e.Member)
		}
	}
	for i := range r.cfgs {
		if (r.member(i).State() == Active) != r.held[i] {
			s.check.fail("router %d is %v and holds: %t", r.id, r.member(i).State(), r.held[i])
		}
	}
	s.book(r)
}

func (s *simulation) hold(r *simRouter, member int, held bool) {
	r.held[member] = held
	s.check.changed(s.now)
}

// drain hands over what lies in the member's socket.
func (s *simulation) drain(r *simRouter, member int) {
	rest := r.inbox[:0:0]
	inbox := r.inbox
	r.inbox = nil
	for _, p := range inbox {
		if p.member == member {
			s.step(r, member, Event{Kind: EvAdvert, Advert: &p.advert})
		} else {
			rest = append(rest, p)
		}
	}
	r.inbox = append(rest, r.inbox...)
	s.step(r, member, Event{Kind: EvDrained})
}

func (s *simulation) book(r *simRouter) {
	at, _ := r.deadline()
	if at == Never || !r.up || r.frozen != running {
		return
	}
	at -= r.clock
	late := s.upTo(s.jitter)
	r.booked = max(at, s.now) + late
	s.after(r.booked-s.now, simEvent{router: r.id})
}

func (s *simulation) timer(r *simRouter) {
	at, member := r.deadline()
	if !r.up || r.frozen != running || s.now != r.booked || at > s.now+r.clock {
		return // another event has moved the deadline
	}
	s.step(r, member, Event{Kind: EvTimer})
}

// send puts an advert on the link: it comes to each other router later, twice, or not at all.
func (s *simulation) send(r *simRouter, e GroupEffect) {
	ad := Advert{Src: r.cfgs[e.Member].Primary, NoPreempt: !r.cfgs[e.Member].Preempt, Tenure: e.Tenure}
	s.wire(r.member(e.Member), e.Effect, &ad)
	for _, to := range s.routers {
		switch {
		case to == r:
		case s.cut[r.id][to.id]:
		case s.rng.Float64() < s.loss:
			s.check.disturb(r.id, to.id)
		default:
			for range 1 + s.rng.IntN(20)/19 {
				s.after(s.upTo(s.delay), simEvent{router: to.id, packet: &simPacket{e.Member, ad}})
			}
		}
	}
}

// wire writes a packet and reads it, with either checksum.
func (s *simulation) wire(m *Machine, e Effect, ad *Advert) {
	var p Packet
	m.Packet(e, &p)
	p.Checksum = ChecksumMessage + Checksum(s.rng.IntN(2))
	dst := netip.AddrFrom4([4]byte{224, 0, 0, 18})
	b, err := p.Append(nil, ad.Src, dst)
	if err != nil {
		s.check.fail("write: %v", err)
	}
	if r := ad.Parse(b, Envelope{Src: ad.Src, Dst: dst, TTL: 255}); r != Accepted {
		s.check.fail("%x is not taken: %v", b, r)
	}
}

func (s *simulation) arrive(r *simRouter, p simPacket) {
	switch {
	case !r.up || r.frozen == machine:
		return
	case r.frozen == process:
		p.advert.At = s.now + r.clock
		r.inbox = append(r.inbox, p)
		return
	}
	s.read(r) // what came before
	s.trace("%d.%d hears %v with %d", r.id, p.member, p.advert.Src, p.advert.Priority)
	s.step(r, p.member, Event{Kind: EvAdvert, Advert: &p.advert})
}

// thaw lets a router run on: it finds its timer expired, or its socket readable, first.
func (s *simulation) thaw(r *simRouter) {
	r.frozen = running
	s.book(r)
	s.after(s.upTo(s.jitter), simEvent{act: func() { s.read(r) }})
}

// read hands over what lies in the sockets.
func (s *simulation) read(r *simRouter) {
	if !r.up || r.frozen != running {
		return
	}
	inbox := r.inbox
	r.inbox = nil
	for i := range inbox {
		s.step(r, inbox[i].member, Event{Kind: EvAdvert, Advert: &inbox[i].advert})
	}
}

// newSimulation returns some routers that are alike but for priority, interval and address.
func newSimulation(seed uint64, members int) *simulation {
	s := &simulation{rng: rand.New(rand.NewPCG(seed, 1)), members: members}
	n := 2 + s.rng.IntN(3)
	base := DefaultConfig()
	base.Announce = Announce{Rounds: 2, Gap: 200 * time.Millisecond, Again: 3 * time.Second}
	base.Preempt = s.rng.IntN(3) > 0
	if s.rng.IntN(4) == 0 {
		base.Version = V2
	} else {
		base.Interval = []time.Duration{10, 100, 100, 1000}[s.rng.IntN(4)] * time.Millisecond
	}
	if s.rng.IntN(4) == 0 {
		base.PreemptDelay = 5 * base.Interval
	}
	mixed := base.Version == V3 && s.rng.IntN(3) == 0
	s.delay, s.jitter = base.Interval/20, base.Interval/50
	for i := range n {
		r := &simRouter{id: i, held: make([]bool, members), clock: s.upTo(time.Hour)}
		cfg := base
		cfg.Priority = []Priority{1, 100, 100, 150, 200, 254, 255}[s.rng.IntN(7)]
		if mixed {
			cfg.Interval *= time.Duration(1 + s.rng.IntN(4))
		}
		for k := range members {
			cfg.VRID = VRID(51 + k)
			cfg.Primary = netip.AddrFrom4([4]byte{10, 77, byte(k), byte(1 + i)})
			cfg.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 77, byte(k), 100})}
			r.cfgs = append(r.cfgs, cfg)
		}
		s.routers = append(s.routers, r)
		s.cut = append(s.cut, make([]bool, n))
	}
	s.check = newChecker(s)
	return s
}

// describe names the routers, for a failure.
func (s *simulation) describe() string {
	text := ""
	for _, r := range s.routers {
		c := r.cfgs[0]
		text += fmt.Sprintf("router %d: v%d priority %d interval %v preempt %t delay %v\n", r.id, c.Version, c.Priority, c.Interval, c.Preempt, c.PreemptDelay)
	}
	return text
}
