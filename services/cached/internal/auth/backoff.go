package auth

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Policy says how guessing is slowed.
type Policy struct {
	Free   int           // failures that cost nothing
	First  time.Duration // wait after the failure behind them; each further one doubles it
	Most   time.Duration // the longest wait
	Forget time.Duration // without a failure for so long a source starts anew
}

// DefaultPolicy lets a mistyped password pass and leaves a guesser about one try a minute.
func DefaultPolicy() Policy {
	return Policy{Free: 5, First: time.Second, Most: time.Minute, Forget: 10 * time.Minute}
}

const (
	backoffSets = 1024
	backoffWays = 4
)

// Backoff remembers sources that failed to log in. A source is an IPv4 address or the /64 of an IPv6 address, of which a host usually
// has all.
//
// The table holds 4096 sources, in sets of 4 chosen by a seeded hash. When a set is full, the source that would be forgotten first gives way:
// it starts anew, and Displaced counts it. So an attacker with very many addresses can free himself of waits, which he could by changing
// the address as well, but cannot make anybody wait who did not fail.
//
// A Backoff must not be used from two goroutines at once.
type Backoff struct {
	policy    Policy
	seed      maphash.Seed
	sets      [backoffSets][backoffWays]failing
	displaced uint64
}

// failing is a source and its failures; the zero value is a free place.
type failing struct {
	source netip.Addr
	count  int
	last   time.Time // failure
	until  time.Time // it has to wait
}

// NewBackoff returns an empty table, about 400 KiB.
func NewBackoff(p Policy) *Backoff { return &Backoff{policy: p, seed: maphash.MakeSeed()} }

// Wait is how long the source must wait before it may try; 0 when it may now. The invalid address, a unix socket's peer, never waits: who
// may open the socket is decided by its mode.
func (b *Backoff) Wait(source netip.Addr, now time.Time) time.Duration {
	f := b.find(source, now)
	if f == nil {
		return 0
	}
	return max(f.until.Sub(now), 0)
}

// Failed counts a failed login and returns how long the source must wait from now.
func (b *Backoff) Failed(source netip.Addr, now time.Time) time.Duration {
	if !source.IsValid() {
		return 0
	}
	f := b.find(source, now)
	if f == nil {
		f = b.place(source, now)
	}
	f.count++
	f.last = now
	wait := b.policy.wait(f.count)
	f.until = now.Add(wait)
	return wait
}

// Succeeded forgets the source's failures.
func (b *Backoff) Succeeded(source netip.Addr, now time.Time) {
	if f := b.find(source, now); f != nil {
		*f = failing{}
	}
}

// Displaced is how many sources were forgotten early because the table was full.
func (b *Backoff) Displaced() uint64 { return b.displaced }

// Len is the number of sources remembered.
func (b *Backoff) Len(now time.Time) (n int) {
	for i := range b.sets {
		for j := range b.sets[i] {
			if b.lives(&b.sets[i][j], now) {
				n++
			}
		}
	}
	return n
}

func (p Policy) wait(failures int) time.Duration {
	over := failures - p.Free
	if over <= 0 {
		return 0
	}
	wait := p.First
	for ; over > 1 && wait > 0 && wait < p.Most; over-- {
		if wait > p.Most/2 {
			return p.Most
		}
		wait *= 2
	}
	return min(wait, p.Most)
}

// find returns the source's failures, nil when there are none that count.
func (b *Backoff) find(source netip.Addr, now time.Time) *failing {
	source = network(source)
	set := b.set(source)
	for i := range set {
		if set[i].source == source && b.lives(&set[i], now) {
			return &set[i]
		}
	}
	return nil
}

// place makes room for a source that is not there.
func (b *Backoff) place(source netip.Addr, now time.Time) *failing {
	source = network(source)
	set := b.set(source)
	oldest := &set[0]
	for i := range set {
		if !b.lives(&set[i], now) {
			set[i] = failing{source: source}
			return &set[i]
		}
		if set[i].last.Before(oldest.last) {
			oldest = &set[i]
		}
	}
	b.displaced++
	*oldest = failing{source: source}
	return oldest
}

func (b *Backoff) set(source netip.Addr) *[backoffWays]failing {
	return &b.sets[maphash.Comparable(b.seed, source)%backoffSets]
}

func (b *Backoff) lives(f *failing, now time.Time) bool {
	return f.count > 0 && (now.Before(f.until) || now.Sub(f.last) < b.policy.Forget)
}

// network is what counts as one source.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // 64 bits are not too many
	return p.Addr()
}
