package member

import (
	"net/netip"
	"sync"

	"github.com/hashicorp/memberlist"
)

// Bounds of what callbacks leave behind for the loop.
const (
	maxInbox      = 4096     // messages
	maxInboxBytes = 32 << 20 // bytes of messages
	maxEvents     = 4096     // members with something new
)

// event is the newest that gossip says of one member. Events of one member replace each other: only where it stands
// now matters.
type event struct {
	addr  netip.AddrPort
	meta  []byte
	alive bool
}

// conflict is an ID that two addresses claim.
type conflict struct {
	id         ID
	held, also netip.AddrPort
}

// delegate receives memberlist's callbacks. They run under memberlist's lock and in its receive loop, so they only
// copy, put the copy into a bounded queue and wake the loop; none of them blocks, calls memberlist or takes a lock that is
// held during I/O.
type delegate struct {
	rep   *report
	wake  chan struct{} // holds at most one token
	queue *broadcasts
	local func() []byte // the state for a peer

	mu        sync.Mutex
	meta      []byte
	events    map[ID]event
	conflicts map[ID]conflict
	inbox     [][]byte
	inboxSize int
}

func newDelegate(rep *report, peers func() int, local func() []byte) *delegate {
	return &delegate{
		rep: rep, local: local,
		wake:      make(chan struct{}, 1),
		queue:     &broadcasts{peers: peers},
		events:    map[ID]event{},
		conflicts: map[ID]conflict{},
	}
}

func (d *delegate) setMeta(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.meta = b
}

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta
}

// NotifyMsg implements memberlist.Delegate.
func (d *delegate) NotifyMsg(b []byte) { d.receive(b) }

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState(b []byte, _ bool) { d.receive(b) }

// LocalState implements memberlist.Delegate. memberlist holds no lock here.
func (d *delegate) LocalState(bool) []byte { return d.local() }

// GetBroadcasts implements memberlist.Delegate.
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.queue.take(overhead, limit)
}

func (d *delegate) receive(b []byte) {
	if len(b) == 0 {
		return
	}
	d.mu.Lock()
	if len(d.inbox) >= maxInbox || d.inboxSize+len(b) > maxInboxBytes {
		d.mu.Unlock()
		d.rep.dropped.With("inbox").Inc()
		return
	}
	d.inbox = append(d.inbox, append([]byte(nil), b...))
	d.inboxSize += len(b)
	d.mu.Unlock()
	d.signal()
}

// NotifyJoin, NotifyLeave and NotifyUpdate implement memberlist.EventDelegate.
func (d *delegate) NotifyJoin(n *memberlist.Node)   { d.note(n, true) }
func (d *delegate) NotifyLeave(n *memberlist.Node)  { d.note(n, false) }
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.note(n, true) }

func (d *delegate) note(n *memberlist.Node, alive bool) {
	id := ID(n.Name)
	e := event{addr: nodeAddr(n), meta: append([]byte(nil), n.Meta...), alive: alive}
	d.mu.Lock()
	_, known := d.events[id]
	full := !known && len(d.events) >= maxEvents
	if !full {
		d.events[id] = e
	}
	d.mu.Unlock()
	if full {
		d.rep.dropped.With("events").Inc()
	}
	d.signal()
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (d *delegate) NotifyConflict(held, also *memberlist.Node) {
	c := conflict{id: ID(held.Name), held: nodeAddr(held), also: nodeAddr(also)}
	d.mu.Lock()
	if len(d.conflicts) < maxEvents {
		d.conflicts[c.id] = c
	}
	d.mu.Unlock()
	d.signal()
}

func (d *delegate) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take returns all that has come in, and empties the queues.
func (d *delegate) take() (events map[ID]event, conflicts map[ID]conflict, inbox [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	events, conflicts, inbox = d.events, d.conflicts, d.inbox
	d.events, d.conflicts = map[ID]event{}, map[ID]conflict{}
	d.inbox, d.inboxSize = nil, 0
	return events, conflicts, inbox
}

func nodeAddr(n *memberlist.Node) netip.AddrPort {
	a, _ := netip.AddrFromSlice(n.Addr)
	return netip.AddrPortFrom(a.Unmap(), n.Port)
}
