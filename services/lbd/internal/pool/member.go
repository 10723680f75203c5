package pool

import (
	"time"

	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/ring"
)

// ID names a member within its pool: its address, host:port.
type ID string

// Tag is the name that a client's cookie gives a member: no address can be read from it.
type Tag [16]byte

// Drain is how far a member is taken out of use by an operator or by its own word.
type Drain uint8

// The degrees of draining.
const (
	Serving  Drain = iota
	Draining       // only sessions that stick to it
	Drained        // no new requests
)

// Spec is what is wanted of a member.
type Spec struct {
	ID          ID
	Weight      int // share of the requests, 0 to 1000; 0: only sessions that stick to it
	Drain       Drain
	Backup      bool  // serves when no primary may
	MaxRequests int   // under way at once; 0: no bound
	Tags        []Tag // of its sessions; all are accepted, the first is told to clients
}

// standing is what may be expected of a member now.
type standing uint8

const (
	out     standing = iota // down, ejected, or its circuit is open
	suspect                 // a request has just failed there
	unknown                 // not checked yet
	good
)

// Member is one server of a Core, which alone reads and changes it.
type Member struct {
	Spec
	name string // ID for those who read it without the pool's lock: it never changes

	place    *Backend // this and the next two are the shell's
	sessions Sessions // whose tags and cookie these are
	cookie   []byte

	node     uint64 // hash of its name
	state    probe.State
	old      bool // was up before, or came with the first members: it needs no slow start at its first
	standing standing
	weight   int  // in force: Spec's in units of 1/scale, less while it starts slowly
	current  int  // of smooth weighted round robin
	active   int  // requests under way
	gone     bool // no longer of the pool
	sticking line // of those who wait for it alone

	ramp    time.Duration // when its slow start began
	ramping bool
	suspect time.Duration // spared until then

	ejection ejection
	breaker  breaker
	latency  latency
}

// scale makes weights fine enough for a slow start.
const scale = 1024

// rampFloor is the least share of a weight in a slow start, in 1/scale: a tenth.
const rampFloor = scale / 10

// Seat is a member's place for one request, as Pick gave it. The zero Seat is none.
type Seat struct {
	Member *Member
	trial  bool // a request of a circuit that is half open
	retry  bool
}

// NewMember returns a member that nothing is known of.
func NewMember(id ID) *Member {
	return &Member{Spec: Spec{ID: id}, name: string(id), node: ring.Node(string(id)), state: probe.Unknown}
}

// Name returns the member's ID as text. Anybody may call it.
func (m *Member) Name() string { return m.name }

// eligible reports whether the member is to have requests that stick to none.
func (m *Member) eligible() bool { return m.Drain == Serving && m.Weight > 0 }

// sticks reports whether the member takes sessions of its own.
func (m *Member) sticks() bool { return !m.gone && m.Drain != Drained && m.standing != out }

// room reports whether one more request may be under way.
func (m *Member) room() bool { return m.MaxRequests == 0 || m.active < m.MaxRequests }

// judge returns the member's standing at now.
func (m *Member) judge(now time.Duration) standing {
	switch {
	case m.state == probe.Down, m.ejection.until > now, m.breaker.state == open:
		return out
	case m.suspect > now:
		return suspect
	case m.state == probe.Unknown:
		return unknown
	}
	return good
}

// startRamp begins a slow start.
func (m *Member) startRamp(now time.Duration) { m.ramp, m.ramping = now, true }

// weigh sets the weight in force: a slow start goes from a tenth to the whole in equal steps of time.
func (m *Member) weigh(now, length time.Duration) {
	m.weight = m.Weight * scale
	if !m.ramping {
		return
	}
	if ran := now - m.ramp; ran < length {
		m.weight = max(1, m.Weight*max(rampFloor, int(scale*ran/length)))
		return
	}
	m.ramping = false
}

// MemberStatus is one member of a Status.
type MemberStatus struct {
	ID        ID          `json:"member"`
	State     probe.State `json:"state"`
	Suspect   bool        `json:"suspect,omitempty"`
	Drained   bool        `json:"drained,omitempty"`
	Sessions  bool        `json:"sessions,omitempty"` // drained, but for sessions that stick to it
	Backup    bool        `json:"backup,omitempty"`
	Ejected   bool        `json:"ejected,omitempty"`
	Ejections uint64      `json:"ejections,omitempty"`
	Breaker   string      `json:"breaker,omitempty"` // open or half-open
	Weight    int         `json:"weight"`
	Share     int         `json:"share,omitempty"` // of the weight in a slow start, per cent
	Active    int         `json:"active"`          // requests under way
	Queued    int         `json:"queued,omitempty"`
	EWMA      float64     `json:"ewma_seconds,omitempty"` // peak EWMA of the time until an answer's head
	Detail    string      `json:"detail,omitempty"`
}

// status describes the member.
func (m *Member) status(now time.Duration) MemberStatus {
	s := MemberStatus{
		ID: m.ID, State: m.state, Suspect: m.suspect > now, Drained: m.Drain != Serving, Sessions: m.Drain == Draining && len(m.Tags) > 0, Backup: m.Backup,
		Ejected: m.ejection.until > now, Ejections: m.ejection.total, Breaker: m.breaker.state.String(), Weight: m.Weight, Active: m.active,
		Queued: m.sticking.n, EWMA: m.latency.peakAt(now) / float64(time.Second),
	}
	if m.ramping && m.Weight > 0 {
		s.Share = m.weight * 100 / (m.Weight * scale)
	}
	return s
}
