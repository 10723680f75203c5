package loop

import (
	"bytes"
	"runtime"
	"strconv"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
)

// ask asks a loop for its connections, at most room of them.
type ask struct {
	room   int
	answer chan<- []conns.Info // has room for the answers of all loops
}

// patience is how long Conns waits for a loop.
const patience = time.Second

// Conns lists the listeners and at most room connections. It may be called from anywhere, from a session's Step too: the loop whose
// goroutine asks answers for itself, and answers others while it waits, so that loops that ask each other do not wait
// for ever. A loop that does not answer within a second is left out.
func (g *Group) Conns(room int) []conns.Info {
	var out []conns.Info
	for i := range g.listeners {
		s := &g.listeners[i]
		out = append(out, conns.Info{ID: int64(s.fd), Transport: s.Transport, Local: s.addr, State: conns.Listening})
	}
	g.mu.Lock()
	for _, i := range g.away {
		out = append(out, i)
	}
	g.mu.Unlock()
	self, caller := (*loop)(nil), goroutine()
	answers, due := make(chan []conns.Info, len(g.loops)), 0
	for _, l := range g.loops {
		if l.self.Load() == caller {
			self = l
			out = append(out, l.listing(room)...)
			continue
		}
		select {
		case l.inbox.asks <- ask{room, answers}:
			due++
			l.rouse()
		default: // more ask than there are loops
		}
	}
	out = append(out, collect(self, answers, due)...)
	return out[:min(len(out), room+len(g.listeners))]
}

// collect waits for the answers that are due, and has self answer meanwhile.
func collect(self *loop, answers <-chan []conns.Info, due int) (out []conns.Info) {
	var asks chan ask // of nobody: blocks
	if self != nil {
		asks = self.inbox.asks
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for due > 0 {
		select {
		case some := <-answers:
			out = append(out, some...)
			due--
		case a := <-asks:
			a.answer <- self.listing(a.room)
		case <-late.C:
			return out
		}
	}
	return out
}

// reply answers those who have asked.
func (l *loop) reply() {
	for {
		select {
		case a := <-l.inbox.asks:
			a.answer <- l.listing(a.room)
		default:
			return
		}
	}
}

// goroutine is the number of the caller's goroutine, as the head of its stack trace shows it: there is no other way to learn it, and
// Env.Conns has no room for saying who calls. Not for the hot path.
func goroutine() uint64 {
	var b [64]byte
	head := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	word, _, _ := bytes.Cut(head, []byte(" "))
	n, _ := strconv.ParseUint(string(word), 10, 64)
	return n
}
