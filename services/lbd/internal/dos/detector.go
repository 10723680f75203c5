package dos

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Options of a Detector.
type Options struct {
	Settings
	Nets   Nets           // how much of an address is a key
	Values bool           // keys are made of a header's values, too
	Keys   int            // room for so many keys, at least
	Exempt []netip.Prefix // these clients are not counted, and held for nothing
}

func (o *Options) exempt(a netip.Addr) bool {
	for i := range o.Exempt {
		if o.Exempt[i].Contains(a) {
			return true
		}
	}
	return false
}

// sameKeys reports whether what was counted by o means the same by n.
func (o *Options) sameKeys(n *Options) bool {
	return o.Nets == n.Nets && o.Keys == n.Keys && o.Period == n.Period
}

const (
	maxShards  = 64
	shardKeys  = 1024 // at least in each shard
	scanAtOnce = 32   // sets under one hold of a shard's lock
)

// Detector finds out who asks too much. Its methods may be called by any number of goroutines; a time is as package limit has it, of
// one clock for all. Until Configure, and after Off, it counts nobody.
type Detector struct {
	seed  maphash.Seed
	cur   atomic.Pointer[detection]
	feeds feeds

	suspects, hards, evicted, untracked atomic.Uint64

	configure sync.Mutex
}

// detection is a Detector's work by one set of options.
type detection struct {
	o      Options
	shards []*shard
	shift  uint
}

type shard struct {
	mu sync.Mutex
	t  *Table
	_  [112]byte // no two locks on a line, nor on the one the processor fetches with it
}

// NewDetector returns a detector that counts nobody yet.
func NewDetector() *Detector { return &Detector{seed: maphash.MakeSeed()} }

// Configure counts by o from now on. What keys are held for stays, as far as o has the same keys; counts stay if period and room do, too.
func (d *Detector) Configure(o Options, now int64) {
	d.configure.Lock()
	defer d.configure.Unlock()
	old := d.cur.Load()
	if old != nil && old.o.sameKeys(&o) {
		for _, s := range old.shards {
			s.mu.Lock()
			s.t.s = o.Settings
			s.mu.Unlock()
		}
		d.cur.Store(&detection{o, old.shards, old.shift})
		return
	}
	c := &detection{o: o, shift: 64}
	n := 1
	for n < maxShards && n*shardKeys < o.Keys {
		n *= 2
		c.shift--
	}
	for range n {
		c.shards = append(c.shards, &shard{t: NewTable(o.Settings, (o.Keys+n-1)/n)})
	}
	held := d.Offenders(None, now)
	d.cur.Store(c)
	for _, f := range held {
		d.merge(c, f.Key, f.Level, f.Until, f.Origin, now)
	}
}

// Off forgets all and counts nobody.
func (d *Detector) Off() {
	d.configure.Lock()
	defer d.configure.Unlock()
	d.cur.Store(nil)
}

// Key returns whom a request counts for: its value, if there is one, else its client. The zero Key is for those who do not count.
func (d *Detector) Key(client netip.Addr, value []byte) Key {
	c := d.cur.Load()
	switch {
	case c == nil, c.o.exempt(client):
		return Key{}
	case len(value) > 0:
		return ValueKey(value)
	}
	return c.o.Nets.Key(client)
}

// at returns the key's shard, locked, and its hash; false if nobody is counted.
func (d *Detector) at(c *detection, k Key) (s *shard, hash uint64, ok bool) {
	if c == nil || !k.Valid() {
		return nil, 0, false
	}
	hash = k.hash(d.seed)
	s = c.shards[hash>>c.shift]
	s.mu.Lock()
	return s, hash, true
}

// Count counts a request and returns what its key is held for with it.
func (d *Detector) Count(k Key, now int64) Level {
	s, hash, ok := d.at(d.cur.Load(), k)
	if !ok {
		return None
	}
	o := s.t.Count(hash, k, now)
	s.mu.Unlock()
	d.did(k, &o, Counted)
	return o.Level
}

// Undo takes back a request that was counted at the time at.
func (d *Detector) Undo(k Key, at, now int64) {
	s, hash, ok := d.at(d.cur.Load(), k)
	if !ok {
		return
	}
	o := s.t.Undo(hash, k, at, now)
	s.mu.Unlock()
	d.did(k, &o, Counted)
}

// Hold holds a key for a level, for so long at least. A key that the detector does not know by its options, or that is exempt, is fault.Invalid; one
// that there is no place for is fault.Full.
func (d *Detector) Hold(k Key, l Level, lasts time.Duration, by Origin, now int64) error {
	c := d.cur.Load()
	if err := c.takes(k); err != nil {
		return err
	}
	o := d.merge(c, k, l, now+int64(lasts), by, now)
	d.did(k, &o, by)
	if o.Untracked {
		return fault.New(fault.Full, "dos: there is no room for %s among those who are held", k)
	}
	return nil
}

