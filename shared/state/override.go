package state

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

// MaxOverrides is how many overrides a daemon keeps.
const MaxOverrides = 1024

// maxOverrideText bounds each text of an override, in bytes.
const maxOverrideText = 1024

const (
	overridesFile    = "overrides.json"
	overridesKind    = "overrides"
	overridesVersion = 1
)

// Override is an operator's change at run time that is not configuration: drain, weight, maintenance.
// It is named, has an author and a reason, and expires.
type Override struct {
	Object  string    `json:"object"` // "pool/web/member/10.0.0.1:80"
	Field   string    `json:"field"`  // "state", "weight"
	Value   string    `json:"value"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires,omitzero"` // zero: until cleared
}

// InForce tells whether the override holds at now. One that has a start in the future (the clock was set back) holds.
func (v *Override) InForce(now time.Time) bool { return v.Expires.IsZero() || now.Before(v.Expires) }

func (v *Override) check() error {
	for _, s := range []string{v.Object, v.Field, v.Value, v.Reason, v.By} {
		if len(s) > maxOverrideText {
			return fault.New(fault.Invalid, "state: set override: a text of %d bytes, at most %d", len(s), maxOverrideText)
		}
	}
	switch {
	case v.Object == "" || v.Field == "":
		return fault.New(fault.Invalid, "state: set override: object and field are needed")
	case v.Since.IsZero():
		return fault.New(fault.Invalid, "state: set override of %s %s: since is needed", v.Object, v.Field)
	case !v.InForce(v.Since):
		return fault.New(fault.Invalid, "state: set override of %s %s: expires %s, not after %s",
			v.Object, v.Field, v.Expires.Format(time.RFC3339), v.Since.Format(time.RFC3339))
	}
	return nil
}

// overrideKey is what an override is about; there is one for each.
type overrideKey struct{ object, field string }

func (v *Override) key() overrideKey { return overrideKey{v.Object, v.Field} }

func (v *Override) compare(w *Override) int {
	return cmp.Or(cmp.Compare(v.Object, w.Object), cmp.Compare(v.Field, w.Field))
}

// Overrides is the durable set of a daemon's overrides, at most MaxOverrides. Its methods may be called from several
// goroutines.
type Overrides struct {
	dir *Dir

	mu  sync.Mutex // also held while the file is written: writes happen in the order of the changes
	all map[overrideKey]Override
}

// OpenOverrides reads the overrides kept in d. Where the file is damaged it returns fault.Corrupt together with an
// empty, usable set: the daemon decides whether it goes on without them.
func OpenOverrides(d *Dir) (*Overrides, error) {
	o := &Overrides{dir: d, all: make(map[overrideKey]Override)}
	var list []Override
	if err := d.Load(overridesFile, overridesKind, overridesVersion, &list); err != nil {
		if errors.Is(err, fault.NotFound) {
			return o, nil
		}
		return o, err
	}
	for _, v := range list {
		o.all[v.key()] = v
	}
	return o, nil
}

// Set adds v, or replaces the one for the same object and field, and returns once it is on disk. v.Since is the present
// time: those expired by then are dropped first. fault.Full when there still are MaxOverrides others, fault.Invalid for
// an override without object, field or Since, or one already expired. On an error the set is as it was.
func (o *Overrides) Set(v Override) error {
	if err := v.check(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	next := maps.Clone(o.all)
	maps.DeleteFunc(next, func(_ overrideKey, w Override) bool { return !w.InForce(v.Since) })
	next[v.key()] = v
	if len(next) > MaxOverrides {
		return fault.New(fault.Full, "state: set override of %s %s: there are %d already", v.Object, v.Field, MaxOverrides)
	}
	return o.saveLocked(next)
}

// Clear drops the override of field of object and returns once that is on disk; fault.NotFound where there is none.
func (o *Overrides) Clear(object, field string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := overrideKey{object, field}
	if _, ok := o.all[k]; !ok {
		return fault.New(fault.NotFound, "state: clear override: none of %s %s", object, field)
	}
	next := maps.Clone(o.all)
	delete(next, k)
	return o.saveLocked(next)
}

func (o *Overrides) saveLocked(next map[overrideKey]Override) error {
	if err := o.dir.Save(overridesFile, overridesKind, overridesVersion, sorted(next)); err != nil {
		return err
	}
	o.all = next
	return nil
}

func sorted(all map[overrideKey]Override) []Override {
	return slices.SortedFunc(maps.Values(all), func(v, w Override) int { return v.compare(&w) })
}

// List returns those in force at now, sorted by object and field; expired ones are forgotten. The file forgets them at
// the next change.
func (o *Overrides) List(now time.Time) []Override {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.all, func(_ overrideKey, v Override) bool { return !v.InForce(now) })
	return sorted(o.all)
}

// Get returns the value in force at now.
func (o *Overrides) Get(now time.Time, object, field string) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.all[overrideKey{object, field}]
	if !ok || !v.InForce(now) {
		return "", false
	}
	return v.Value, true
}
