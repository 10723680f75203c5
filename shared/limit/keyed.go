package limit

import (
	"time"

	"github.com/everup/everup/shared/fault"
)

// ways is the number of keys of a set: with the shared bucket and its count a set fills two cache lines.
const ways = 7

// load is the number of keys of a set when as many keys as stated are active: so few that hardly one set overflows.
const load = 4

// MaxKeys is the most keys a Keyed can be made for: 512 MiB.
const MaxKeys = 1 << 24

// Keyed limits each of many keys to one rate, within memory fixed when it is made (32 to 64 bytes per key).
//
// It is a table of sets. A key belongs to one set and takes a place in it, its own bucket, when there is one that is
// empty or whose bucket is full, for a full bucket and no bucket are the same. While there is none, the key uses a bucket that
// all such keys of the set share. So when the table is full, nobody who is known gains or loses anything, and the
// unknown are limited together, per set, to one key's rate: more may be refused than the rate says, never less. With as
// many active keys as the table is made for, about one key in a hundred shares its bucket with another.
type Keyed struct {
	rate   Rate
	mask   uint64
	sets   []set
	shared uint64
}

type set struct {
	keys    [ways]uint64
	buckets [ways]Bucket
	common  Bucket
	_       uint64
}

// NewKeyed returns a limiter that gives so many active keys, 1 to MaxKeys, a bucket each. A key is active while its
// bucket is not full.
func NewKeyed(rate Rate, keys int) (*Keyed, error) {
	if keys < 1 || keys > MaxKeys {
		return nil, fault.New(fault.Invalid, "limit: %d keys are not within 1 and %d", keys, MaxKeys)
	}
	n := ceilPow2((keys + load - 1) / load)
	return &Keyed{rate: rate, mask: uint64(n - 1), sets: make([]set, n)}, nil
}

// Allow takes n tokens of the key's bucket if they are there; see Bucket.Allow. It allocates nothing.
func (k *Keyed) Allow(key uint64, now, n int64) (ok bool, wait time.Duration) {
	return k.bucket(key, now).Allow(k.rate, now, n)
}

// Charge takes n tokens of the key's bucket at any rate; see Bucket.Charge.
func (k *Keyed) Charge(key uint64, now, n int64) { k.bucket(key, now).Charge(k.rate, now, n) }

// Tokens returns how many tokens the key has.
func (k *Keyed) Tokens(key uint64, now int64) int64 { return k.bucket(key, now).Tokens(k.rate, now) }

// State returns how many tokens the key has, and how long it takes until its bucket is full when nobody takes any.
func (k *Keyed) State(key uint64, now int64) (tokens int64, full time.Duration) {
	b := k.bucket(key, now)
	return b.Tokens(k.rate, now), time.Duration(b.debt(k.rate, now))
}

// bucket returns the key's bucket.
func (k *Keyed) bucket(key uint64, now int64) *Bucket {
	s := &k.sets[mix(key)&k.mask]
	idle := -1
	for i, stored := range s.keys {
		if stored == key && s.buckets[i].full != 0 {
			return &s.buckets[i]
		}
		if s.buckets[i].Idle(now) {
			idle = i
		}
	}
	if idle < 0 {
		k.shared++
		return &s.common
	}
	// The key may be one that has used the common bucket: it must not get as much again, so it begins with what is
	// left there.
	s.keys[idle], s.buckets[idle] = key, s.common
	return &s.buckets[idle]
}

// SetRate changes the rate of all keys from now on.
func (k *Keyed) SetRate(rate Rate) { k.rate = rate }

// Rate returns the rate of each key.
func (k *Keyed) Rate() Rate { return k.rate }

// Shared returns how many calls have had to use a shared bucket: a metric that says the table is too small.
func (k *Keyed) Shared() uint64 { return k.shared }

// Active counts the keys with a bucket of their own that is not full. It reads the whole table.
func (k *Keyed) Active(now int64) int {
	n := 0
	for i := range k.sets {
		for j := range k.sets[i].buckets {
			if !k.sets[i].buckets[j].Idle(now) {
				n++
			}
		}
	}
	return n
}
