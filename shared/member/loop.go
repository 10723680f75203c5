package member

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/hashicorp/memberlist"
)

// loop takes in what the callbacks left, and ages what is remembered.
func (f *Fleet) loop(ctx context.Context) {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	for {
		select {
		case <-f.del.wake:
			f.takeIn(time.Now())
		case now := <-tick.C:
			f.age(now)
		case <-ctx.Done():
			return
		}
	}
}

func (f *Fleet) takeIn(now time.Time) {
	events, conflicts, inbox := f.del.take()
	for _, c := range conflicts {
		f.rep.conflict(c, c.id == f.self)
	}
	for _, batch := range inbox {
		f.applyBatch(batch, now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	for id, e := range events {
		changed = f.applyEventLocked(now, id, e) || changed
	}
	if changed {
		f.publishLocked()
		f.updateBookLocked(now)
	}
}

func (f *Fleet) applyEventLocked(now time.Time, id ID, e event) bool {
	if id == f.self {
		// We know better how we are, except that our leave is out.
		return !e.alive && f.table.gone(now, id)
	}
	if !e.alive {
		changed := f.table.gone(now, id)
		if changed {
			m := f.table.members[id]
			f.rep.log.Info().Str("member", string(id)).Stringer("state", m.State).Msg("member gone")
		}
		return changed
	}
	before := f.table.members[id].State
	changed, ok := f.table.heard(now, id, e.addr, parseMeta(e.meta))
	if !ok {
		f.rep.dropped.With("members").Inc()
	}
	if before == Dead && f.table.members[id].State == Alive {
		select {
		case f.returned <- e.addr:
		default:
		}
	}
	if changed && before != Alive {
		f.rep.log.Info().Str("member", string(id)).Stringer("addr", e.addr).Msg("member up")
	}
	return changed
}

func (f *Fleet) updateBookLocked(now time.Time) {
	if f.book.update(*f.view.Load(), now) {
		token(f.dirty)
	}
}

// age forgets what is old, ends health items whose cause is over, and has more incarnations reserved where needed.
func (f *Fleet) age(now time.Time) {
	f.kv.expire(now, false)
	f.leaves.expire(now, true)
	f.rep.sweep(now)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table.expire(now) {
		f.publishLocked()
	}
	if f.reserve.short(f.rep.refutes.Load()) {
		token(f.dirty)
	}
}

// reserve keeps count of the incarnations this process has used, as nearly as can be told from outside.
type reserve struct {
	start    uint32
	announce atomic.Uint32 // announcements made
	saved    atomic.Uint32 // end of what the snapshot reserves
}

func (r *reserve) begin(start uint32) { r.start = start }

func (r *reserve) used(refutes uint64) uint32 {
	return r.start + r.announce.Load() + uint32(refutes) + 1
}

// short reports whether the snapshot reserves too little.
func (r *reserve) short(refutes uint64) bool {
	return r.used(refutes)+incarnationBlock/2 > r.saved.Load()
}

// Announce replaces what this member tells. It never blocks; announcements are coalesced. Weight is limited to
// 1000, endpoints to the first 12 and their names to 32 bytes, figures to the first 4, 1000 and names of 16 bytes; endpoints that do not fit
// into 512 bytes of metadata are left out and counted, figures are left out. A wildcard address becomes the one that others reach this member at.
func (f *Fleet) Announce(a Announcement) {
	a.Weight = min(a.Weight, maxWeight)
	a.Endpoints = append([]Endpoint(nil), a.Endpoints[:min(len(a.Endpoints), maxEndpoints)]...)
	for i, e := range a.Endpoints {
		a.Endpoints[i].Addr = f.reachable(e.Addr)
	}
	a.Figures = append([]Figure(nil), a.Figures[:min(len(a.Figures), maxFigures)]...)
	for i := range a.Figures {
		a.Figures[i].PerMille = min(a.Figures[i].PerMille, wholeFigure)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	leaving := f.mine.Leaving
	f.mine.Announcement = a
	f.announceLocked(leaving)
}

// reachable puts the address at which the others reach this member in place of a wildcard, of which they could make nothing.
func (f *Fleet) reachable(at netip.AddrPort) netip.AddrPort {
	any, own := at.Addr(), f.addr.Addr()
	if !any.IsUnspecified() || !own.IsValid() || own.IsUnspecified() || any.Is4() && !own.Is4() {
		return at
	}
	return netip.AddrPortFrom(own, at.Port())
}

// announceLocked shows our announcement in the view and has it sent.
func (f *Fleet) announceLocked(leaving bool) {
	f.mine.Leaving = leaving
	m := f.selfMember()
	m.State = f.table.members[f.self].State
	m.Draining = m.Draining || leaving
	if sameMember(m, f.table.members[f.self]) {
		return
	}
	f.table.members[f.self] = m
	f.publishLocked()
	token(f.changed)
}

// refreshMeta hands memberlist's delegate the metadata to send.
func (f *Fleet) refreshMeta() {
	f.mu.Lock()
	b, cutOff := f.mine.encode()
	f.mu.Unlock()
	if cutOff > 0 {
		f.rep.dropped.With("endpoints").Inc()
		f.rep.warn("endpoints", "the announcement does not fit: endpoints are left out")
	}
	f.del.setMeta(b)
}

// announcer sends announcements, at most one per announceGap. After each refutation it announces once more: memberlist's queue
// of broadcasts can lose a message to another of the same length (its ids begin anew while the queue is in use), and
// a refutation lost is a false death.
func (f *Fleet) announcer(ctx context.Context) {
	for {
		select {
		case <-f.changed:
		case <-f.rep.refuted:
		case <-ctx.Done():
			return
		}
		f.refreshMeta()
		f.reserve.announce.Add(1)
		// The time-out bounds the wait for the news to be sent as often as it is to be; it goes on being sent.
		_ = f.list.UpdateNode(announceGap)
		if !sleep(ctx, announceGap) {
			return
		}
	}
}

// Leave tells the others that this daemon goes on purpose and waits until it is told, or ctx ends. The others then hold
// it for Left, even those that notice its end before they hear of the purpose. A Fleet that left goes on
// receiving until Run's context ends, and cannot come back: that takes a new Fleet.
func (f *Fleet) Leave(ctx context.Context) error {
	f.mu.Lock()
	if f.transport == nil || f.phase != running {
		f.mu.Unlock()
		return nil
	}
	f.phase = left
	f.table.intends(f.self, f.generation)
	f.announceLocked(true)
	f.mu.Unlock()
	select {
	case <-f.up:
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "member: leave")
	}
	told := make(chan struct{})
	f.spread(f.intent(f.self, f.generation), func() { close(told) })
	if f.others() > 0 {
		select {
		case <-told:
		case <-ctx.Done():
			// Too late for the gentle part; memberlist's own word goes out below without being waited for.
		}
	}
	return f.leaveList(ctx)
}

// leaveList has memberlist say good-bye. That cannot be interrupted, so it runs aside for no longer than ctx allows, and
// Run waits for it.
func (f *Fleet) leaveList(ctx context.Context) error {
	limit := streamTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(min(limit, time.Until(deadline)), time.Millisecond)
	}
	result := make(chan error, 1)
	f.mu.Lock()
	if f.phase == closed {
		f.mu.Unlock()
		return fault.New(fault.Unavailable, "member: leave: no longer running")
	}
	f.goodbye.Go(func() { result <- f.list.Leave(limit) })
	f.mu.Unlock()
	select {
	case err := <-result:
		return fault.Wrap(fault.Timeout, err, "member: leave")
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "member: leave")
	}
}

