package console

import (
	"context"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

// cache gathers the fleet at most once a second, one question at a time, for all who want it.
type cache struct {
	gather func(context.Context) (Fleet, error)

	mu     sync.Mutex
	fleet  Fleet
	err    error
	at     time.Time
	flight chan struct{} // closed when the question under way is answered; nil: none is
}

// get returns the fleet as it was a second ago at most. Whoever comes first gathers it, also for those who come
// meanwhile, and goes on when its own ctx ends: the others wait for it.
func (c *cache) get(ctx context.Context) (Fleet, error) {
	c.mu.Lock()
	if !c.at.IsZero() && time.Since(c.at) < fleetFresh {
		defer c.mu.Unlock()
		return c.fleet, c.err
	}
	flight := c.flight
	if flight == nil {
		flight = make(chan struct{})
		c.flight = flight
		c.mu.Unlock()
		c.fetch(context.WithoutCancel(ctx), flight)
	} else {
		c.mu.Unlock()
	}
	select {
	case <-flight:
	case <-ctx.Done():
		return Fleet{}, fault.Wrap(fault.Canceled, ctx.Err(), "console: wait for the fleet")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fleet, c.err
}

// fetch asks and tells all who wait, also when gathering panics.
func (c *cache) fetch(ctx context.Context, flight chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fleetWait)
	defer cancel()
	f, err := Fleet{}, error(fault.New(fault.Internal, "console: gathering the fleet panicked"))
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fleet, c.err, c.at, c.flight = f, err, time.Now(), nil
		close(flight)
	}()
	f, err = c.gather(ctx)
}
