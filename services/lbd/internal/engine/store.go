package engine

import (
	"errors"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/spool"
)

// Buffering says how much of a message may wait in lbd.
type Buffering struct {
	Memory int64 // bytes in memory; what is beyond goes to a file
	Max    int64 // bytes in all
}

// stash takes content into the store while the sink takes none, until nothing comes or there is no room. It returns errAgain when it waits.
func (f *flow) stash(budget *int) error {
	if f.may == nil {
		return errAgain
	}
	if f.store == nil {
		f.store = f.w.e.o.Spools.Open(f.may.Memory, f.may.Max, false)
	}
	if f.rest == nil {
		f.move()
	}
	for f.rest == nil && !f.over && *budget > 0 {
		if _, err := f.put(budget); err != nil {
			return err
		}
	}
	if f.over && f.rest == nil {
		f.dropCoder()
	}
	return errAgain
}

// put takes a piece of content to the store. full says why that did not take all of it: the rest waits.
func (f *flow) put(budget *int) (full, err error) {
	piece, used, err := f.take()
	if err != nil {
		return nil, err
	}
	*budget -= len(piece) + f.effort()
	n, full := f.store.Write(piece)
	if full != nil {
		f.rest, f.behind = piece[n:], used
		return full, nil
	}
	f.buf.use(used)
	return nil, nil
}

// move takes data out of the way of what is read next: into the store, which holds nothing older, unless more of it than comes back at once was
// promised, to a chunk's size or to a sink that may have taken it in already.
func (f *flow) move() {
	if f.stays || len(f.data) == 0 {
		return
	}
	if !f.chunked && plainSock(f.dst) != nil {
		if n, _ := f.store.Write(f.data); n > 0 {
			if f.rest, f.behind = f.data[n:], f.used; len(f.rest) == 0 {
				f.buf.use(f.used)
				f.rest, f.behind = nil, 0
			}
			f.data, f.used, f.ended = nil, 0, false
			return
		}
	}
	if len(f.hold) < len(f.data) {
		if f.hold != nil {
			f.w.buffers.keep(f.hold)
		}
		f.hold = f.w.buffers.fit(len(f.data))
	}
	f.data = f.hold[:copy(f.hold, f.data)]
	f.buf.use(f.used)
	f.used, f.stays = 0, true
}

// stored returns the next piece of what is in the store; io.EOF: there is none.
func (f *flow) stored() ([]byte, error) {
	if _, _, _, in := f.store.InFile(); in && f.hold == nil {
		f.hold = f.w.buffers.fit(bufferLen)
	}
	piece, err := f.store.Next(f.hold)
	if err != nil && f.store.Len() > 0 {
		return nil, errStore
	}
	return piece, err
}

// stores reports whether content can be taken although the sink takes none.
func (f *flow) stores() bool { return f.may != nil && f.rest == nil }

// spareMember gives the member back whose whole answer is here, though the client has not taken all of it.
func (x *exchange) spareMember() {
	f := &x.down
	if x.m == nil || !f.over || f.done || f.may == nil || f.used > 0 || f.rest != nil || !x.up.done && !x.upBroken {
		return
	}
	if t := f.trailed; t != nil && t != f.body.Chunks() { // they are the member's stream's; what looks at requests is not needed any more
		x.probe, *t = *t, x.probe
		f.trailed = &x.probe
	}
	x.returnMember()
	x.release()
	x.w.buffers.put(&x.out)
}

// absorbs returns how an answer is buffered, nil for one that is passed on as the client takes it: an endless one, and one that says so as for nginx.
func (x *exchange) absorbs(in []byte) *Buffering {
	if x.plan.BufferResponse == nil || x.w.e.o.Spools == nil {
		return nil
	}
	for i := range x.res.Fields {
		f := &x.res.Fields[i]
		v := f.Value.In(in)
		switch {
		case f.ID == http1.ContentType && len(v) >= len(eventStream) && http1.Equal(v[:len(eventStream)], eventStream),
			http1.Equal(v, "no") && http1.Equal(f.Name.In(in), "x-accel-buffering"):
			return nil
		}
	}
	return x.plan.BufferResponse
}