// Forget marks a dead member as gone on purpose, on every member: it is no longer tried, and Left in the view. A
// later process of the same ID is welcome. A member that is alive is fault.Conflict, an unknown one fault.NotFound.
func (f *Fleet) Forget(id ID) error {
	f.mu.Lock()
	m, ok := f.table.members[id]
	f.mu.Unlock()
	switch {
	case !ok:
		return fault.New(fault.NotFound, "member: forget %s: not known", id)
	case m.State == Alive:
		return fault.New(fault.Conflict, "member: forget %s: it is alive", id)
	}
	t := f.intent(id, m.Generation)
	f.learnLeaves([]record{t.record}, time.Now())
	f.spread(t, nil)
	return nil
}

// intent records that a process ends on purpose.
func (f *Fleet) intent(id ID, generation uint64) tagged {
	r := record{Key: string(id), Value: generationValue(generation), At: f.clock.next(time.Now()), By: f.self}
	f.leaves.merge([]record{r})
	return tagged{kindLeave, r}
}

// learnLeaves applies leave intents to the table.
func (f *Fleet) learnLeaves(rs []record, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	for _, r := range rs {
		changed = f.table.intends(ID(r.Key), leaveGeneration(r)) || changed
	}
	if changed {
		f.publishLocked()
		f.updateBookLocked(now)
	}
}

var _ memberlist.Delegate = (*delegate)(nil)
