// Package events keeps what is told on the bus from being a flood: a member that flaps, or ten thousand clients that are suspect at once.
//
// About one thing some events are told at once, further ones one at a time as time goes by: meanwhile only the last is held, with the number of
// those that it stands for, so that who listens knows the state as it is in the end. A bound for all things together holds as well. Limiter is
// the pure part; Emitter gives what it lets through to the bus, and needs to be ticked. Up to 1024 things are remembered: of one that
// has no place the event is lost and counted.
package events

import (
	"sync"
	"time"

	"github.com/everup/everup/shared/limit"
)

const (
	burst      = 5                // told at once about one thing
	every      = 10 * time.Second // one more
	burstAll   = 200              // told at once about all
	perSecond  = 20               // more
	maxThings  = 1024
	forgetTick = 64 // things looked at in a tick beyond those that have something to tell
)

// Event is something that happened. Data is marshalled to JSON.
type Event struct {
	Kind   string
	Object string // what it is about
	Data   map[string]any
}

// Limiter decides what is told. Times must not run backwards.
type Limiter struct {
	one, all limit.Rate
	total    limit.Bucket
	things   map[string]*thing
	held     []*thing // that have an event to tell, the longest waiting first
	lost     uint64
	begin    time.Time
}

// thing is what events are about.
type thing struct {
	name   string
	bucket limit.Bucket
	last   Event
	count  int // events that last stands for; 0: nothing is held
}

// NewLimiter returns a limiter that has not seen anything.
func NewLimiter(now time.Time) *Limiter {
	one, err := limit.NewRate(1, every, burst)
	if err != nil {
		panic("BUG: events: " + err.Error())
	}
	all, err := limit.NewRate(perSecond, time.Second, burstAll)
	if err != nil {
		panic("BUG: events: " + err.Error())
	}
	return &Limiter{one: one, all: all, things: map[string]*thing{}, begin: now}
}

// Add takes an event and reports whether it is to be told now. One that is not is held, or lost.
func (l *Limiter) Add(now time.Time, e Event) bool {
	at := int64(now.Sub(l.begin))
	t := l.things[e.Object]
	if t == nil {
		if len(l.things) >= maxThings {
			l.forget(at, len(l.things))
		}
		if len(l.things) >= maxThings {
			l.lost++
			return false
		}
		t = &thing{name: e.Object}
		l.things[e.Object] = t
	}
	if t.count == 0 && l.allow(t, at) {
		return true
	}
	if t.count == 0 {
		l.held = append(l.held, t)
	}
	t.last = e
	t.count++
	return false
}

func (l *Limiter) allow(t *thing, at int64) bool {
	if l.total.Tokens(l.all, at) == 0 {
		return false
	}
	if ok, _ := t.bucket.Allow(l.one, at, 1); !ok {
		return false
	}
	l.total.Charge(l.all, at, 1)
	return true
}

// Due returns the held events whose time has come. "held" in the data says how many they stand for.
func (l *Limiter) Due(now time.Time) (out []Event) {
	at := int64(now.Sub(l.begin))
	keep := l.held[:0]
	for _, t := range l.held {
		if !l.allow(t, at) {
			keep = append(keep, t)
			continue
		}
		e := t.last
		data := make(map[string]any, len(e.Data)+1)
		for k, v := range e.Data {
			data[k] = v
		}
		data["held"] = t.count
		e.Data = data
		out = append(out, e)
		t.last, t.count = Event{}, 0
	}
	clear(l.held[len(keep):])
	l.held = keep
	l.forget(at, forgetTick)
	return out
}

// forget lets go of things of which nothing is to be remembered, of those it looks at.
func (l *Limiter) forget(at int64, looks int) {
	for name, t := range l.things {
		if looks--; looks < 0 {
			return
		}
		if t.count == 0 && t.bucket.Idle(at) {
			delete(l.things, name)
		}
	}
}

// Lost returns how many events were lost because too many things were remembered.
func (l *Limiter) Lost() uint64 { return l.lost }

// Emitter tells events by a function that does not block, such as the bus's Emit. Safe for concurrent use.
type Emitter struct {
	emit func(kind, object string, data any)

	mu sync.Mutex
	l  *Limiter
}

// NewEmitter returns an emitter. Tick it about once a second.
func NewEmitter(emit func(kind, object string, data any)) *Emitter {
	return &Emitter{emit: emit, l: NewLimiter(time.Now())}
}

// Emit tells an event, now or later.
func (m *Emitter) Emit(kind, object string, data map[string]any) {
	m.mu.Lock()
	now := m.l.Add(time.Now(), Event{kind, object, data})
	m.mu.Unlock()
	if now {
		m.emit(kind, object, data)
	}
}

// Tick tells held events whose time has come.
func (m *Emitter) Tick() {
	m.mu.Lock()
	due := m.l.Due(time.Now())
	m.mu.Unlock()
	for _, e := range due {
		m.emit(e.Kind, e.Object, e.Data)
	}
}

// Lost returns how many events were lost.
func (m *Emitter) Lost() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.l.Lost()
}
