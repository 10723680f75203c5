package http2

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Role is which end of a connection we are.
type Role uint8

// The roles.
const (
	Server Role = iota
	Client
)

// Options of a connection. They are not changed while it lives.
type Options struct {
	Limits       http1.Limits // of heads; Head bounds what a block decodes to, as RFC 9113 section 6.5.2 counts it, too
	MaxStreams   int          // that the peer may have open, those counted whose handler still runs
	StreamWindow int32        // bytes of content that are kept for a stream until they are used; at least 65535
	MaxWindow    int32        // to which a stream's may grow, if that is more and its Pool has Growth
	ConnWindow   int32        // and for all streams of a connection; what streams' windows have grown by comes to it, once as much at most
	MaxPending   int          // bytes that wait to be sent before SendData takes no more
	Allow        Allowances   // what the peer may do that costs us more than itself
}

// DefaultOptions are what servers commonly take.
func DefaultOptions() Options {
	return Options{
		Limits: http1.DefaultLimits(), MaxStreams: 100, StreamWindow: 64 << 10, ConnWindow: 1 << 20, MaxPending: 64 << 10,
		Allow: DefaultAllowances(),
	}
}

// EventKind is what has happened.
type EventKind uint8

// The kinds.
const (
	None    EventKind = iota // nothing more, until more is read
	Head                     // a request, or an answer, interim ones too: Take it. End: it has no content
	Refused                  // a request that is malformed, for Why: Take what there is of it, and answer it or reset it
	Data                     // content: Data, good until Out is written to or more is read. End: that was all, trailers included
	Reset                    // the stream was ended by the peer, or by us for its fault: Code and Reason. Release it. End: the peer had sent all before
	Failed                   // the connection has ended, for Reason: all streams are lost. Send Out and close it
)

// Event is what Next gives.
type Event struct {
	Kind   EventKind
	End    bool
	Stream *Stream
	Data   []byte
	Code   ErrCode
	Reason Reason
	Why    http1.Refusal
}

// Conn is a connection's state.
type Conn struct {
	// Out is what is to be sent, from Output on; the caller may give it memory while nothing is pending.
	Out  []byte
	sent int   // bytes of Out that were sent
	kept int   // bytes of Out that Output has given: they stay as they are
	base int64 // bytes sent before Out's first

	o    *Options
	pool *Pool
	role Role
	now  time.Duration

	table   streams
	active  int    // streams that are not released
	highest uint32 // the last stream that the peer has opened; for a client that it has
	ended   history
	queue   []Event // to be given before anything else is read

	first, last *Stream // those that wait to send
	turn        *Stream // the one that Writable gave last

	dec     decoder
	buckets buckets
	control int // control frames that wait

	send, receive int32 // the connection's windows
	owed          int32 // as Stream.owed; below 0: what was more than the window is not told again
	grown         int32 // by which the windows of streams are larger
	probe         probe
	peerWindow    int32  // of new streams
	peerStreams   uint32 // that we may have open

	preface  int // bytes of it that are to come
	settled  bool
	encoded  bool // a block was sent
	acked    bool // our SETTINGS were acknowledged
	left     int  // bytes of a payload that are to come
	pad      int  // bytes of padding behind it
	filling  *Stream
	fillEnds bool

	partial     []byte // of a header block
	blockStream uint32 // 0: none has begun
	blockFrames int
	blockEnds   bool // END_STREAM
	blockSelf   bool // it depends on itself

	draining drain
	admitted uint32 // streams beyond are not looked at any more
	goneAt   uint32 // client: streams beyond are not looked at by the peer
	gone     bool   // the peer has sent GOAWAY

	failed bool
	code   ErrCode
	reason Reason
}

// drain is how far a graceful end is (RFC 9113 section 6.8).
type drain uint8

const (
	serving drain = iota
	warned        // the peer was told to open no more; what it opened meanwhile is served
	closing       // what it opens now is not looked at
)

