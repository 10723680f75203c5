package watch

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// DefaultLimit is memcached's bound of watchers.
	DefaultLimit = 20
	// DefaultBuffer is memcached's watcher_logbuf_size, bytes.
	DefaultBuffer = 256 << 10
)

// Options of a Hub; the zero value has the defaults.
type Options struct {
	Limit  int              // watchers at once
	Buffer int              // bytes that may wait for one watcher
	Now    func() time.Time // for the lines' time stamps
	// Evictions is told when the first begins and the last ends to listen to evictions: engine.Store.Watch. May be nil.
	Evictions func(on bool)
}

// Counts are a hub's statistics.
type Counts struct {
	Watchers int
	Sent     uint64 // lines put into a watcher's buffer
	Skipped  uint64 // lines that found none
}

// Hub spreads lines.
type Hub struct {
	o       Options
	session *session.Hub

	sent, skipped atomic.Uint64

	changes  sync.Mutex // orders joining and leaving; locked before mu
	mu       sync.Mutex // guards what follows; locked before a watcher's, and by senders within a shard's lock
	id       uint64     // of the last line
	watchers []*watcher
	wanted   session.Topic
	line     []byte // the line being sent, with its head
}

// Install makes a hub and lets h use it.
func Install(h *session.Hub, o Options) *Hub {
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	if o.Buffer == 0 {
		o.Buffer = DefaultBuffer
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	hub := &Hub{o: o, session: h}
	h.Send, h.Join = hub.Send, hub.join
	return hub
}

// Counts returns the statistics.
func (h *Hub) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Counts{Watchers: len(h.watchers), Sent: h.sent.Load(), Skipped: h.skipped.Load()}
}

// Send gives a line, without time, number and end, to those who listen to t. It keeps nothing of it.
func (h *Hub) Send(t session.Topic, line []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted&t == 0 {
		return
	}
	h.id++
	h.line = h.head(h.line[:0])
	h.line = append(append(h.line, line...), '\n')
	for _, w := range h.watchers {
		if w.topics&t == 0 {
			continue
		}
		if w.put(h.line) {
			h.sent.Add(1)
		} else {
			h.skipped.Add(1)
		}
	}
}

// head appends a line's time stamp and number.
func (h *Hub) head(dst []byte) []byte {
	now := h.o.Now()
	dst = strconv.AppendInt(append(dst, "ts="...), now.Unix(), 10)
	micros := strconv.Itoa(1_000_000 + now.Nanosecond()/1000)
	dst = append(append(dst, '.'), micros[1:]...)
	dst = strconv.AppendUint(append(dst, " gid="...), h.id, 10)
	return append(dst, ' ')
}

// Evicted tells of an evicted item: for engine.Options.Evicted.
func (h *Hub) Evicted(g engine.Gone) {
	if h.session.Wanted(session.Evictions) {
		h.Send(session.Evictions, appendEvicted(nil, &g))
	}
}

// join implements session.Hub.Join.
func (h *Hub) join(t session.Topic) session.Watcher {
	h.changes.Lock()
	defer h.changes.Unlock()
	if len(h.watchers) >= h.o.Limit {
		return nil
	}
	w := &watcher{hub: h, topics: t, bound: h.o.Buffer, wake: make(chan struct{}, 1)}
	h.settle(append(slices.Clip(h.watchers), w))
	return w
}

func (h *Hub) leave(w *watcher) {
	h.changes.Lock()
	defer h.changes.Unlock()
	h.settle(slices.DeleteFunc(slices.Clone(h.watchers), func(o *watcher) bool { return o == w }))
}

// settle makes watchers those who listen and computes what is wanted.
func (h *Hub) settle(watchers []*watcher) {
	wanted := session.Topic(0)
	for _, w := range watchers {
		wanted |= w.topics
	}
	h.mu.Lock()
	before := h.wanted
	h.watchers, h.wanted = watchers, wanted
	h.mu.Unlock()
	h.session.Want(wanted)
	if on := wanted & session.Evictions; on != before&session.Evictions && h.o.Evictions != nil {
		h.o.Evictions(on != 0) // outside of mu: it may wait for a shard in which somebody sends
	}
}

// watcher is one who listens.
type watcher struct {
	hub    *Hub
	topics session.Topic
	bound  int
	wake   chan struct{}

	mu      sync.Mutex
	buf     []byte
	skipped uint64
}

var _ session.Watcher = (*watcher)(nil)

// Close implements session.Watcher.
func (w *watcher) Close() { w.hub.leave(w) }

// put appends a line; false when it finds no room.
func (w *watcher) put(line []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	const notice = 64 // more than what says how many were skipped
	if len(w.buf)+len(line)+notice > w.bound {
		w.skipped++
		return false
	}
	if w.skipped > 0 {
		w.buf = strconv.AppendUint(append(w.buf, "skipped="...), w.skipped, 10)
		w.buf = append(w.buf, '\n')
		w.skipped = 0
	}
	w.buf = append(w.buf, line...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// take exchanges the buffer for an empty one.
func (w *watcher) take(empty []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	full := w.buf
	w.buf = empty[:0]
	return full
}

// Run implements session.Watcher.
func (w *watcher) Run(ctx context.Context, conn net.Conn) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var waste [256]byte
		for {
			if _, err := conn.Read(waste[:]); err != nil {
				_ = conn.SetWriteDeadline(time.Unix(1, 0)) // a write that waits for the client ends, too
				return
			}
		}
	}()
	defer func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-gone
	}()
	var lines []byte
	for {
		select {
		case <-w.wake:
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
		lines = w.take(lines)
		if _, err := conn.Write(lines); err != nil {
			return
		}
	}
}
