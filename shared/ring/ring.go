// Package ring places keys on backends such that every process that knows the same backends and weights places every
// key alike, and that a change of the backends moves few keys.
//
// Table is weighted Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
// NSDI 2016, section 3.4): a lookup is one division and one read, the shares are exact to one entry, and it is the form
// that an XDP program can read. Rendezvous is weighted highest-random-weight hashing: a lookup costs a logarithm per
// backend, nothing is built beforehand, no key moves but those it must, and PickN gives replicas.
//
// All arithmetic is exact or IEEE 754 without fused operations, so that machines of different kinds agree. The hash and
// both algorithms are frozen by golden tests: a fleet upgrades one host at a time.
package ring

import (
	"cmp"
	"slices"

	"github.com/everup/everup/shared/fault"
)

// Bounds of what Build and NewRendezvous accept.
const (
	MaxBackends = 4096
	MaxWeight   = 1000
	MaxName     = 1024 // bytes
)

// Backend is a place for keys. Its name alone, not its place in a list, decides which keys it gets.
type Backend struct {
	Name   string
	Weight int // 0 to MaxWeight; its share of keys is Weight over the sum; 0 gets none
}

// canonical returns the backends sorted by name. The errors are fault.Invalid, and fault.Full for too many.
func canonical(backends []Backend) ([]Backend, error) {
	if len(backends) > MaxBackends {
		return nil, fault.New(fault.Full, "ring: %d backends, at most %d", len(backends), MaxBackends)
	}
	sorted := slices.Clone(backends)
	slices.SortFunc(sorted, func(a, b Backend) int { return cmp.Compare(a.Name, b.Name) })
	for i, b := range sorted {
		switch {
		case b.Weight < 0 || b.Weight > MaxWeight:
			return nil, fault.New(fault.Invalid, "ring: backend %q: weight %d is not within 0 and %d", b.Name, b.Weight, MaxWeight)
		case len(b.Name) > MaxName:
			return nil, fault.New(fault.Invalid, "ring: backend %.40q…: name longer than %d bytes", b.Name, MaxName)
		case i > 0 && sorted[i-1].Name == b.Name:
			return nil, fault.New(fault.Invalid, "ring: backend %q is there twice", b.Name)
		}
	}
	if !slices.ContainsFunc(sorted, func(b Backend) bool { return b.Weight > 0 }) {
		return nil, fault.New(fault.Invalid, "ring: no backend has a weight above 0")
	}
	return sorted, nil
}
