package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// retryAfter is how long a page waits before it asks again for a stream that broke.
const retryAfter = 3 * time.Second

// message is the data of one server-sent event: what changed on the page.
type message struct {
	Sections *sections `json:"sections,omitempty"`
	All      bool      `json:"all,omitempty"`  // the rows are all there are
	Rows     []string  `json:"rows,omitempty"` // HTML, newest first
}

// serveStream sends what changes as server-sent events, beginning where the page (?at=) or the stream before it
// (Last-Event-ID) ended.
func (c *Console) serveStream(w http.ResponseWriter, r *http.Request) {
	if c.streams.Add(1) > maxStreams {
		c.streams.Add(-1)
		c.refused.Add(1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer c.streams.Add(-1)
	at := r.Header.Get("Last-Event-ID")
	if at == "" {
		at = r.URL.Query().Get("at")
	}
	pos, fresh := c.feed.parse(at)
	s := &stream{c: c, w: w, rc: http.NewResponseController(w), pos: pos, fresh: fresh}
	w.Header().Set("Content-Type", "text/event-stream")
	s.run(r.Context().Done())
}

// stream is one page that listens.
type stream struct {
	c     *Console
	w     http.ResponseWriter
	rc    *http.ResponseController
	pos   position
	fresh bool // pos means nothing: send all
}

// run sends until the page goes, the console ends or a write fails.
func (s *stream) run(gone <-chan struct{}) {
	changed, cancel := s.c.feed.watch()
	defer cancel()
	if !s.write(fmt.Appendf(nil, "retry: %d\n\n", retryAfter.Milliseconds())) || !s.tell() {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		ok := true
		select {
		case <-gone:
			return
		case <-s.c.done:
			s.tell() // the last events of a daemon that stops
			return
		case <-changed:
			ok = s.tell()
		case <-beat.C:
			ok = s.write([]byte(": still here\n\n"))
		}
		if !ok {
			return
		}
	}
}

// tell sends what is new, if anything is.
func (s *stream) tell() bool {
	n := s.c.feed.since(s.pos, s.fresh)
	if n.sections == nil && len(n.events) == 0 && !n.all {
		return true
	}
	rows, err := s.c.pages.events(n.events)
	if err != nil {
		s.c.log.Error().Err(err).Msg("an event was not rendered")
		return false
	}
	data, err := json.Marshal(message{Sections: n.sections, All: n.all, Rows: rows})
	if err != nil {
		s.c.log.Error().Err(err).Msg("a message was not encoded")
		return false
	}
	s.pos, s.fresh = n.position, false
	var b bytes.Buffer // JSON holds no line break
	fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", s.c.feed.id(n.position), data)
	return s.write(b.Bytes())
}

// write sends b at once.
func (s *stream) write(b []byte) bool {
	s.c.deadline(s.w)
	if _, err := s.w.Write(b); err != nil {
		return false
	}
	return s.rc.Flush() == nil
}

// deadline bounds the time a client may take for the next write. A ResponseWriter without deadlines is one of a test.
func (c *Console) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWait))
}
