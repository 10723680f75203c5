package dos

import (
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
	Share  bool           // levels are told to other balancers, and theirs believed
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
	name  string
	seed  maphash.Seed
	cur   atomic.Pointer[detection]
	feeds *feeds
	_     [128]byte // what stands before is read for each request, and not written; what follows is

	suspects, hards, changes atomic.Uint64

	configure sync.Mutex // also of what must not come between two looks at what is held
	past      Counts     // of shards that are gone
}

// detection is a Detector's work by one set of options.
type detection struct {
	o      Options
	shards []*shard
	shift  uint
}

type shard struct {
	mu                 sync.Mutex
	t                  *Table
	evicted, untracked uint64
	gone               bool     // others count in its place
	_                  [88]byte // no two locks on a line, nor on the one the processor fetches with it
}

// NewDetector returns a detector of a name that counts nobody yet.
func NewDetector(name string) *Detector { return newDetector(name, new(feeds)) }

func newDetector(name string, f *feeds) *Detector {
	return &Detector{name: name, seed: maphash.MakeSeed(), feeds: f}
}

// Name returns its name.
func (d *Detector) Name() string { return d.name }

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
		c := &detection{o, old.shards, old.shift}
		d.cur.Store(c)
		d.release(c, now)
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
	d.move(old, c, now) // before anybody looks at the new ones, so that nobody is free for a moment
	d.cur.Store(c)
	d.leave(old)
	d.move(old, c, now) // who rose since the first look
}

// release lets go of keys that are held and are none any more, as they are exempt.
func (d *Detector) release(c *detection, now int64) {
	c.standings(now, func(some []Standing) {
		for i := range some {
			if k := some[i].Key; c.takes(k) != nil {
				s, hash := d.at(k)
				o := s.t.Lift(hash, k, now)
				s.mu.Unlock()
				d.did(k, &o, Shared) // others have exemptions of their own
			}
		}
	})
}

// leave has whoever still comes to a detection that is not in force turn to the one that is.
func (d *Detector) leave(c *detection) {
	if c == nil {
		return
	}
	for _, s := range c.shards {
		s.mu.Lock()
		s.gone = true
		d.past.Evicted += s.evicted
		d.past.Untracked += s.untracked
		s.evicted, s.untracked = 0, 0
		s.mu.Unlock()
	}
}

// move has the keys that are held by one detection held by another, as far as they are keys there.
func (d *Detector) move(from, to *detection, now int64) {
	from.standings(now, func(some []Standing) {
		for i := range some {
			d.adopt(to, &some[i], now)
		}
	})
}

// Off forgets all and counts nobody.
func (d *Detector) Off() {
	d.configure.Lock()
	defer d.configure.Unlock()
	old := d.cur.Load()
	d.cur.Store(nil)
	d.leave(old)
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

// at returns the key's shard, locked, and its hash; nil if nobody is counted.
func (d *Detector) at(k Key) (s *shard, hash uint64) {
	if !k.Valid() {
		return nil, 0
	}
	hash = k.hash(d.seed)
	for {
		c := d.cur.Load()
		if c == nil {
			return nil, 0
		}
		s = c.shards[hash>>c.shift]
		s.mu.Lock()
		if !s.gone {
			return s, hash
		}
		s.mu.Unlock()
	}
}

// Count counts a request and returns what its key is held for with it.
func (d *Detector) Count(k Key, now int64) Level {
	s, hash := d.at(k)
	if s == nil {
		return None
	}
	o := s.t.Count(hash, k, now)
	s.note(&o)
	s.mu.Unlock()
	d.did(k, &o, Counted)
	return o.Level
}

// Undo takes back a request that was counted at the time at.
func (d *Detector) Undo(k Key, at, now int64) {
	s, hash := d.at(k)
	if s == nil {
		return
	}
	o := s.t.Undo(hash, k, at, now)
	s.mu.Unlock()
	d.did(k, &o, Counted)
}

// Hold holds a key for a level, for so long at least. A key that the detector does not know by its options, or that is exempt, is fault.Invalid; one
// that there is no place for is fault.Full.
func (d *Detector) Hold(k Key, l Level, lasts time.Duration, by Origin, now int64) error {
	if err := d.cur.Load().takes(k); err != nil {
		return err
	}
	d.configure.Lock()
	defer d.configure.Unlock()
	s, hash := d.at(k)
	if s == nil {
		return fault.New(fault.Invalid, "dos: nobody is counted")
	}
	o := s.t.Merge(hash, k, l, now+int64(lasts), by, now)
	s.note(&o)
	s.mu.Unlock()
	d.did(k, &o, by)
	if o.Untracked {
		return fault.New(fault.Full, "dos: there is no room for %s among those who are held", k)
	}
	return nil
}

// adopt holds a key as another table does.
func (d *Detector) adopt(c *detection, h *Standing, now int64) (o Outcome, ok bool) {
	if c.takes(h.Key) != nil {
		return o, false
	}
	hash := h.Key.hash(d.seed)
	s := c.shards[hash>>c.shift]
	s.mu.Lock()
	defer s.mu.Unlock()
	o = s.t.adopt(hash, h, now)
	s.note(&o)
	return o, true
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
	return d.end(k, by, now, (*Table).Lift)
}

// withdraw is Lift for what another balancer has told and takes back.
func (d *Detector) withdraw(k Key, now int64) { d.end(k, Shared, now, (*Table).Withdraw) }

func (d *Detector) end(k Key, by Origin, now int64, how func(*Table, uint64, Key, int64) Outcome) bool {
	d.configure.Lock()
	defer d.configure.Unlock()
	s, hash := d.at(k)
	if s == nil {
		return false
	}
	o := how(s.t, hash, k, now)
	s.mu.Unlock()
	d.did(k, &o, by)
	return o.Before > None
}

// Level returns what a key is held for.
func (d *Detector) Level(k Key, now int64) Level {
	s, hash := d.at(k)
	if s == nil {
		return None
	}
	l := s.t.Level(hash, k, now)
	s.mu.Unlock()
	return l
}

// note counts what a step has done, under the shard's lock.
func (s *shard) note(o *Outcome) {
	switch {
	case o.Untracked:
		s.untracked++
	case o.Evicted:
		s.evicted++
	}
}

// did counts and tells what a step has done.
func (d *Detector) did(k Key, o *Outcome, by Origin) {
	if !o.Changed() {
		return
	}
	d.changes.Add(1)
	if o.Before < Suspect && o.Level >= Suspect {
		d.suspects.Add(1)
	}
	if o.Before < Hard && o.Level == Hard {
		d.hards.Add(1)
	}
	d.feeds.tell(Change{Detector: d.name, Key: k, Before: o.Before, Level: o.Level, Until: o.Until, Count: o.Count, By: by})
}

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
	d.configure.Lock()
	defer d.configure.Unlock()
	out := d.past
	out.Suspects, out.Hard = d.suspects.Load(), d.hards.Load()
	if c := d.cur.Load(); c != nil {
		for _, s := range c.shards {
			s.mu.Lock()
			out.Evicted += s.evicted
			out.Untracked += s.untracked
			s.mu.Unlock()
		}
	}
	return out
}

// Changes returns how often a level has changed or was prolonged.
func (d *Detector) Changes() uint64 { return d.changes.Load() }
