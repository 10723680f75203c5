package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// loadEvery is how often a node's load is read and, when it changed enough, gossiped.
const loadEvery = 2 * time.Second

// loadStep is the change in per cent below which a new load is not worth a gossip message: "send on change or
// deadline" (Ganglia), the deadline being loadDeadline.
const (
	loadStep     = 5
	loadDeadline = 30 * time.Second
)

// announcer keeps what this daemon tells of itself and hands it to gossip when it changes.
type announcer struct {
	fleet  *member.Fleet
	health *health.Registry
	meter  loadMeter

	mu   sync.Mutex
	now  member.Announcement
	sent time.Time // when the load was last told
}

func newAnnouncer(f *member.Fleet, h *health.Registry, dir string) *announcer {
	return &announcer{fleet: f, health: h, meter: loadMeter{dir: dir}, now: member.Announcement{Weight: 100}}
}

// change applies f to the announcement and tells the fleet.
func (a *announcer) change(f func(*member.Announcement)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.now)
	a.fleet.Announce(a.now)
}

// run follows health and load until ctx ends.
func (a *announcer) run(ctx context.Context) error {
	changed, cancel := a.health.Watch()
	defer cancel()
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	a.tellHealth()
	a.tellLoad(a.meter.read(), time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			a.tellHealth()
		case now := <-tick.C:
			a.tellLoad(a.meter.read(), now)
			a.tellHealth() // an item may have become visible by time alone
		}
	}
}

func (a *announcer) tellHealth() {
	worst := a.health.Worst()
	a.mu.Lock()
	same := a.now.Health == worst
	a.mu.Unlock()
	if !same {
		a.change(func(n *member.Announcement) { n.Health = worst })
	}
}

func (a *announcer) tellLoad(l member.Load, now time.Time) {
	a.mu.Lock()
	worth := loadDiffers(a.now.Load, l) || now.Sub(a.sent) >= loadDeadline
	if worth {
		a.sent = now
	}
	a.mu.Unlock()
	if worth {
		a.change(func(n *member.Announcement) { n.Load = l })
	}
}

func loadDiffers(a, b member.Load) bool {
	far := func(x, y uint8) bool { return max(x, y)-min(x, y) >= loadStep }
	return far(a.CPU, b.CPU) || far(a.IOWait, b.IOWait) || far(a.Mem, b.Mem) || far(a.Disk, b.Disk)
}
