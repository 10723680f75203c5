package bus

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/fault"
	"github.com/nats-io/nats.go"
)

const (
	outboxLen   = 1024
	outboxBytes = 8 << 20
)

// Emit publishes an event of this daemon. kind is one token; object, at most 512 bytes, names what it is about; data is
// marshalled to JSON, at most 64 KiB, nil for none. It never blocks: an event that cannot be sent is counted
// and stays in the ring only. One that is wrong (a bug of the caller) is counted, logged and dropped.
func (b *Bus) Emit(kind, object string, data any) {
	e, err := b.newEvent(kind, object, data)
	if err != nil {
		b.refuse(kind, err)
		return
	}
	b.ring.add(e)
	if b.cfg.mode == modeOff {
		b.met.published.Add(1)
		b.deliverLocally(e)
		return
	}
	switch {
	case b.closed.Load():
		b.drop(dropClosed, 1)
	case b.cur.Load() == nil:
		b.drop(dropDisconnected, 1)
	case !b.out.put(encodeEvent(b.env.Fleet, e)):
		b.drop(dropQueueFull, 1)
	}
}

var errTooLarge = errors.New("more than 64 KiB of data")

func (b *Bus) newEvent(kind, object string, data any) (Event, error) {
	if !subject.Valid(kind) {
		return Event{}, fault.New(fault.Invalid, "bus: kind %.80q is not a name", kind)
	}
	e := Event{
		ID: b.ids.id(), Service: b.env.Service, Kind: kind, Node: b.env.Node,
		Object: headerValue(object, maxObject), Time: time.Now().UTC(),
	}
	if data == nil {
		return e, nil
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fault.Wrap(fault.Invalid, err, "bus: marshal the data")
	}
	if len(raw) > MaxData {
		return Event{}, errTooLarge
	}
	e.Data = raw
	return e, nil
}

func (b *Bus) refuse(kind string, err error) {
	reason := dropInvalid
	if errors.Is(err, errTooLarge) {
		reason = dropTooLarge
	}
	b.drop(reason, 1)
	b.log.Error().Err(err).Str("kind", headerValue(kind, subject.MaxName)).Msg("bus: event refused")
}

// headerValue makes s fit a header: valid UTF-8 without control characters, at most limit bytes, and without the blanks
// at the ends that a header does not keep.
func headerValue(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.TrimSpace(s)
}

// Recent returns up to n of this daemon's last 1024 events, oldest first; fewer are kept where their data exceeds 4 MiB.
func (b *Bus) Recent(n int) []Event { return b.ring.last(n) }

// outgoing is a message for the publisher, or the mark of a flush.
type outgoing struct {
	msg     *nats.Msg
	flushed chan<- struct{}
}

// outbox is the queue between Emit, which must not block, and the connection, whose writes may. When it is
// full new events are dropped: those queued are nearer to being sent.
type outbox struct {
	queue chan outgoing
	bytes atomic.Int64 // of data queued
}

func (o *outbox) put(m *nats.Msg) bool {
	size := int64(len(m.Data))
	if o.bytes.Add(size) > outboxBytes {
		o.bytes.Add(-size)
		return false
	}
	select {
	case o.queue <- outgoing{msg: m}:
		return true
	default:
		o.bytes.Add(-size)
		return false
	}
}

// flush returns when everything put before was handed to the connection, or ctx ends.
func (o *outbox) flush(ctx context.Context) {
	done := make(chan struct{})
	select {
	case o.queue <- outgoing{flushed: done}:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// publish hands the outbox to whatever connection there is.
func (b *Bus) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-b.out.queue:
			if o.flushed != nil {
				close(o.flushed)
				continue
			}
			b.out.bytes.Add(-int64(len(o.msg.Data)))
			b.send(o.msg)
		}
	}
}

func (b *Bus) send(m *nats.Msg) {
	s := b.cur.Load()
	if s == nil {
		b.drop(dropDisconnected, 1)
		return
	}
	if err := s.nc.PublishMsg(m); err != nil {
		b.drop(dropSendFailed, 1)
		return
	}
	b.met.published.Add(1)
}
