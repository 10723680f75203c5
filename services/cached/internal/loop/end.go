package loop

import "github.com/everup/everup/services/cached/internal/conns"

// endQuiet gives each connection that waits for input a last turn, at whose end it is closed, while the group drains. The others
// are on their way there.
func (l *loop) endQuiet() {
	if l.quiet {
		return
	}
	l.quiet = true
	for slot := range l.slab.used {
		if c := l.slab.at(slot); c.has(live) && c.out == nil {
			c.set(readable) // something may have come that no event has told of yet
			l.enqueue(c)
		}
	}
}

// endAll closes all connections, those on their way to the loop too.
func (l *loop) endAll() {
	l.inbox.mu.Lock()
	adopted := l.inbox.adopted
	l.inbox.adopted, l.inbox.closed = nil, true
	l.inbox.mu.Unlock()
	for i := range adopted {
		l.refuse(&adopted[i])
	}
	for slot := range l.slab.used {
		if c := l.slab.at(slot); c.has(live) {
			l.end(c, conns.Shutdown)
		}
	}
	l.crowded, l.ready = false, nil
	l.publish()
	l.reply()
}
