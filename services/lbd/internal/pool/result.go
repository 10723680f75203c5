package pool

import (
	"time"

	"github.com/everup/everup/shared/probe"
)

// Failure is what a member did wrong.
type Failure uint8

// The failures. The first two are told by nothing having come back: the member is suspect.
const (
	None      Failure = iota
	Connect           // no connection
	Closed            // it ended before anything came back
	Late              // no head of an answer in time
	Garbage           // no answer of HTTP
	Truncated         // the answer ended early
)

// String returns the failure as a word.
func (f Failure) String() string {
	return [...]string{"none", "connect-failed", "backend-closed", "timeout", "bad-answer", "answer-truncated"}[f]
}

// Result is what came of a request at a member.
type Result struct {
	Failure Failure
	Status  int           // of the answer; with neither status nor failure nothing is known, as where the client went away
	Head    time.Duration // until the answer's head, or the failure
}

// Report says what came of the request in a seat, once for a try but for an answer that breaks off after its head. It reports whether the
// member is to be checked at once.
func (c *Core) Report(now time.Duration, s Seat, r Result) (check bool) {
	c.now = max(c.now, now)
	m := s.Member
	if r.Failure == None && r.Status == 0 {
		if s.trial && m.breaker.state == halfOpen {
			m.breaker.given = max(m.breaker.given-1, m.breaker.passed)
			c.admit()
		}
		return false
	}
	failed := r.Failure != None || c.rules.Failures.Has(r.Status)
	c.measure(m, r)
	if r.Failure == Connect || r.Failure == Closed {
		check = c.Suspect(c.now, m)
	}
	if !m.gone && m.state != probe.Down {
		c.judgeBreaker(s, failed)
		c.judgeRow(m, failed)
	}
	if c.dirty {
		c.settle()
	}
	return check
}

// measure takes the latency in. A failure or an error counts as slow: one that fails at once must not seem to be the fastest.
func (c *Core) measure(m *Member, r Result) {
	switch {
	case r.Failure == Truncated || r.Head <= 0:
	case r.Failure == None && r.Status < 500:
		m.latency.observe(c.now, r.Head)
	default:
		m.latency.observe(c.now, max(r.Head, 2*c.usual()))
	}
}

// usual is the mean latency of the members that were measured.
func (c *Core) usual() time.Duration {
	n, sum := 0, 0.0
	for _, m := range c.members {
		if m.latency.mean > 0 {
			n, sum = n+1, sum+m.latency.mean
		}
	}
	return time.Duration(sum / float64(max(n, 1)))
}

// Release counts a request out, and lets those who wait go on.
func (c *Core) Release(now time.Duration, s Seat) {
	c.now = max(c.now, now)
	c.active--
	s.Member.active--
	if s.retry {
		c.retries--
	}
	if c.queue.n > 0 {
		c.advance(now)
		c.admit()
	}
}

// Retry reports whether the budget and the bound of retries allow one more, and counts it in: Pick must follow.
func (c *Core) Retry(now time.Duration) bool {
	c.now = max(c.now, now)
	if c.rules.MaxRetries > 0 && c.retries >= c.rules.MaxRetries || !c.budget.Retry(c.now) {
		return false
	}
	c.retries++
	return true
}
