package vip

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/state"
	"github.com/everup/everup/shared/vip/internal/wire"
)

const (
	recordFile    = "vips.json"
	recordKind    = "vips"
	recordVersion = 1

	// maxPlaces bounds what is remembered of addresses: twice what a large plan has.
	maxPlaces = 4096
)

// Release says that a VIP takes no part until it is resumed by hand.
type Release struct {
	By    string    `json:"by,omitempty"`
	Since time.Time `json:"since"`
}

// record is what must survive the daemon.
type record struct {
	Epoch    uint64             `json:"epoch"`
	Places   []wire.Place       `json:"places,omitempty"`
	Released map[string]Release `json:"released,omitempty"` // by VIP
}

// keeper keeps the record in the state directory. A change that cannot be written holds all the same as long as the daemon
// lives: addresses are not to stand still because a disk is full. Its methods may be called from several goroutines.
type keeper struct {
	dir    *state.Dir
	failed func(error) // told of each write, nil when it went well

	saveMu sync.Mutex // held while the file is written, so that the last write has the last change; taken before mu

	mu  sync.Mutex // guards rec; never held while the file is written
	rec record
}

// openKeeper reads the record. One that cannot be read is told and begun anew: the epoch follows the clock, leftovers of an
// earlier life are not known, nothing is released.
func openKeeper(dir *state.Dir, failed func(error)) *keeper {
	k := &keeper{dir: dir, failed: failed}
	var rec record
	switch err := dir.Load(recordFile, recordKind, recordVersion, &rec); {
	case err == nil:
		k.rec = rec
	case !errors.Is(err, fault.NotFound):
		failed(err)
	}
	if k.rec.Released == nil {
		k.rec.Released = map[string]Release{}
	}
	return k
}

// change changes the record by f, and saves it if f says that it did.
func (k *keeper) change(f func(rec *record) bool) {
	k.mu.Lock()
	changed := f(&k.rec)
	k.mu.Unlock()
	if !changed {
		return
	}
	k.saveMu.Lock()
	defer k.saveMu.Unlock()
	k.mu.Lock()
	now := record{k.rec.Epoch, slices.Clone(k.rec.Places), maps.Clone(k.rec.Released)}
	k.mu.Unlock()
	k.failed(k.dir.Save(recordFile, recordKind, recordVersion, now))
}

// begin returns the epoch of a child that is about to be started: greater than all before, also when the clock was set back.
func (k *keeper) begin(now time.Time) (epoch uint64) {
	k.change(func(rec *record) bool {
		rec.Epoch = max(rec.Epoch+1, uint64(max(now.Unix(), 0)))
		epoch = rec.Epoch
		return true
	})
	return epoch
}

// planned remembers where addresses are about to be added. Beyond the bound the ones known longest are forgotten.
func (k *keeper) planned(places []wire.Place) {
	k.change(func(rec *record) bool {
		before, known := len(rec.Places), setOf(rec.Places)
		for _, p := range places {
			if !known[p] {
				known[p] = true
				rec.Places = append(rec.Places, p)
			}
		}
		changed := len(rec.Places) > before
		rec.Places = rec.Places[max(len(rec.Places)-maxPlaces, 0):]
		return changed
	})
}

// only forgets all places but these: addresses are nowhere else any more.
func (k *keeper) only(places []wire.Place) {
	k.change(func(rec *record) bool {
		before, stay := len(rec.Places), setOf(places)
		rec.Places = slices.DeleteFunc(rec.Places, func(p wire.Place) bool { return !stay[p] })
		return len(rec.Places) < before
	})
}

func setOf(places []wire.Place) map[wire.Place]bool {
	out := make(map[wire.Place]bool, len(places))
	for _, p := range places {
		out[p] = true
	}
	return out
}

// places returns where addresses may be.
func (k *keeper) places() []wire.Place {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.rec.Places)
}

// release remembers that VIPs were released. One that was before keeps its author and time.
func (k *keeper) release(vips []string, by string, now time.Time) {
	k.change(func(rec *record) (changed bool) {
		for _, v := range vips {
			if _, is := rec.Released[v]; !is {
				rec.Released[v] = Release{By: by, Since: now.UTC().Round(0)}
				changed = true
			}
		}
		return changed
	})
}

// resume forgets that VIPs were released.
func (k *keeper) resume(vips []string) {
	k.change(func(rec *record) bool {
		before := len(rec.Released)
		for _, v := range vips {
			delete(rec.Released, v)
		}
		return len(rec.Released) < before
	})
}

// released returns the VIPs that were released.
func (k *keeper) released() map[string]Release {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.rec.Released)
}
