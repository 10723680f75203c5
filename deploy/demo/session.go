package demo

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/everup/everup/shared/fault"
)

// sessionLife is how long a session is remembered after its first visit, in seconds.
const sessionLife = 24 * 3600

// Memcached counts in a memcached server.
type Memcached struct{ client *memcache.Client }

// NewMemcached returns sessions kept at addr.
func NewMemcached(addr string) *Memcached {
	c := memcache.New(addr)
	c.Timeout = 500 * time.Millisecond
	c.MaxIdleConns = 64
	return &Memcached{client: c}
}

// Visit increments the session's counter. Two first visits at the same moment count as two: whoever loses the add
// increments.
func (m *Memcached) Visit(_ context.Context, session string) (uint64, error) {
	key := "session:" + session
	for range 2 {
		n, err := m.client.Increment(key, 1)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, memcache.ErrCacheMiss) {
			return 0, fault.Wrap(fault.Unavailable, err, "demo: count a visit")
		}
		err = m.client.Add(&memcache.Item{Key: key, Value: []byte(strconv.Itoa(1)), Expiration: sessionLife})
		if err == nil {
			return 1, nil
		}
		if !errors.Is(err, memcache.ErrNotStored) {
			return 0, fault.Wrap(fault.Unavailable, err, "demo: begin a session")
		}
	}
	return 0, fault.New(fault.Unavailable, "demo: the session's counter comes and goes")
}
