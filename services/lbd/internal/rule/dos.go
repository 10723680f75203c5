package rule

import (
	"maps"
	"slices"
)

// DoS is what a detector thinks of a client, by its rate of requests.
type DoS uint8

// The states.
const (
	NoDoS DoS = iota
	Suspect
	Hard
)

// DoSNames are the states' names, in order.
func DoSNames() []string { return []string{"none", "suspect", "hard"} }

// MaxDetectors is how many detectors there may be.
const MaxDetectors = 8

// AnyDetector stands, in conditions, for the highest of what all detectors think.
const AnyDetector = "any"

// Levels are what detectors think of a client, by their number: two bits for each. 0: none of them thinks anything.
type Levels uint16

const everySecond = 0xaaaa // the upper bits, of Hard

// With returns l with what one more detector thinks, of which l says nothing.
func (l Levels) With(detector int, state DoS) Levels {
	return l | Levels(min(state, Hard))<<(2*detector)
}

// Of returns what a detector thinks; below 0, the highest.
func (l Levels) Of(detector int) DoS {
	switch {
	case detector >= 0:
		return DoS(l >> (2 * detector) & 3)
	case l&everySecond != 0:
		return Hard
	case l != 0:
		return Suspect
	}
	return NoDoS
}

// thought is a condition on what a detector thinks.
type thought struct {
	detector int8  // -1: any
	states   uint8 // a bit for each
}

func (t thought) holds(l Levels) bool { return t.states>>l.Of(int(t.detector))&1 != 0 }

// doS compiles the condition on what detectors think, in the order of their names.
func (c *compiler) doS(m map[string][]string, at []any) (out []thought) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		place := append(slices.Clone(at), name)
		n := slices.Index(c.detectors, name)
		if n < 0 && name != AnyDetector && !c.alone {
			c.unknown(place, "detector", name, append([]string{AnyDetector}, c.detectors...))
		}
		if len(m[name]) == 0 {
			c.problem(place, faultf("give none, suspect or hard", "has no value"))
		}
		out = append(out, thought{int8(n), uint8(c.choices(m[name], place, "state", DoSNames()))})
	}
	return out
}

// coverThoughts reports whether what meets b meets a: what a asks of a detector, b does, with no more states.
func coverThoughts(a, b []thought) bool {
	for _, t := range a {
		if !slices.ContainsFunc(b, func(o thought) bool { return o.detector == t.detector && o.states&^t.states == 0 }) {
			return false
		}
	}
	return true
}
