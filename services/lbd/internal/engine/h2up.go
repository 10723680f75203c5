package engine

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/loop"
)

// h2up is a connection to a member that speaks HTTP/2. It belongs to one worker, whose requests to the member share it, as many at once as
// the member takes; more of them open another. One without requests is closed after idleMember.
type h2up struct {
	h2link
	m       *member // opens it: its socket is here once that is done
	key     idleKey
	streams []*h2call // with requests under way, or waiting for a stream
	waiting int       // of them without a stream yet
	open    bool
	until   time.Duration // it is to be open
	used    bool          // a request was answered
	idling  bool
}

// h2call is a request's member side that is a stream of HTTP/2. It is used again and again, with its timer.
type h2call struct {
	h2half
	u     *h2up // nil: not in use
	ref   loop.Ref
	ready bool // an answer's head is in the exchange, which has not seen it yet
}

var _ back = (*h2call)(nil)

var (
	errNoH2      = errors.New("the member does not speak HTTP/2")
	errLate      = errors.New("the connection was not there in time")
	errElsewhere = errors.New("the connection takes no more requests")                 // and this one was not sent
	errRefused   = errors.New("the member has not looked at the request")              // REFUSED_STREAM
	errGone      = errors.New("the connection was ended before a look at the request") // GOAWAY
)

// h2MaxCalls is how many requests a connection is given before the member has said how many it takes.
const h2MaxCalls = 100

// reachH2 returns a stream to a member: of a connection that is there, unless fresh is wanted, or one that is being made.
func (w *worker) reachH2(x *exchange, key idleKey, fresh bool) (back, error) {
	var u *h2up
	if !key.via.once() && !fresh {
		for _, have := range w.h2.ups[key] {
			if have.takes() {
				u = have
				break
			}
		}
	}
	if u == nil {
		var err error
		if u, err = w.connectH2(x, key); err != nil {
			return nil, err
		}
	} else {
		w.e.counts.reused.Add(1)
	}
	var c *h2call
	if n := len(w.h2.spare); n > 0 {
		c, w.h2.spare = w.h2.spare[n-1], w.h2.spare[:n-1]
	} else {
		c = new(h2call)
		c.ref = w.loop.Timer(c)
	}
	c.u, c.link, c.x = u, &u.h2link, x
	u.streams = append(u.streams, c)
	u.waiting++
	return c, nil
}

// connectH2 begins a connection.
func (w *worker) connectH2(x *exchange, key idleKey) (*h2up, error) {
	m, err := w.connect(key)
	if err != nil {
		return nil, err
	}
	m.x = x
	err = m.prepare()
	m.x = nil
	if err != nil {
		m.close()
		return nil, err
	}
	u := &h2up{m: m, key: key, until: w.loop.Now() + x.plan.Connect}
	u.w, u.owner, u.fd, u.ref = w, u, -1, m.ref
	w.loop.Hand(m.ref, u)
	w.loop.SetDeadline(m.ref, u.until)
	w.h2.ups[key] = append(w.h2.ups[key], u)
	return u, nil
}

// takes reports whether one more request can be given.
func (u *h2up) takes() bool {
	return len(u.streams) < h2MaxCalls && (u.open && u.core.CanOpen(u.waiting) || !u.open && u.w.loop.Now() < u.until)
}

// opening goes on with opening; errAgain if it is not over.
func (u *h2up) opening() error {
	if u.open {
		return nil
	}
	if err := u.m.opened(); err != nil {
		return err
	}
	if u.m.tls != nil && u.m.tls.State().NegotiatedProtocol != "h2" {
		return errNoH2
	}
	u.sock = u.m.sock
	if u.tls != nil {
		u.tls.Move((*wire)(&u.sock), u.w.tls)
	}
	u.m.sock = sock{fd: -1}
	u.open = true
	u.w.loop.SetDeadline(u.ref, 0)
	u.prepare()
	u.core.Begin(http2.Client, u.w.h2.options, &u.w.h2.pool)
	u.w.h2.begun[http2.Client].Add(1)
	u.later()
	return nil
}

// Ready takes events.
func (u *h2up) Ready(ev loop.Events) {
	if !u.open {
		u.m.note(ev)
		switch err := u.opening(); {
		case err == errAgain:
			return
		case err != nil:
			u.lost(err)
			return
		}
		u.driveWaiting()
	} else {
		u.note(ev)
	}
	u.pull()
	if u.fd >= 0 {
		u.later()
	}
}

// driveWaiting has those go on that have no stream.
func (u *h2up) driveWaiting() {
	for _, c := range slices.Clone(u.streams) {
		if c.u == u && c.s == nil && !c.stalled {
			c.drive()
		}
	}
}

// event does what comes of what the member has sent.
func (u *h2up) event(ev http2.Event) {
	switch ev.Kind {
	case http2.Failed:
		u.flush() // says why
		u.lost(errMalformed)
	case http2.Head:
		ev.Stream.User.(*h2call).head()
	case http2.Data:
		ev.Stream.User.(*h2call).came(ev.Data)
	case http2.Reset:
		c := ev.Stream.User.(*h2call)
		switch {
		case c.x == nil:
			c.close()
			return
		case ev.End: // all of the answer had come: the rest of the request is not wanted
		case ev.Reason == http2.PeerGone && u.core.Looked():
			c.broken = errGone
		case ev.Reason == http2.PeerGone, ev.Code == http2.RefusedStream && ev.Reason == http2.PeerReset:
			c.broken = errRefused
		case ev.Reason != http2.PeerReset:
			c.broken = errMalformed
		case ev.Code == http2.Cancel:
			c.broken = errCanceled
		default:
			c.broken = errReset
		}
		c.drive()
	}
}

// lost ends the connection and tells all whose requests it had.
func (u *h2up) lost(err error) {
	if err == io.EOF {
		err = errReset // that of a stream would be the end of its content
	}
	u.close()
	for len(u.streams) > 0 {
		c := u.streams[0]
		if c.x == nil {
			c.close()
			continue
		}
		if c.s == nil || !c.s.Ended() {
			c.broken = err
		}
		if c.drive(); len(u.streams) > 0 && u.streams[0] == c {
			u.streams = u.streams[1:] // its exchange waits for something else, and finds out then
		}
	}
}

// close closes the connection. Its streams are told by who calls it.
func (u *h2up) close() {
	if u.m == nil {
		return
	}
	if u.open {
		u.farewell()
		u.w.loop.Closing(u.ref)
		u.shut()
		u.w.h2.ended[http2.Client].Add(1)
		u.release()
	} else {
		u.m.close()
	}
	u.m = nil
	list := slices.DeleteFunc(u.w.h2.ups[u.key], func(o *h2up) bool { return o == u })
	if u.w.h2.ups[u.key] = list; len(list) == 0 {
		delete(u.w.h2.ups, u.key)
	}
}

// Finish writes what the turn has gathered.
func (u *h2up) Finish() {
	if !u.open || !u.push() {
		return
	}
	if u.waiting > 0 && u.core.Settled() {
		u.driveWaiting()
	}
	switch {
	case len(u.streams) > 0:
		if u.idling {
			u.idling = false
			u.w.loop.SetDeadline(u.ref, 0)
		}
	case u.core.Done() || u.key.via.once() || u.w.closing:
		u.close()
	case !u.idling:
		u.idling = true
		u.w.loop.SetDeadline(u.ref, u.w.loop.Now()+idleMember)
	}
}

// Expired takes the deadline's passing.
func (u *h2up) Expired() {
	switch {
	case !u.open:
		u.lost(errLate) // nobody is to join it who comes later
	case len(u.streams) == 0:
		u.close()
	}
}

// fail ends the connection after a panic.
func (u *h2up) fail() {
	u.close()
	for len(u.streams) > 0 {
		c := u.streams[0]
		if x := c.x; x != nil && x.c != nil {
			x.c.fail()
		}
		if len(u.streams) > 0 && u.streams[0] == c {
			c.close()
		}
	}
}

