package pool

import (
	"math"
	"time"
)

// memory is the time in which what was measured falls to 1/e, as in Finagle.
const memory = 10 * time.Second

// latency is what is known of the time that a member takes until an answer's head. All in nanoseconds.
type latency struct {
	mean  float64 // exponentially weighted by time
	peak  float64 // likewise, but it rises at once to what is higher: peak EWMA, as Finagle's balancer has it
	stamp time.Duration
}

// observe takes a measurement in.
func (l *latency) observe(now, took time.Duration) {
	rtt := max(float64(took), 1)
	if l.peak == 0 {
		*l = latency{rtt, rtt, now}
		return
	}
	w := decay(now - l.stamp)
	l.stamp = max(l.stamp, now)
	l.mean = l.mean*w + rtt*(1-w)
	if rtt > l.peak {
		l.peak = rtt
	} else {
		l.peak = l.peak*w + rtt*(1-w)
	}
}

// meanAt and peakAt return what is left of the values, so that a member that was slow is tried again; 0: nothing was measured.
func (l *latency) meanAt(now time.Duration) float64 { return l.mean * decay(now-l.stamp) }
func (l *latency) peakAt(now time.Duration) float64 { return l.peak * decay(now-l.stamp) }

// decay is e^(-age/memory).
func decay(age time.Duration) float64 {
	x := float64(max(age, 0)) / float64(memory)
	if x < 1.0/128 {
		return 1 - x + x*x/2 // to seven digits
	}
	return math.Exp(-x)
}

// unmeasured is the load per request under way at a member of which nothing is known: one at a time goes there until something is.
const unmeasured = float64(time.Hour)

// lighter draws two by weight and takes the one with the smaller load.
func (c *Core) lighter(r *rank) *Member {
	chance := c.rng.Uint64()
	i := r.draw(uint32(chance), -1)
	j := r.draw(uint32(chance>>32), i)
	if c.load(r, r.members[j]) < c.load(r, r.members[i]) {
		return r.members[j]
	}
	return r.members[i]
}

// draw returns the index of a member by chance in the proportion of the weights, another than not. The sum of the weights fits
// in 32 bits: there are at most 512 of 1000.
func (r *rank) draw(chance uint32, not int) int {
	n := len(r.members)
	if r.even {
		if not < 0 {
			return below(chance, n)
		}
		i := below(chance, n-1)
		if i >= not {
			i++
		}
		return i
	}
	sum := r.sum
	if not >= 0 {
		sum -= r.members[not].weight
	}
	at := below(chance, sum)
	for i, m := range r.members {
		if i == not {
			continue
		}
		if at -= m.weight; at < 0 {
			return i
		}
	}
	return not // not reached: the weights have that sum
}

// below makes a number from 0 to n-1 of 32 bits of chance.
func below(chance uint32, n int) int { return int(uint64(chance) * uint64(n) >> 32) }

// load is the time that a request would take: latency times the requests under way, these in proportion to the weight. The request's
// own counts whole, so that members without any differ by latency alone.
func (c *Core) load(r *rank, m *Member) float64 {
	l := 0.0
	if c.rules.Balance == EWMA {
		l = m.latency.peakAt(c.now)
	} else {
		l = m.latency.meanAt(c.now)
	}
	if l == 0 {
		return unmeasured * float64(m.active)
	}
	if m.active == 0 {
		return l
	}
	return l * (float64(m.active*r.sum)/float64(m.weight*len(r.members)) + 1)
}
