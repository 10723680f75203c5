package limit

import (
	"math"

	"github.com/everup/everup/shared/fault"
)

// MaxCells bounds the counters of a Sketch: 256 MiB.
const MaxCells = 1 << 26

// Sketch counts any number of keys in fixed memory, never too low and seldom much too high: the count-min sketch
// (Cormode and Muthukrishnan, J. Algorithms 55, 2005) with conservative update (Estan and Varghese, SIGCOMM 2002).
type Sketch struct {
	depth int
	mask  uint64
	cells []uint32 // depth rows
	total uint64
}

// NewSketch returns a sketch whose estimate exceeds the truth by more than epsilon times the total of all counts with
// a probability of at most delta; both are between 0 and 1. It has ln(1/delta) rows of e/epsilon counters of 4 bytes,
// rounded up to powers of two, at most MaxCells.
func NewSketch(epsilon, delta float64) (*Sketch, error) {
	if !(epsilon > 0 && epsilon < 1 && delta > 0 && delta < 1) {
		return nil, fault.New(fault.Invalid, "limit: sketch of epsilon %v and delta %v: both must be between 0 and 1", epsilon, delta)
	}
	depth := max(1, math.Ceil(math.Log(1/delta)))
	width := math.Ceil(math.E / epsilon)
	if depth*width > MaxCells/2 {
		return nil, fault.New(fault.Invalid, "limit: sketch of epsilon %v and delta %v needs more than %d counters", epsilon, delta, MaxCells)
	}
	w := ceilPow2(int(width))
	return &Sketch{depth: int(depth), mask: uint64(w - 1), cells: make([]uint32, int(depth)*w)}, nil
}

// cell returns the place of the key's counter in a row.
func (s *Sketch) cell(key uint64, row int) uint64 {
	return uint64(row)*(s.mask+1) + mix(key+uint64(row)*0x9e3779b97f4a7c15)&s.mask
}

// Add counts the key n times more and returns the estimate of its count. Counters stop at 2^32-1. Only those counters
// grow that are below the new estimate.
func (s *Sketch) Add(key uint64, n uint32) uint32 {
	estimate := addCapped(s.Estimate(key), n)
	for row := range s.depth {
		c := &s.cells[s.cell(key, row)]
		*c = max(*c, estimate)
	}
	s.total = addCapped64(s.total, uint64(n))
	return estimate
}

// Estimate returns the key's count or more.
func (s *Sketch) Estimate(key uint64) uint32 {
	least := uint32(math.MaxUint32)
	for row := range s.depth {
		least = min(least, s.cells[s.cell(key, row)])
	}
	return least
}

// Total returns the sum of all counts.
func (s *Sketch) Total() uint64 { return s.total }

// Decay halves every count, rounding down, so that the past weighs less. It takes a pass over the memory.
func (s *Sketch) Decay() {
	for i := range s.cells {
		s.cells[i] /= 2
	}
	s.total /= 2
}

// Reset forgets all.
func (s *Sketch) Reset() { clear(s.cells); s.total = 0 }
