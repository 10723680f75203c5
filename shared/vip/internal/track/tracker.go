package track

import (
	"context"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/rs/zerolog"
)

const (
	lookEvery = time.Second           // between looks at files, routes and the fleet
	sendGap   = 10 * time.Millisecond // between two rounds of verdicts
	maxValues = 4096                  // names that Set may use
)

// Routes looks up routes of the main table; it is used by one goroutine.
type Routes interface {
	HasRoute(dst netip.Prefix) (bool, error)
	Close() error
}

// Options of a Tracker.
type Options struct {
	Log zerolog.Logger
	// Verdicts gets the verdicts that are other than before, from Run's goroutine.
	Verdicts func([]wire.Verdict)
	Isolated func() bool                                   // asked each second; nil: never
	Routes   func() (Routes, error)                        // opened when a route is tracked; nil: a route is never known
	NewCheck func(cfg probe.Config) (probe.Checker, error) // nil: probe.New
}

// Tracker tracks. Its methods are safe for concurrent use and do not block.
type Tracker struct {
	opt  Options
	wake chan struct{} // holds a token when there is something to be judged

	mu       sync.Mutex // guards what follows
	ready    bool
	isolated bool
	changed  bool // groups is new
	groups   []Group
	found    map[string]Reading // routes, files and checks, by Item.Key
	values   map[string]int
	refused  bool // a value was refused, which has been said
}

// New returns a Tracker of nothing. Run tracks.
func New(o Options) *Tracker {
	return &Tracker{opt: o, wake: make(chan struct{}, 1), found: map[string]Reading{}, values: map[string]int{}}
}

// Configure says what is tracked from now on. What is known of items that stay is kept. All verdicts are made and told
// anew. It keeps groups.
func (t *Tracker) Configure(groups []Group) {
	t.mu.Lock()
	t.groups, t.changed = groups, true
	t.mu.Unlock()
	t.kick()
}

// Ready says that the service serves.
func (t *Tracker) Ready() {
	t.mu.Lock()
	t.ready = true
	t.mu.Unlock()
	t.kick()
}

// Set sets a value of the daemon's own. Beyond 4096 names a new one is refused, and logged once.
func (t *Tracker) Set(name string, n int) {
	t.mu.Lock()
	old, known := t.values[name]
	full := !known && len(t.values) >= maxValues
	say := full && !t.refused
	t.refused = t.refused || full
	if !full {
		t.values[name] = n
	}
	t.mu.Unlock()
	switch {
	case say:
		t.opt.Log.Error().Str("value", name).Int("most", maxValues).Msg("too many values; this one and other new ones cannot be tracked")
	case !full && (!known || old != n):
		t.kick()
	}
}

func (t *Tracker) kick() {
	select {
	case t.wake <- struct{}{}:
	default: // a look is already due
	}
}

// Run tracks until ctx ends.
func (t *Tracker) Run(ctx context.Context) error {
	s := &shell{t: t, told: map[string]wire.Verdict{}, probes: map[string]*target{}}
	s.runner = probe.NewRunner(probe.RunnerOptions{New: t.opt.NewCheck})
	defer s.runner.Close()
	defer s.closeRoutes()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	gap := time.NewTimer(sendGap)
	defer gap.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.look()
		case <-t.wake:
		}
		s.round()
		gap.Reset(sendGap)
		select {
		case <-ctx.Done():
			return nil
		case <-gap.C:
		}
	}
}

// shell is Run's own state.
type shell struct {
	t      *Tracker
	runner *probe.Runner
	routes Routes // nil: not open
	probes map[string]*target
	told   map[string]wire.Verdict
}

// target is a check that runs.
type target struct {
	at   probe.Target
	gone bool // guarded by Tracker.mu: a result that still comes is another's, or nobody's
}

// round judges all groups and hands on what has changed.
func (s *shell) round() {
	if s.configure() {
		s.look()
	}
	if out := s.verdicts(); len(out) > 0 {
		s.t.opt.Verdicts(out)
	}
}

// configure takes over a new configuration, if there is one.
func (s *shell) configure() bool {
	t := s.t
	t.mu.Lock()
	changed, groups := t.changed, t.groups
	t.changed = false
	t.mu.Unlock()
	if !changed {
		return false
	}
	clear(s.told)
	wanted := map[string]*Item{}
	for i := range groups {
		for j := range groups[i].Items {
			wanted[groups[i].Items[j].Key] = &groups[i].Items[j]
		}
	}
	s.forget(wanted)
	for key, it := range wanted {
		if it.Kind == Probe {
			s.addProbe(key, it)
		}
	}
	return true
}

