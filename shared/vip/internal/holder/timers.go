package holder

import (
	"time"

	"github.com/everup/everup/shared/vrrp"
)

const (
	lookEvery   = time.Second            // at the addresses; a Snapshot follows
	snapshotGap = 100 * time.Millisecond // between two Snapshots that changes call for
)

// deadline returns when due is to be called.
func (h *holder) deadline() time.Duration {
	at := h.lookAt
	h.each(func(g *group) {
		next, _ := g.machines.Deadline()
		at = min(at, next, g.adoptBy, g.retryAt)
	})
	for i := range h.tasks {
		at = min(at, h.tasks[i].by)
	}
	if h.lifeline > 0 && !h.stuck {
		at = min(at, h.beatAt+h.lifeline)
	}
	if h.changed && h.daemon.Idle() {
		at = min(at, h.snapshotAt)
	}
	return at
}

// due does what has come due. hear reads what the daemon has said, which may lie unread if the process did not run.
func (h *holder) due(now time.Duration, hear func() error) error {
	h.expireAll(now)
	if h.lifeline > 0 && !h.stuck && now >= h.beatAt+h.lifeline {
		if err := hear(); err != nil {
			return err
		}
		if h.stuck = now >= h.beatAt+h.lifeline; h.stuck {
			h.assessAll(now)
		}
	}
	h.each(func(g *group) {
		if now >= g.adoptBy {
			h.unadopt(g)
		}
		if now >= g.retryAt {
			g.retryAt = vrrp.Never
			h.assess(now, g)
		}
	})
	h.limitTasks(now)
	if now >= h.lookAt {
		h.lookAt = now + lookEvery
		h.lookAll(now)
	}
	return nil
}

// expireAll steps the machines whose timers have expired.
func (h *holder) expireAll(now time.Duration) {
	h.each(func(g *group) { h.expire(now, g) })
}

// expire steps a group's machines whose timers have expired. Each expiry moves a timer on, so that few rounds do; the bound
// is for a machine that has no more time than for its timers.
func (h *holder) expire(now time.Duration, g *group) {
	for range 8 * len(g.routers) {
		at, member := g.machines.Deadline()
		if at > now {
			return
		}
		h.step(now, g, member, vrrp.Event{Kind: vrrp.EvTimer})
		r := g.routers[member]
		if !r.drain {
			continue
		}
		r.drain = false
		h.drain(now, r)
		h.step(now, g, member, vrrp.Event{Kind: vrrp.EvDrained})
	}
}

// finish ends a turn: what was put off is done.
func (h *holder) finish(now time.Duration) {
	h.settle(now)
	h.postpone(now)
	h.bury()
	h.finishTasks()
	if h.planned && h.changed && now >= h.snapshotAt && h.daemon.Idle() {
		h.changed = false
		h.snapshotAt = now + snapshotGap
		h.snapshot(now)
	}
}

// onBeat notes that the daemon lives.
func (h *holder) onBeat(now time.Duration) {
	h.beatAt = now
	if h.stuck {
		h.stuck = false
		h.assessAll(now)
	}
}
