package http2

import "time"

// bucket counts what a peer does at our cost. It leaks with time, and with useful work: a peer that pings for each piece of
// content it gets, as those do that measure bandwidth, is no flood.
type bucket struct {
	level int32
	at    time.Duration // up to which it has leaked
}

// allowance is a bucket's size, and how many units leak in a second.
type allowance struct{ size, rate int32 }

// The allowances. A browser that leaves a page resets all that it has asked for; it does not do so again and again for seconds.
var (
	allowResets   = allowance{500, 50}
	allowRefused  = allowance{500, 50}
	allowSettings = allowance{50, 5}
	allowPings    = allowance{500, 100}
	allowUpdates  = allowance{2000, 500}
	allowIdle     = allowance{1000, 100}
	allowEmpty    = allowance{100, 10}
)

// pour adds a unit; false if the bucket runs over.
func (b *bucket) pour(now time.Duration, a allowance) bool {
	leaked := int64(now-b.at) * int64(a.rate) / int64(time.Second)
	if b.level == 0 || leaked >= int64(b.level) {
		b.level, b.at = 0, now
	} else if leaked > 0 {
		b.level -= int32(leaked)
		b.at += time.Duration(leaked * int64(time.Second) / int64(a.rate))
	}
	b.level++
	return b.level <= a.size
}

// earn takes n units out for useful work.
func (b *bucket) earn(n int32) { b.level = max(b.level-n, 0) }

const (
	// maxControl bounds the control frames that wait to be sent.
	maxControl = 1000
	// maxBlockFrames bounds the frames of a header block.
	maxBlockFrames = 32
)

// buckets are a connection's.
type buckets struct {
	resets, refused, settings, pings, updates, idle, empty bucket
}

// useful lets off what goes with a frame of content, or a head, that was sent or received.
func (b *buckets) useful() {
	b.pings.earn(2)
	b.updates.earn(4)
	b.idle.earn(4)
	b.empty.earn(1)
}
