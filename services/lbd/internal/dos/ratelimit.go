package dos

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/everup/everup/shared/limit"
)

// Limit is a rate for each of many keys (limit.Keyed), for any number of goroutines. Its memory is fixed: 32 to 64 bytes for each of the keys
// that it is made for. When more are active, those without a place of their own share one: some are refused too much, none too little.
type Limit struct {
	seed   maphash.Seed
	shards []*limitShard
}

type limitShard struct {
	mu sync.Mutex
	k  *limit.Keyed
	_  [112]byte // as in shard
}

const limitShards = 16

// NewLimit returns a limit for so many keys, each of which begins with a full burst. The error is that of limit.NewKeyed.
func NewLimit(r limit.Rate, keys int) (*Limit, error) {
	l := &Limit{seed: maphash.MakeSeed()}
	for range limitShards {
		k, err := limit.NewKeyed(r, max(keys/limitShards, 1))
		if err != nil {
			return nil, err
		}
		l.shards = append(l.shards, &limitShard{k: k})
	}
	return l, nil
}

// SetRate changes the rate from now on.
func (l *Limit) SetRate(r limit.Rate) {
	for _, s := range l.shards {
		s.mu.Lock()
		s.k.SetRate(r)
		s.mu.Unlock()
	}
}

// Grant is the answer of a Limit.
type Grant struct {
	OK   bool
	Wait time.Duration // until one more is allowed, if not OK
	Left int64         // how many more are allowed now
	Full time.Duration // until the burst is full again, about
}

// Take asks for one request of the key, at a time as package limit has it.
func (l *Limit) Take(key []byte, now int64) (g Grant) {
	hash := maphash.Bytes(l.seed, key)
	s := l.shards[hash>>60]
	s.mu.Lock()
	g.OK, g.Wait = s.k.Allow(hash, now, 1)
	g.Left, g.Full = s.k.State(hash, now)
	s.mu.Unlock()
	return g
}

// Shared returns how many requests had to share a place: the limit is made for too few keys.
func (l *Limit) Shared() (n uint64) {
	for _, s := range l.shards {
		s.mu.Lock()
		n += s.k.Shared()
		s.mu.Unlock()
	}
	return n
}
