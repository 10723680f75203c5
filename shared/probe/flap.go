package probe

import (
	"math"
	"time"
)

// fallPoints is what one fall from up to down adds (RFC 2439 section 4.2 calls it the figure of merit).
const fallPoints = 1000

// points is a sum that decays exponentially.
type points struct {
	sum float64
	of  time.Time // when the sum was so high
}

// at returns the sum decayed to now.
func (p *points) at(now time.Time, f *FlapConfig) float64 {
	age := now.Sub(p.of)
	if p.sum == 0 || age <= 0 {
		return p.sum
	}
	return p.sum * math.Exp2(-age.Seconds()/f.HalfLife.Std().Seconds())
}

// add adds the points of one fall. The sum is capped so that it decays to Reuse within MaxSuppress, but never
// below Suppress: with a cap that low damping could not begin.
func (p *points) add(now time.Time, f *FlapConfig) {
	ceiling := float64(f.Reuse) * math.Exp2(f.MaxSuppress.Std().Seconds()/f.HalfLife.Std().Seconds())
	p.sum = min(p.at(now, f)+fallPoints, max(ceiling, float64(f.Suppress)))
	p.of = now
}