// head takes an answer's head into the exchange.
func (c *h2call) head() {
	x := c.x
	if c.ready { // nobody has taken the one before
		c.broken = errMalformed
		c.drive()
		return
	}
	x.w.buffers.get(&x.out, bufferLen)
	b := c.u.core.Take(&x.res, x.out.b)
	x.out.b, x.out.r, x.out.w = b[:cap(b)], 0, len(b)
	c.ready, x.heard = true, true
	c.drive()
}

// Ready is called by way of Again.
func (c *h2call) Ready(loop.Events) { c.drive() }

// Expired takes the deadline's passing.
func (c *h2call) Expired() {
	switch {
	case c.x != nil:
		c.x.memberLate()
	case c.u != nil:
		c.close()
	}
}

// came takes content.
func (c *h2call) came(b []byte) {
	switch {
	case c.x != nil:
		c.fill(b)
		c.drive()
	case len(b) > 0 || c.s.Closed():
		c.close()
	}
}

func (c *h2call) timer() loop.Ref { return c.ref }
func (c *h2call) reused() bool    { return c.u.used }

// keep gives the stream back when the member has ended it, too: to reset one that is complete would look like a flood.
func (c *h2call) keep() {
	if c.s.Closed() {
		c.close()
		return
	}
	c.x = nil
	c.u.w.loop.SetDeadline(c.ref, c.u.w.loop.Now()+lingerTime)
}

// opened reports whether the connection is open and has room for a stream, which is opened when its head is sent. The first one need not wait
// until the member has said how many it takes; those that it does not take then go elsewhere.
func (c *h2call) opened() error {
	switch core := &c.u.core; {
	case c.broken != nil:
		return c.broken
	case c.s != nil:
		return nil
	case !c.u.open || !core.Settled() && core.Active() > 0:
		return errAgain
	case !core.CanOpen(0):
		c.broken = errElsewhere
		return c.broken
	}
	return nil
}

// write opens the stream once its head can be sent: no other's may be sent between.
func (c *h2call) write(ahead, data, after []byte) (int, error) {
	if c.s == nil {
		switch err := c.opened(); {
		case err != nil:
			return 0, err
		case c.u.core.Pending() > maxHeads:
			c.stall()
			return 0, errAgain
		}
		c.s = c.u.core.Open(string(c.x.req.Method.In(c.x.head())) == "HEAD")
		c.s.User = c
		c.u.waiting--
	}
	return c.h2half.write(ahead, data, after)
}

// readHead gives the answer's head, which was taken into the exchange when it came.
func (c *h2call) readHead(*exchange) error {
	switch {
	case c.ready:
		c.ready = false
		c.u.used = true
		return nil
	case c.broken != nil:
		return c.broken
	}
	return errAgain
}

// close gives the stream back: what has not ended of it is not wanted.
func (c *h2call) close() {
	u := c.u
	if u == nil {
		return
	}
	if c.s == nil {
		u.waiting--
	} else if !c.s.Closed() {
		u.prepare()
		u.core.Reset(c.s, http2.Cancel)
	}
	u.streams = slices.DeleteFunc(u.streams, func(o *h2call) bool { return o == c })
	c.forget()
	if u.m != nil && u.open {
		u.later()
	}
	w := u.w
	w.loop.SetDeadline(c.ref, 0)
	*c = h2call{h2half: c.h2half, ref: c.ref}
	if len(w.h2.spare) < maxH2Spare {
		w.h2.spare = append(w.h2.spare, c)
	} else {
		w.loop.Remove(c.ref)
	}
}

// closeUps ends all connections to members.
func (w *worker) closeUps() {
	for _, list := range w.h2.ups {
		for _, u := range slices.Clone(list) {
			u.lost(errReset)
		}
	}
}

// authorityOf returns what the member is asked for as.
func (x *exchange) authorityOf(in []byte) []byte {
	switch {
	case x.plan.Host != nil:
		return x.plan.Host
	case x.req.HostAt >= 0:
		return x.req.Fields[x.req.HostAt].Value.In(in)
	case x.req.Target.Form == http1.Absolute:
		return x.req.Target.Host.In(in)
	}
	return []byte(x.choice.Seat.Member.Name())
}