const eventStream = "text/event-stream"

// collects reports whether the request is to be here as a whole before a member is asked.
func (x *exchange) collects() bool {
	return x.plan.BufferRequest != nil && x.w.e.o.Spools != nil && x.hasBody() && !x.req.Upgrades
}

// collect takes the request's content until it is whole.
func (x *exchange) collect(budget *int) bool {
	if x.kept == nil && !x.beginCollecting() {
		return true
	}
	if len(x.toClient) > 0 && !x.sendInterim() {
		return true
	}
	for !x.up.over && *budget > 0 {
		full, err := x.up.put(budget)
		x.rec.Received = x.up.taken
		switch {
		case err == errAgain:
			return false
		case err == errSource:
			x.clientGone()
			return true
		case err != nil:
			x.badBody(err)
			return true
		case full != nil:
			x.unkept(full)
			return true
		}
	}
	if !x.up.over {
		return true // its share is used up
	}
	x.collected()
	return true
}

// beginCollecting makes ready for the content; false if it is too large.
func (x *exchange) beginCollecting() bool {
	b := x.plan.BufferRequest
	if x.req.Body.Length > b.Max {
		x.answerOwn(413, TooLarge)
		return false
	}
	x.kept = x.w.e.o.Spools.Open(b.Memory, b.Max, true)
	x.up.begin(x.c, nil, &x.body, x.req.Body, nil, false)
	x.up.limit = x.plan.MaxBody
	x.up.store, x.up.borrowed = x.kept, true
	if x.req.Continue && x.body.empty() {
		o := headOut{b: x.toClient, framed: x.c.framed()}
		o.status(100, nil)
		o.end()
		x.toClient = o.b
	}
	x.req.Continue = false // it has been told, or needs not to be
	return true
}

// unkept refuses a request whose content finds no room.
func (x *exchange) unkept(why error) {
	switch {
	case errors.Is(why, spool.ErrLimit):
		x.badBody(errTooLarge)
	default:
		x.last = true
		x.answerOwn(503, NoRoom)
	}
}

// collected goes on with a request that is here as a whole. What came behind it stays in body.
func (x *exchange) collected() {
	if t := x.up.body.Chunks(); x.up.trailed == t { // which the next message would begin anew
		x.probe, *t = *t, x.probe
		x.up.trailed = &x.probe
	}
	x.trailers = x.up.trailed
	x.until = x.w.loop.Now() + x.plan.Timeout
	x.try()
}

// beginUp makes ready to send the request to m; false if its content cannot be taken.
func (x *exchange) beginUp(m back) bool {
	if x.kept != nil {
		x.kept.Rewind()
		x.up.begin(x.c, m, &x.body, http1.Framing{}, x.toMember, x.chunksUp(m.framed()))
		x.up.store, x.up.borrowed, x.up.trailed = x.kept, true, x.trailers
		x.up.ended = x.kept.Size() == 0 && !x.up.chunked
	} else {
		if x.body.r = 0; x.up.reads == 0 {
			x.body.w = x.ready
		}
		x.up.begin(x.c, m, &x.body, x.req.Body, x.toMember, x.chunksUp(m.framed()))
		x.up.limit = x.plan.MaxBody
	}
	if err := x.up.prime(); err != nil {
		x.badBody(err)
		return false
	}
	return true
}

// chunksUp reports whether the request's content goes to the member in chunks: its length is not known, or there are trailers behind it.
func (x *exchange) chunksUp(framed bool) bool {
	return !framed && x.hasBody() && x.req.Body.Kind != http1.Length && (x.kept == nil || x.trailers.HasTrailers())
}

// measured reports whether the request's length, which its head does not tell, is known because all of it is here.
func (x *exchange) measured() bool {
	return x.kept != nil && x.req.Body.Kind != http1.Length && !x.trailers.HasTrailers() && x.req.Field(http1.ContentLength) == nil
}

// dropKept lets go of a request that is not needed any more.
func (x *exchange) dropKept() {
	if x.kept != nil {
		x.up.release()
		x.kept.Close()
		x.kept = nil
	}
}