// Begin makes c a new connection; what it has of memory is kept. Out holds what is to be sent first. Neither o nor pool are
// changed by other goroutines.
func (c *Conn) Begin(role Role, o *Options, pool *Pool) {
	dec, table, partial, queue, out := c.dec, c.table, c.partial[:0], c.queue[:0], c.Out[:0]
	dec.table.reset()
	clear(table.slots)
	table.n = 0
	*c = Conn{
		Out: out, o: o, pool: pool, role: role, dec: dec, table: table, partial: partial, queue: queue,
		send: firstWindow, receive: firstWindow, peerWindow: firstWindow, peerStreams: maxStreamID,
		admitted: maxStreamID, goneAt: maxStreamID,
	}
	list := setting{settingListSize, uint32(o.Limits.Head)}
	window := setting{settingWindow, uint32(o.StreamWindow)}
	if role == Client {
		c.Out = append(c.Out, Preface...)
		c.Out = appendSettings(c.Out, setting{settingPush, 0}, window, list)
	} else {
		c.preface = len(Preface)
		c.Out = appendSettings(c.Out, setting{settingStreams, uint32(o.MaxStreams)}, window, list, setting{settingNoPriority, 1})
	}
	if more := o.ConnWindow - firstWindow; more > 0 {
		c.Out = appendWindowUpdate(c.Out, 0, more)
		c.receive += more
	}
}

// Output returns what waits to be sent, which does not change any more: TLS may have sealed it although it was not sent.
func (c *Conn) Output() []byte {
	c.kept = len(c.Out)
	return c.Out[c.sent:]
}

// Pending returns how many bytes wait to be sent.
func (c *Conn) Pending() int { return len(c.Out) - c.sent }

// Flushed tells that n bytes of Output were sent.
func (c *Conn) Flushed(n int) {
	c.sent += n
	switch {
	case c.sent == len(c.Out):
		c.base += int64(c.sent)
		c.Out, c.sent, c.kept, c.control = c.Out[:0], 0, 0, 0
	case c.sent >= c.o.MaxPending:
		c.base += int64(c.sent)
		c.Out = c.Out[:copy(c.Out, c.Out[c.sent:])]
		c.kept -= c.sent
		c.sent = 0
	}
}

// Active returns how many streams are not released.
func (c *Conn) Active() int { return c.active }

// Settled reports whether the peer's SETTINGS have come.
func (c *Conn) Settled() bool { return c.settled }

// Partial reports whether a header block has begun that is not complete.
func (c *Conn) Partial() bool { return c.blockStream != 0 }

// Failure returns why the connection has ended; ok is false if it has not.
func (c *Conn) Failure() (code ErrCode, why Reason, ok bool) { return c.code, c.reason, c.failed }

// Each calls f with every stream that has not ended in both directions. f must not open or end streams.
func (c *Conn) Each(f func(*Stream)) { c.table.each(f) }

// fail ends the connection.
func (c *Conn) fail(code ErrCode, why Reason) {
	if c.failed {
		return
	}
	c.failed, c.code, c.reason = true, code, why
	c.tally().GoAways[Sent].add(int(why))
	c.Out = appendGoAway(c.Out, c.lastSeen(), code, why.String())
}

// flood ends the connection for abuse.
func (c *Conn) flood(why Reason) { c.fail(EnhanceYourCalm, why) }

// remember notes how a stream has ended. As many are remembered as may end at once.
func (c *Conn) remember(id uint32, mine bool) { c.ended.add(id, mine, max(128, c.o.MaxStreams)) }

// tally is where what happens is counted.
func (c *Conn) tally() *Tally { return &c.pool.Tallies[c.role] }

// lastSeen returns the last stream of the peer's that was looked at.
func (c *Conn) lastSeen() uint32 {
	if c.role == Client {
		return 0 // a server opens none
	}
	return min(c.highest, c.admitted)
}

// answered counts a control frame that waits to be sent.
func (c *Conn) answered() {
	if c.control++; c.control > c.o.maxControl() {
		c.flood(ControlFlood)
	}
}

// IsPreface reports whether b begins as a client's preface does, and whether it is all there.
func IsPreface(b []byte) (begins, whole bool) {
	n := min(len(b), len(Preface))
	return string(b[:n]) == Preface[:n], n == len(Preface)
}
