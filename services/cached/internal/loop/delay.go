package loop

import "github.com/everup/everup/services/cached/internal/conns"

const (
	delayMost  = 8        // answers that wait to be sent together
	delayBytes = 64 << 10 // and how much they hold: what comes beyond is sent first
	delayLeast = 4 << 10  // an answer from this length on waits
)

// Each answer wakes a client that waits for it, and where all clients of a machine sleep that costs more than the answer: the kernel rouses another
// core, which under a hypervisor means to leave the machine. Long answers to several connections are therefore sent one right behind the other: the
// first wakes, the others find their client awake. Short ones go at once, a client may count microseconds.

// delays tells whether the answers in l.out may wait until the others of this look's events are made.
func (l *loop) delays(c *conn) bool {
	n := len(l.out.Buf)
	return l.delaying && n >= delayLeast && n <= delayBytes/2 && l.out.Big.Len() == 0 &&
		c.want == wantInput && !c.has(ending) && !c.has(readable) && l.mayLend(n)
}

// delay puts the answers in l.out aside as c's backlog.
func (l *loop) delay(c *conn) {
	l.waiting += len(l.out.Buf)
	l.setAside(c, l.out.Buf)
	l.dropOut()
	l.delayed = append(l.delayed, ref{c.slot, c.gen})
	if len(l.delayed) == delayMost || l.waiting >= delayBytes {
		l.sendDelayed()
	}
}

// sendDelayed sends what waits.
func (l *loop) sendDelayed() {
	for _, r := range l.delayed {
		if c := l.slab.find(r.slot, r.gen); c != nil && c.out != nil {
			l.sendAside(c)
		}
	}
	l.delayed, l.waiting = l.delayed[:0], 0
}

// sendAside sends the answers that were put aside for c.
func (l *loop) sendAside(c *conn) {
	defer l.rescue(c)
	l.moved = 0
	if l.resume(c) == sent && l.g.phase.Load() >= drained {
		l.close(c, conns.Shutdown)
	}
}
