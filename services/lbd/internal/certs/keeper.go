package certs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/health"
)

// Env is what a Keeper needs.
type Env struct {
	Keys   Deriver // of tickets
	Health *health.Registry
	// Event is told what happened, in order. It must not block, nor ask the Keeper to do anything.
	Event func(Event)
}

// Keeper holds all fronts and backs, and keeps them in step with their files. Safe for concurrent use.
type Keeper struct {
	env     Env
	unknown atomic.Uint64

	busy sync.Mutex // one look or reload at a time; taken before mu

	mu     sync.Mutex // guards what follows, and is not held while files are read
	fronts map[string]*Front
	backs  map[string]*Back
}

// NewKeeper returns a keeper of nothing.
func NewKeeper(env Env) *Keeper {
	return &Keeper{env: env, fronts: map[string]*Front{}, backs: map[string]*Back{}}
}

// Front returns the front of the name, nil if there is none.
func (k *Keeper) Front(name string) *Front {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fronts[name]
}

// Back returns how the members of the pool are met, nil if that is without TLS.
func (k *Keeper) Back(pool string) *Back {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.backs[pool]
}

// Unknown returns how many clients asked for a name that there is no certificate for, or for none.
func (k *Keeper) Unknown() uint64 { return k.unknown.Load() }

// Prepare reads the files of a new configuration: fronts by name, backs by pool. Nothing changes before commit is called, which cannot fail.
// What is named alone and cannot be used is returned as it is by Check, and there is no commit.
func (k *Keeper) Prepare(fronts map[string]Options, backs map[string]BackOptions) (commit func(), problems map[string][]Problem) {
	now := time.Now()
	k.busy.Lock()
	defer k.busy.Unlock()
	had, hadBacks := k.states()
	problems = map[string][]Problem{}
	states := map[string]*state{}
	for name, o := range fronts {
		states[name] = prepare(name, k.env.Keys, had[name], o, now, true)
		if bad := broken(states[name].problems()); len(bad) > 0 {
			problems["tls."+name] = bad
		}
	}
	backStates := map[string]*backState{}
	for pool, o := range backs {
		backStates[pool] = prepareBack(hadBacks[pool], o, now)
		if bad := broken(backStates[pool].problems()); len(bad) > 0 {
			problems["pools."+pool+".tls"] = bad
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return func() { k.commit(states, backStates) }, nil
}

// states returns what is in force.
func (k *Keeper) states() (map[string]*state, map[string]*backState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fronts, backs := map[string]*state{}, map[string]*backState{}
	for name, f := range k.fronts {
		fronts[name] = f.state
	}
	for pool, b := range k.backs {
		backs[pool] = b.state
	}
	return fronts, backs
}

// broken returns the problems that a configuration is refused for.
func broken(all []Problem) []Problem {
	return slices.DeleteFunc(all, func(p Problem) bool { return p.Kind != Broken })
}

func (k *Keeper) commit(fronts map[string]*state, backs map[string]*backState) {
	k.busy.Lock()
	defer k.busy.Unlock()
	k.mu.Lock()
	for name := range k.fronts {
		if fronts[name] == nil {
			delete(k.fronts, name) // who has it still may use it: what it knows ages
			k.forget(frontItems(name))
		}
	}
	for pool := range k.backs {
		if backs[pool] == nil {
			delete(k.backs, pool)
			k.forget(backItems(pool))
		}
	}
	k.setLocked(fronts, backs)
	events := k.reportLocked(time.Now())
	k.mu.Unlock()
	k.tell(events)
}

// setLocked puts states in force.
func (k *Keeper) setLocked(fronts map[string]*state, backs map[string]*backState) {
	for name, s := range fronts {
		f := k.fronts[name]
		if f == nil {
			f = newFront(name, k.env.Keys, &k.unknown)
			k.fronts[name] = f
		}
		f.state = s
		f.now.Store(s.now)
	}
	for pool, s := range backs {
		b := k.backs[pool]
		if b == nil {
			b = new(Back)
			k.backs[pool] = b
		}
		b.state = s
		b.now.Store(s.now)
	}
}

const (
	lookEvery = time.Second
	lookShare = 100 // a look takes at most a hundredth of the time
)

// Run looks at the files until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	next := time.NewTimer(lookEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		began := time.Now()
		k.Look(began)
		next.Reset(max(lookEvery, lookShare*time.Since(began)))
	}
}

// Look looks at all files once, and at the time: what has changed comes into force.
func (k *Keeper) Look(now time.Time) {
	k.busy.Lock()
	defer k.busy.Unlock()
	fronts, backs := k.states()
	var events []Event
	for name, had := range fronts {
		fronts[name] = prepare(name, k.env.Keys, had, had.o, now, false)
		events = append(events, replaced(name, had, fronts[name])...)
	}
	for pool, had := range backs {
		backs[pool] = prepareBack(had, had.o, now)
	}
	k.mu.Lock()
	k.setLocked(fronts, backs)
	events = append(events, k.reportLocked(now)...)
	k.mu.Unlock()
	k.tell(events)
}

func (k *Keeper) tell(events []Event) {
	if k.env.Event == nil {
		return
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.Section, b.Section) })
	for _, e := range events {
		k.env.Event(e)
	}
}

// reportLocked sets the health items and returns what is to be told.
func (k *Keeper) reportLocked(now time.Time) []Event {
	var events []Event
	for _, name := range slices.Sorted(maps.Keys(k.fronts)) {
		s := k.fronts[name].state
		events = append(events, s.events(name, now)...)
		k.frontHealth(name, s, now)
	}
	for _, pool := range slices.Sorted(maps.Keys(k.backs)) {
		s := k.backs[pool].state
		events = append(events, s.events(pool, now)...)
		k.backHealth(pool, s, now)
	}
	return events
}

// Check reads the files of a front and returns what is wrong with them, for a check of the configuration. The kinds tell what would be refused.
func Check(o Options, now time.Time) []Problem {
	return prepare("", noKeys{}, nil, withoutTickets(o), now, true).problems()
}

// CheckBack is Check for a Back.
func CheckBack(o BackOptions, now time.Time) []Problem { return prepareBack(nil, o, now).problems() }

// noKeys stands where no ticket is made.
type noKeys struct{}

func (noKeys) Derive(string, int) [][]byte { return nil }

func withoutTickets(o Options) Options {
	o.Tickets.Off = true
	return o
}
