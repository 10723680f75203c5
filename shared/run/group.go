package run

import (
	"context"
	"errors"
	"sync"

	"github.com/everup/everup/shared/fault"
)

// Group owns goroutines. The first that returns an error (or returns nil though it was started by Critical) cancels
// the rest. A panic in one is reported as an error with its stack, not lost. Its methods may be called from several
// goroutines, but Go and Critical not after Wait has returned.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu  sync.Mutex
	err error
}

// NewGroup returns a group whose goroutines get a context derived from ctx. Wait or Cancel must be called in the end,
// or the context leaks.
func NewGroup(ctx context.Context) *Group {
	ctx, cancel := context.WithCancel(ctx)
	return &Group{ctx: ctx, cancel: cancel}
}

// Go starts f under name. A non-nil error other than ctx's own cancels the group.
func (g *Group) Go(name string, f func(ctx context.Context) error) {
	g.wg.Go(func() { g.run(name, f, false) })
}

// Critical is Go for a goroutine that must last as long as the group: its return before the group's context has ended
// is an error, fault.Internal, even when it returns nil.
func (g *Group) Critical(name string, f func(ctx context.Context) error) {
	g.wg.Go(func() { g.run(name, f, true) })
}

func (g *Group) run(name string, f func(ctx context.Context) error, critical bool) {
	err := guard("goroutine "+name, func() error { return f(g.ctx) })
	ended := g.ctx.Err()
	switch {
	case ended != nil && errors.Is(err, ended):
	case err != nil:
		g.fail(named(name, err))
	case critical && ended == nil:
		g.fail(fault.New(fault.Internal, "%s: ended unasked", name))
	}
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.mu.Unlock()
	g.cancel()
}

// Cancel asks all to stop.
func (g *Group) Cancel() { g.cancel() }

// Wait waits for all and returns the first error, wrapped with its goroutine's name. The group's context has ended
// when it returns.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
