package http2

import "time"

// Allowance is how often a peer may do something: Rate times a second, and Burst times at once after a rest. Neither is above 1e9.
type Allowance struct{ Rate, Burst int32 }

// Allow returns an allowance of ten seconds' worth at once. rate is at most 1e8.
func Allow(rate int) Allowance { return Allowance{int32(rate), 10 * int32(rate)} }

// Allowances are what a peer may do that costs us more than itself.
type Allowances struct {
	Resets   Allowance // streams that it resets, or makes us reset (CVE-2023-44487, CVE-2025-8671); likewise those beyond MaxStreams. Of a client
	Settings Allowance // SETTINGS, each of which is acknowledged
	Pings    Allowance // PING, likewise
	Updates  Allowance // WINDOW_UPDATE
	Empty    Allowance // DATA without content that does not end its stream
	Idle     Allowance // frames that mean nothing: PRIORITY, unknown ones, those of streams that have ended
}

// DefaultAllowances are what nobody needs in earnest. A browser that leaves a page resets all that it has asked for; it does not do so again
// and again for seconds.
func DefaultAllowances() Allowances {
	return Allowances{Resets: Allow(50), Settings: Allow(5), Pings: Allow(100), Updates: Allow(500), Empty: Allow(10), Idle: Allow(100)}
}

// bucket counts what a peer does at our cost. It leaks with time, and with useful work: a peer that pings for each piece of
// content it gets, as those do that measure bandwidth, is no flood.
type bucket struct {
	level int32
	at    time.Duration // up to which it has leaked
}

// pour adds a unit; false if the bucket runs over.
func (b *bucket) pour(now time.Duration, a Allowance) bool {
	rate, passed := int64(max(a.Rate, 1)), int64(now-b.at)
	if passed >= int64(b.level)*int64(time.Second)/rate {
		b.level, b.at = 0, now
	} else if leaked := passed * rate / int64(time.Second); leaked > 0 {
		b.level -= int32(leaked)
		b.at += time.Duration(leaked * int64(time.Second) / rate)
	}
	b.level++
	return b.level <= a.Burst
}

// earn takes n units out for useful work.
func (b *bucket) earn(n int32) { b.level = max(b.level-n, 0) }

// maxControl bounds the control frames that wait to be sent: for each stream those that one turn may bring, and some.
func (o *Options) maxControl() int { return 600 + 4*o.MaxStreams }

// maxBlockFrames bounds the frames of a header block: four times those that the largest block takes.
func (o *Options) maxBlockFrames() int { return max(32, 8*o.Limits.Head/MaxFrame) }

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
