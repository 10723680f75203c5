package logx

import (
	"container/list"
	"sync"
	"time"
)

// throttleKeys bounds a Throttle.
const throttleKeys = 1024

// Throttle lets one event per interval through for each key and counts the rest.
// It holds at most 1024 keys; the one let through longest ago makes room, and its count is lost with it.
// The zero value is not usable. Safe for concurrent use.
type Throttle struct {
	interval time.Duration

	mu    sync.Mutex
	keys  map[string]*list.Element
	order list.List // of *throttled, by the time last let through, oldest first
}

type throttled struct {
	key        string
	last       time.Time
	suppressed int
}

// NewThrottle returns a throttle with the given interval per key.
func NewThrottle(interval time.Duration) *Throttle {
	return &Throttle{interval: interval, keys: make(map[string]*list.Element)}
}

// Allow reports whether key may be logged now, and how many were held back since the last that was.
func (t *Throttle) Allow(key string) (ok bool, suppressed int) {
	return t.AllowAt(time.Now(), key)
}

// AllowAt is Allow at a stated time. Times must not run backwards.
func (t *Throttle) AllowAt(now time.Time, key string) (ok bool, suppressed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, known := t.keys[key]
	if !known {
		t.makeRoomLocked()
		t.keys[key] = t.order.PushBack(&throttled{key: key, last: now})
		return true, 0
	}
	k := e.Value.(*throttled)
	if now.Sub(k.last) < t.interval {
		k.suppressed++
		return false, 0
	}
	suppressed, k.suppressed, k.last = k.suppressed, 0, now
	t.order.MoveToBack(e)
	return true, suppressed
}

func (t *Throttle) makeRoomLocked() {
	if len(t.keys) < throttleKeys {
		return
	}
	oldest := t.order.Front()
	t.order.Remove(oldest)
	delete(t.keys, oldest.Value.(*throttled).key)
}