// forget drops what is not wanted any more.
func (s *shell) forget(wanted map[string]*Item) {
	for key, p := range s.probes {
		if it := wanted[key]; it == nil || it.Kind != Probe || it.Target != p.at {
			s.runner.Remove(key)
			delete(s.probes, key)
			s.drop(key, p)
		}
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	maps.DeleteFunc(s.t.found, func(key string, _ Reading) bool { return wanted[key] == nil })
}

func (s *shell) drop(key string, p *target) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	p.gone = true
	delete(s.t.found, key)
}

// addProbe begins to check, or goes on with a check whose configuration may be new.
func (s *shell) addProbe(key string, it *Item) {
	p := s.probes[key]
	if p == nil {
		p = &target{at: it.Target}
		s.probes[key] = p
	}
	name := it.Name
	err := s.runner.Add(key, it.Target, it.Check, func(c probe.Change) {
		if c.From == c.To {
			return
		}
		up := c.To == probe.Up
		if up {
			s.t.opt.Log.Info().Str("check", name).Msg("a tracked check passes")
		} else {
			s.t.opt.Log.Warn().Str("check", name).Str("detail", c.Result.Detail).Msg("a tracked check fails")
		}
		s.t.checked(key, p, up)
	})
	if err != nil {
		s.t.opt.Log.Error().Err(err).Str("check", name).Msg("a tracked check cannot be made")
		s.set(key, Reading{Why: "cannot be made"})
	}
}

// checked takes a check's result.
func (t *Tracker) checked(key string, p *target, up bool) {
	r := Reading{Known: true}
	if up {
		r.N = 1
	}
	t.mu.Lock()
	if !p.gone {
		t.found[key] = r
	}
	t.mu.Unlock()
	t.kick()
}

// set keeps a reading.
func (s *shell) set(key string, r Reading) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.found[key] = r
}

// look looks at what tells nothing by itself.
func (s *shell) look() {
	t := s.t
	t.mu.Lock()
	groups := t.groups
	t.mu.Unlock()
	seen := map[string]bool{}
	for i := range groups {
		for j := range groups[i].Items {
			it := &groups[i].Items[j]
			if seen[it.Key] {
				continue
			}
			seen[it.Key] = true
			switch it.Kind {
			case File:
				s.set(it.Key, readFile(it.Name))
			case Route:
				s.set(it.Key, s.lookUp(it.Route))
			}
		}
	}
	isolated := t.opt.Isolated != nil && t.opt.Isolated()
	t.mu.Lock()
	t.isolated = isolated
	t.mu.Unlock()
}

// lookUp looks up a route. After an error what answers is opened anew the next time.
func (s *shell) lookUp(p netip.Prefix) Reading {
	there, err := false, fault.New(fault.Unsupported, "routes cannot be looked up")
	if s.routes == nil && s.t.opt.Routes != nil {
		s.routes, err = s.t.opt.Routes()
	}
	if s.routes != nil {
		there, err = s.routes.HasRoute(p)
	}
	switch {
	case err != nil:
		s.closeRoutes()
		return Reading{Why: err.Error()}
	case there:
		return Reading{Known: true, N: 1}
	}
	return Reading{Known: true}
}

func (s *shell) closeRoutes() {
	if s.routes != nil {
		s.routes.Close()
		s.routes = nil
	}
}

// verdicts judges all groups and returns what is other than before.
func (s *shell) verdicts() (out []wire.Verdict) {
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed {
		return nil // the round after this judges what is wanted now
	}
	for i := range t.groups {
		g := &t.groups[i]
		v := Judge(g, State{Ready: t.ready, Isolated: t.isolated}, t.readingLocked)
		if old, told := s.told[g.Name]; !told || !reflect.DeepEqual(old, v) {
			s.told[g.Name] = v
			out = append(out, v)
		}
	}
	return out
}

// valuePrefix begins the Key of an Item of a value, which is not kept among what was found.
const valuePrefix = "value "

// ValueKey returns the Key of an Item that looks at a value.
func ValueKey(name string) string { return valuePrefix + name }

func (t *Tracker) readingLocked(key string) Reading {
	if name, ok := strings.CutPrefix(key, valuePrefix); ok {
		n, known := t.values[name]
		return Reading{Known: known, N: n}
	}
	return t.found[key]
}
