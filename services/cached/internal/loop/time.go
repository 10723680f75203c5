package loop

import (
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
)

// scanLeast is how many connections are looked at each second; where there are more, an eighth of them.
const scanLeast = 4096

// keepTime counts seconds until stop closes.
func (g *Group) keepTime(stop <-chan struct{}) {
	if g.o.timeless {
		return
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			g.tick()
		}
	}
}

// tick lets a second pass, and rouses the loops that wait for one.
func (g *Group) tick() {
	g.second.Add(1)
	idle := g.limits.Load().Idle > 0
	for _, l := range g.loops {
		if l.timed.Load() || idle && l.load.Load() > 0 {
			l.rouse()
		}
	}
}

// scan closes connections that are late, once in each second.
func (l *loop) scan() {
	now := l.g.second.Load()
	if now == l.scanned {
		return
	}
	l.scanned = now
	if l.stuck {
		l.stuck = false // listen will try again
	}
	limits := l.g.limits.Load()
	idle, slow := seconds(limits.Idle), seconds(limits.Write)
	for range min(max(scanLeast, l.slab.used/8), l.slab.used) {
		if l.cursor >= l.slab.used {
			l.cursor = 0
		}
		c := l.slab.at(l.cursor)
		l.cursor++
		switch {
		case !c.has(live):
		case c.out != nil:
			if slow > 0 && now-c.out.since >= slow {
				l.note.SlowReaders.Add(1)
				l.end(c, conns.Failed)
			}
		case idle > 0 && now-c.last >= idle && !c.has(queued):
			l.note.IdleKicks.Add(1)
			l.end(c, conns.IdleTimeout)
		}
	}
	l.timed.Store(l.lagging > 0 || l.stuck)
}
