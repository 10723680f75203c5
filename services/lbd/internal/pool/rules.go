package pool

import (
	"time"
)

// Balance is how a member is chosen among those that may serve.
type Balance string

// The ways to balance.
const (
	// WRR is smooth weighted round robin: each pick adds its weight to every member's current value, takes the largest
	// and subtracts the sum of the weights from it, so that picks of one member are spread evenly.
	WRR Balance = "wrr"
	// Least takes the member with the fewest requests under way for its weight, by WRR among equals.
	Least Balance = "least"
	// Random draws two by weight and takes the one with the smaller load: requests under way times mean latency
	// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
	Random Balance = "random"
	// EWMA is Random with the peak EWMA of latency, which rises at once and falls slowly.
	EWMA Balance = "ewma"
	// Hash sends equal keys to the same member by weighted rendezvous hashing, with bounded loads (Mirrokni, Thorup and Zadimoghaddam,
	// "Consistent Hashing with Bounded Loads", SODA 2018). Requests without a key go by WRR.
	Hash Balance = "hash"
)

// Rules are what an operator says of a pool. The zero Rules are WRR without any of the rest.
type Rules struct {
	Balance    Balance
	LoadFactor float64       // of Hash: a member has at most so many times its share of the requests under way, above 1; 0: no bound
	SlowStart  time.Duration // from a tenth of the weight to the whole; 0: at once
	Failback   time.Duration // primaries are well for so long before they take over from backups again
	Panic      int           // per cent: with fewer members well, all are used; 0: never

	MaxRequests int // of the pool under way at once; 0: no bound
	Queue       int // requests that wait for a member, at most; 0: none waits
	MaxRetries  int // retries under way at once; 0: no bound
	Budget      int // retries in per cent of the requests of the last 10 s, beside 10 per second

	Failures Statuses // answers that count as failures of the member
	Outliers Outliers
	Breaker  BreakerRules
}

// Outliers says when a member is ejected by what its requests come to, as Envoy's outlier detection does.
type Outliers struct {
	Consecutive int           // failures in a row; 0: they do not eject
	Interval    time.Duration // between looks at success rates; 0: nobody is ejected at all
	Ejection    time.Duration // the first; each further one is longer by as much
	MaxEjection time.Duration
	MaxEjected  int     // per cent of the members at once, one at least of several
	Deviations  float64 // a success rate so many standard deviations below the mean ejects; 0: it does not
	MinMembers  int     // with MinRequests within the interval, for success rates to be compared
	MinRequests int
}

// BreakerRules says when a member's circuit opens.
type BreakerRules struct {
	Percent     int           // failures of the requests within Window; 0: it never opens
	MinRequests int           // within Window, for it to open
	Window      time.Duration // above 0
	Open        time.Duration // until it is half open
	Trials      int           // requests that a half-open one lets through, all of which must succeed for it to close
}

// Statuses is a set of HTTP statuses from 100 to 599.
type Statuses [10]uint64

// Add puts a status in; others than 100 to 599 are not.
func (s *Statuses) Add(code int) {
	if code >= 100 && code <= 599 {
		s[code/64] |= 1 << (code % 64)
	}
}

// Has reports whether a status is in the set.
func (s *Statuses) Has(code int) bool {
	return code >= 100 && code <= 599 && s[code/64]&(1<<(code%64)) != 0
}
