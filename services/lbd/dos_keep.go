package lbd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

const (
	dosFile  = "dos"            // in the state directory: dos.Snapshot
	dosEvery = 30 * time.Second // a crash loses the levels that began within this time
)

// keeper keeps who is held in a file, so that restarts and upgrades let nobody go. Loops do not wait for it: it looks at a few clients at a
// time, and writes by a goroutine of its own.
//
// One process at a time writes: it begins when the one before has stepped aside, and has written all it knew, and ends when it steps
// aside itself.
type keeper struct {
	set  *dos.Set
	now  func() int64
	dir  *state.Dir
	log  zerolog.Logger
	item *health.Item

	mu    sync.Mutex // also held while the file is written
	own   bool       // this process writes the file
	saved uint64     // Set.Changes when it was written
	found *dos.Snapshot
}

// load holds whom the file tells of. Without one, or with one that is damaged, nobody is held.
func (k *keeper) load() {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := k.dir.ReadFile(dosFile)
	if errors.Is(err, fault.NotFound) {
		return
	}
	var s *dos.Snapshot
	if err == nil {
		s, err = dos.DecodeSnapshot(b)
	}
	if err != nil {
		k.log.Error().Err(err).Str("file", dosFile).Msg("who was suspect or hard is lost: nobody is held")
		return
	}
	now := k.now()
	if k.found != nil {
		k.set.Forget(k.found, s, now)
	}
	k.found = s
	if n := k.set.Restore(s, now, time.Now()); n > 0 {
		k.log.Info().Int("clients", n).Time("since", s.Taken).Msg("clients are held that were so before")
	}
}

// begin has this process write the file from now on. Where there was one before it, that has written it once more.
func (k *keeper) begin(successor bool) {
	if successor {
		k.load()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own, k.found = true, nil
}

// leave writes the file for the last time.
func (k *keeper) leave() {
	k.save()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own = false
}

// run writes the file when somebody's level has changed, and at the end.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(dosEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			k.save()
			return
		case <-tick.C:
			k.save()
		}
	}
}

// save writes the file if something has changed, and it is this process's.
func (k *keeper) save() {
	k.mu.Lock()
	defer k.mu.Unlock()
	changes := k.set.Changes()
	if !k.own || changes == k.saved {
		return
	}
	if err := k.dir.WriteFile(dosFile, k.set.Snapshot(k.now(), time.Now()).Encode()); err != nil {
		k.item.Warn(err.Error(), "is the disk full, and may lbd write to its state directory? Until then a restart lets clients go that are held")
		return
	}
	k.saved = changes
	k.item.OK()
}
