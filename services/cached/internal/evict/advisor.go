package evict

import (
	"math"
	"sync"
	"sync/atomic"
)

const (
	shadowItems = 4096 // a shadow with more items makes the sample smaller
	fewItems    = 256  // a full shadow with fewer starts over with a larger sample

	judgeEvery = 8     // judgements while as many sampled reads pass as a shadow has items
	judgeReads = 64    // at least so many reads between judgements
	horizon    = 64    // judgements after which evidence has faded to 1/e …
	keepReads  = 10000 // … or so many sampled reads, whichever is more

	leadSigma = 3     // a better mode must lead by so many standard deviations of the reads on which the two differ,
	leadReads = 0.002 // by this share of the reads,
	leadItems = 0.03  // and by so many reads per item of the shadow, since a change costs misses
)

// Advisor learns from a sample of the keys of all shards which mode suits the traffic: for every mode a small cache of the sampled keys runs
// beside the real one (Waldspurger et al., ATC '17), and the mode whose shadow has more hits than the present one's, by more than chance and the cost
// of changing explain, is taken. One Advisor serves all policies of a cache; it is safe for concurrent use.
//
// The sample starts with all keys and is halved whenever the shadows outgrow 4096 items each, so that small caches are judged exactly and
// large ones at little cost: with a million items one read in 256 is sampled, and costs about half a microsecond. A shadow takes up to 200 KiB.
type Advisor struct {
	sampled atomic.Uint64 // keys whose mixed hash is not above
	mode    atomic.Uint32

	mu       sync.Mutex
	capacity uint64 // of all shards
	halvings int    // the sample is one key in 1<<halvings
	shadows  [modeCount]*shadow
	reads    int                           // since the last judgement
	total    float64                       // reads judged, faded
	ahead    [modeCount][modeCount]float64 // reads that the first mode's shadow answered and the second's did not, faded
	switches int
}

// Status is what an Advisor knows.
type Status struct {
	Mode     string  // in force
	Sample   float64 // share of the keys that is sampled
	Switches int     // changes of mode so far
	Bytes    int64   // memory of the shadows
}

// NewAdvisor returns an Advisor for the shards of one cache.
func NewAdvisor() *Advisor {
	a := &Advisor{}
	a.sampled.Store(math.MaxUint64)
	a.mode.Store(modeFirst)
	return a
}

// Status of the Advisor now.
func (a *Advisor) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := Status{Mode: modes[a.mode.Load()].name, Sample: 1 / float64(uint64(1)<<a.halvings), Switches: a.switches}
	for _, s := range a.shadows {
		if s != nil {
			st.Bytes += s.bytes()
		}
	}
	return st
}

// event is what a policy tells of a sampled key.
type event struct {
	hash   uint64
	weight uint32
	kind   eventKind
}

type eventKind uint8

const (
	eventHit eventKind = iota
	eventMiss
	eventAdmit
	eventReplace
	eventRemove
)

// enrol adds the capacity of a new shard.
func (a *Advisor) enrol(capacity uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resize(a.capacity + capacity)
}

// observe takes a batch of events from a shard whose capacity changed by grown.
func (a *Advisor) observe(events []event, grown int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if grown != 0 {
		a.resize(a.capacity + uint64(grown))
	}
	for i := range events {
		if e := &events[i]; mix(e.hash) <= a.sampled.Load() {
			a.apply(e)
		}
	}
}

// resize gives the shadows their share of a new capacity.
func (a *Advisor) resize(capacity uint64) {
	a.capacity = capacity
	share := max(1, capacity>>a.halvings)
	for i := range a.shadows {
		if a.shadows[i] == nil {
			a.shadows[i] = newShadow(share, &modes[i])
		}
		s := a.shadows[i]
		s.capacity = share
		s.core.resize(share, s.core.mode)
		s.trim()
	}
}

func (a *Advisor) apply(e *event) {
	fits := uint64(e.weight) <= a.shadows[0].capacity/8
	switch e.kind {
	case eventHit, eventMiss:
		found := 0
		for i, s := range a.shadows {
			if s.read(e.hash) {
				found |= 1 << i
			} else if e.kind == eventHit && fits {
				s.store(e.hash, e.weight, false)
			}
		}
		a.count(found)
	case eventAdmit, eventReplace:
		for _, s := range a.shadows {
			if fits {
				s.store(e.hash, e.weight, e.kind == eventReplace)
			} else {
				s.drop(e.hash)
			}
		}
	case eventRemove:
		for _, s := range a.shadows {
			s.drop(e.hash)
		}
	}
	// A hit stores, too: after a warm restart the items are there, and reads alone fill the shadows.
	if a.shadows[modeRecent].core.items() > shadowItems {
		a.halve()
	}
}

// count adds a read that the shadows in the set found answered.
func (a *Advisor) count(found int) {
	if found != 0 && found != 1<<modeCount-1 {
		for i := range a.ahead {
			for j := range a.ahead[i] {
				a.ahead[i][j] += float64(found >> i & 1 &^ (found >> j & 1))
			}
		}
	}
	a.total++
	a.reads++
	if items := a.shadows[modeRecent].core.items(); a.reads >= max(judgeReads, items/judgeEvery) {
		a.judge(items)
	}
}

// judge changes the mode if another one was better for long enough, and fades the evidence.
func (a *Advisor) judge(items int) {
	now := a.mode.Load()
	best, lead := now, max(leadReads*a.total, leadItems*float64(items))
	for m := range uint32(modeCount) {
		won, lost := a.ahead[m][now], a.ahead[now][m]
		if d := won - lost; d > lead && d > leadSigma*math.Sqrt(won+lost) {
			best, lead = m, d
		}
	}
	if best != now {
		a.mode.Store(best)
		a.switches++
	}
	keep := 1 - 1/max(horizon, keepReads/float64(a.reads))
	for i := range a.ahead {
		for j := range a.ahead[i] {
			a.ahead[i][j] *= keep
		}
	}
	a.total *= keep
	a.reads = 0
	if s := a.shadows[modeRecent]; a.halvings > 0 && items < fewItems && s.core.weight() > s.capacity/2 {
		a.restart()
	}
}

// halve makes the sample half as large.
func (a *Advisor) halve() {
	a.halvings++
	a.sampled.Store(math.MaxUint64 >> a.halvings)
	for _, s := range a.shadows {
		s.thin(a.sampled.Load())
	}
	a.resize(a.capacity)
}

// restart samples everything again with empty shadows, since the items have become so large that the sample is too small to tell anything.
func (a *Advisor) restart() {
	a.halvings = 0
	a.sampled.Store(math.MaxUint64)
	a.shadows = [modeCount]*shadow{}
	a.resize(a.capacity)
}

// mix spreads a hash once more, so that the sample, the ghosts' buckets and the engine's use of the hash are independent of each other.
func mix(hash uint64) uint64 {
	hash *= 0x9fb21c651e98df25
	return hash ^ hash>>29
}