func (d *Detector) merge(c *detection, k Key, l Level, until int64, by Origin, now int64) (o Outcome) {
	if c.takes(k) != nil {
		return o
	}
	s, hash, _ := d.at(c, k)
	defer s.mu.Unlock()
	return s.t.Merge(hash, k, l, until, by, now)
}

// takes returns why the key is none of this detection's.
func (c *detection) takes(k Key) error {
	p, isNet := k.Prefix()
	switch {
	case c == nil:
		return fault.New(fault.Invalid, "dos: there is no section dos")
	case !k.Valid():
		return fault.New(fault.Invalid, "dos: no key")
	case !isNet && !c.o.Values:
		return fault.New(fault.Invalid, "dos: no header's values are counted")
	case !isNet:
		return nil
	case c.o.Nets.Key(p.Addr()) != k:
		return fault.New(fault.Invalid, "dos: clients are counted by networks of %d and %d bits, %s is none", c.o.Nets.V4, c.o.Nets.V6, k)
	case slices.ContainsFunc(c.o.Exempt, func(e netip.Prefix) bool { return e.Overlaps(p) && e.Bits() <= p.Bits() }):
		return fault.New(fault.Invalid, "dos: %s is exempt", k)
	}
	return nil
}

// Whole returns the key that k, an address, is counted as.
func (d *Detector) Whole(k Key) Key {
	p, isNet := k.Prefix()
	c := d.cur.Load()
	if c == nil || !isNet || !p.IsSingleIP() {
		return k
	}
	return c.o.Nets.Key(p.Addr())
}

// Lift ends what a key is held for and forgets its count; false if it was held for nothing.
func (d *Detector) Lift(k Key, by Origin, now int64) bool {
	s, hash, ok := d.at(d.cur.Load(), k)
	if !ok {
		return false
	}
	o := s.t.Lift(hash, k, now)
	s.mu.Unlock()
	d.did(k, &o, by)
	return o.Before > None
}

// withdraw is Lift for what another balancer has told and takes back.
func (d *Detector) withdraw(k Key, now int64) {
	s, hash, ok := d.at(d.cur.Load(), k)
	if !ok {
		return
	}
	o := s.t.Withdraw(hash, k, now)
	s.mu.Unlock()
	d.did(k, &o, Shared)
}

// Level returns what a key is held for.
func (d *Detector) Level(k Key, now int64) Level {
	s, hash, ok := d.at(d.cur.Load(), k)
	if !ok {
		return None
	}
	defer s.mu.Unlock()
	return s.t.Level(hash, k, now)
}

// did counts and tells what a step has done.
func (d *Detector) did(k Key, o *Outcome, by Origin) {
	switch {
	case o.Untracked:
		d.untracked.Add(1)
		return
	case o.Evicted:
		d.evicted.Add(1)
	}
	if !o.Changed() {
		return
	}
	if o.Before < Suspect && o.Level >= Suspect {
		d.suspects.Add(1)
	}
	if o.Before < Hard && o.Level == Hard {
		d.hards.Add(1)
	}
	d.feeds.tell(Change{Key: k, Before: o.Before, Level: o.Level, Until: o.Until, Count: o.Count, By: by})
}

// Offenders returns the keys that are held for a level at least, the highest level first, then the longest. It looks at the whole table, a
// few places at a time.
func (d *Detector) Offenders(least Level, now int64) []Offender {
	var out []Offender
	d.scan(now, func(o Offender) {
		if o.Level >= least {
			out = append(out, o)
		}
	})
	slices.SortFunc(out, func(a, b Offender) int { return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(b.Until, a.Until)) })
	return out
}

func (d *Detector) scan(now int64, f func(Offender)) (u Use) {
	c := d.cur.Load()
	if c == nil {
		return u
	}
	for _, s := range c.shards {
		for i := 0; i < len(s.t.sets); i += scanAtOnce {
			s.mu.Lock()
			s.t.scan(i, scanAtOnce, now, &u, f)
			s.mu.Unlock()
		}
	}
	return u
}

// Use looks at the whole table, a few places at a time.
func (d *Detector) Use(now int64) Use { return d.scan(now, func(Offender) {}) }

// Keys returns how many keys there is room for.
func (d *Detector) Keys() int {
	c := d.cur.Load()
	if c == nil {
		return 0
	}
	return len(c.shards) * c.shards[0].t.Keys()
}

// Counts are what a Detector has done.
type Counts struct {
	Suspects  uint64 // times that a key rose to a level from below suspect
	Hard      uint64 // times that a key rose to hard
	Evicted   uint64 // keys forgotten for others
	Untracked uint64 // requests not counted, as all places for their key are of keys that are held
}

// Counts returns what was done.
func (d *Detector) Counts() Counts {
	return Counts{d.suspects.Load(), d.hards.Load(), d.evicted.Load(), d.untracked.Load()}
}
