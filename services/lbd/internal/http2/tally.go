package http2

import (
	"strings"
	"sync/atomic"
)

// Tally counts what happens on the connections of a Pool, of one role. The Pool's goroutine counts, anybody may read.
type Tally struct {
	Opened, Released atomic.Uint64 // streams
	Resets, GoAways  [2]Causes     // by Direction
}

// Direction is who has said it.
type Direction uint8

// The directions.
const (
	Sent Direction = iota // by us
	Received
)

// Causes counts by cause: what the peer has done wrong, where it was that, else the error code.
type Causes [causes]atomic.Uint64

const (
	knownCodes = int(HTTP11Required) + 1
	causes     = Reasons + knownCodes + 1 // with codes that nobody knows
)

func (c *Causes) add(cause int) { c[cause].Add(1) }

// CauseCounts is a reading of several Causes.
type CauseCounts [causes]uint64

// Add adds what c has counted.
func (n *CauseCounts) Add(c *Causes) {
	for i := range c {
		n[i] += c[i].Load()
	}
}

// Each calls f for each cause that was counted: Reason's names, and those of error codes, as no-error, of all unknown ones "other".
func (n *CauseCounts) Each(f func(cause string, n uint64)) {
	for i, n := range n {
		if n > 0 {
			f(causeName(i), n)
		}
	}
}

// MaxCauses is how many names there may be.
const MaxCauses = causes

func causeName(i int) string {
	switch {
	case i < Reasons:
		return Reason(i).String()
	case i < Reasons+knownCodes:
		return strings.ReplaceAll(strings.ToLower(codeNames[i-Reasons]), "_", "-")
	}
	return "other"
}

// cause is the place of a code among the causes.
func (c ErrCode) cause() int { return Reasons + min(int(c), knownCodes) }
