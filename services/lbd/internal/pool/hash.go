package pool

import "github.com/everup/everup/shared/ring"

// hashed takes the first of the members, in the key's own order of them, whose requests under way are below LoadFactor times its share
// of all. Since the factor is above 1, there is one. Where only some members change, keys of others stay, but for what bounds move.
func (c *Core) hashed(r *rank, key uint64) *Member {
	key = ring.Key(key)
	bound, sum := c.rules.LoadFactor*float64(c.active+1), float64(r.sum)
	var best *Member
	var drawn uint64
	arrival := -1.0 // of best; below 0: not computed, as equal weights need none
	for _, m := range r.members {
		if bound > 0 && float64(m.active)*sum >= bound*float64(m.weight) {
			continue
		}
		d := ring.Draw(m.node, key)
		if best == nil {
			best, drawn = m, d
			continue
		}
		if m.weight == best.weight {
			if d > drawn {
				best, drawn, arrival = m, d, -1
			}
			continue
		}
		if arrival < 0 {
			arrival = ring.Arrival(drawn, best.weight)
		}
		if a := ring.Arrival(d, m.weight); a < arrival {
			best, drawn, arrival = m, d, a
		}
	}
	if best == nil { // not reached but by rounding
		return leastLoaded(r)
	}
	return best
}
