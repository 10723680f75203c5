package pool

import (
	"math"
	"strconv"
	"time"

	"github.com/everup/everup/shared/probe"
)

// ejection is what is known of a member for putting it out by what its requests come to.
type ejection struct {
	until time.Duration // it is out; 0: it is not
	times int           // the next one lasts so many times longer, less one for each interval that it was in
	total uint64
	row   int // failures since the last success
	all   int // requests of this interval
	well  int // of them
}

// judgeRow ejects a member that has failed too often in a row.
func (c *Core) judgeRow(m *Member, failed bool) {
	o, e := &c.rules.Outliers, &m.ejection
	e.all++
	if !failed {
		e.well++
		e.row = 0
		return
	}
	e.row++
	if o.Consecutive > 0 && e.row >= o.Consecutive {
		c.eject(m, strconv.Itoa(e.row)+" failures in a row")
	}
}

// eject puts a member out, unless too many are.
func (c *Core) eject(m *Member, why string) {
	o, e := &c.rules.Outliers, &m.ejection
	if o.Interval == 0 || e.until > c.now || m.state == probe.Down {
		return
	}
	ejected := 0
	for _, other := range c.members {
		if other.ejection.until > c.now {
			ejected++
		}
	}
	if n := len(c.members); n < 2 || ejected >= max(1, n*o.MaxEjected/100) {
		return
	}
	e.times++
	e.total++
	e.row = 0
	lasts := min(o.Ejection*time.Duration(e.times), max(o.MaxEjection, o.Ejection))
	e.until, c.dirty = c.now+lasts, true
	c.tell(MemberEjected, m, why+"; out for "+lasts.String())
}

// endEjection lets a member return whose time is over, through a slow start.
func (c *Core) endEjection(m *Member) {
	e := &m.ejection
	switch {
	case e.until == 0:
	case e.until > c.now && c.rules.Outliers.Interval > 0:
		c.dueAt(e.until)
	default:
		e.until = 0
		m.startRamp(c.now)
		c.tell(MemberReturned, m, "")
	}
}

// sweep compares the success rates of an interval that has passed: the outliers are ejected whose rate is below the mean by
// more than so many standard deviations.
func (c *Core) sweep() {
	o := &c.rules.Outliers
	if o.Interval == 0 {
		return
	}
	if c.now < c.sweepAt {
		c.dueAt(c.sweepAt)
		return
	}
	c.sweepAt = c.now + o.Interval
	c.dueAt(c.sweepAt)
	for _, m := range c.members {
		if m.ejection.until == 0 && m.ejection.times > 0 {
			m.ejection.times--
		}
	}
	if bound, ok := c.rateBound(); ok {
		for _, m := range c.members {
			if rate, ok := m.ejection.rate(o.MinRequests); ok && rate < bound {
				c.eject(m, percent(rate)+" of its requests succeed, the bound is "+percent(bound))
			}
		}
	}
	for _, m := range c.members {
		m.ejection.all, m.ejection.well = 0, 0
	}
}

// rateBound returns the rate below which a member is an outlier; false if too few have a rate.
func (c *Core) rateBound() (float64, bool) {
	o := &c.rules.Outliers
	n, sum, squares := 0.0, 0.0, 0.0
	for _, m := range c.members {
		if rate, ok := m.ejection.rate(o.MinRequests); ok {
			n, sum, squares = n+1, sum+rate, squares+rate*rate
		}
	}
	if o.Deviations == 0 || n == 0 || n < float64(o.MinMembers) {
		return 0, false
	}
	mean := sum / n
	return mean - o.Deviations*math.Sqrt(max(squares/n-mean*mean, 0)), true
}

// rate is the share of the interval's requests that succeeded; false if they were fewer than least.
func (e *ejection) rate(least int) (float64, bool) {
	if e.all == 0 || e.all < least {
		return 0, false
	}
	return float64(e.well) / float64(e.all), true
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }
