package member

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/hashicorp/memberlist"
)

const (
	maxDelta   = 1000 // bytes of a record that travels in a packet
	maxSenders = 4    // streams that carry bigger ones at a time
)

// Put sets a key of the fleet's small replicated state: last writer wins by (hybrid logical clock, writer), spread by
// gossip and anti-entropy. Bounds: 1024 keys of at most 255 bytes, 64 KiB a value, 4 MiB in all; beyond them fault.Full.
// nil deletes; a deletion is remembered for 24 h. Where two sides of a partition wrote more than the bounds together,
// the oldest keys go. value is copied.
func (f *Fleet) Put(key string, value []byte) error {
	r := record{Key: key, Value: append([]byte{}, value...), Deleted: value == nil, At: f.clock.next(time.Now()), By: f.self}
	if err := f.kv.put(r); err != nil {
		return err
	}
	f.recordsChanged()
	if f.transport != nil {
		f.spread(tagged{kindState, r}, nil)
	}
	return nil
}

// Get returns a key's entry.
func (f *Fleet) Get(key string) (Entry, bool) {
	r, ok := f.kv.get(key)
	if !ok || r.Deleted {
		return Entry{}, false
	}
	return r.entry(), true
}

// Entries returns all with the prefix, sorted by key.
func (f *Fleet) Entries(prefix string) []Entry { return f.kv.entries(prefix) }

func (f *Fleet) storeOf(kind byte) *store {
	if kind == kindLeave {
		return f.leaves
	}
	return f.kv
}

func (f *Fleet) recordsChanged() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newRecords = true
	token(f.dirty)
	f.notifyLocked()
}

// spread sends a record on its way: in gossip packets if it is small, else by streams to everybody alive.
func (f *Fleet) spread(t tagged, done func()) {
	name := string(rune('0'+t.kind)) + t.Key
	if msg := appendRecord(newBatch(), t); len(msg) <= maxDelta {
		f.del.queue.add(name, msg, done)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.big[name] = t
	token(f.bulk)
}

// encodeState returns all records for a peer.
func (f *Fleet) encodeState() []byte {
	b := newBatch()
	for _, kind := range []byte{kindState, kindLeave} {
		for _, r := range f.storeOf(kind).all() {
			b = appendRecord(b, tagged{kind, r})
		}
	}
	return b
}

// applyBatch merges what another member sent and sends on what was new to us.
func (f *Fleet) applyBatch(b []byte, now time.Time) {
	records, err := parseRecords(b)
	if err != nil {
		f.rep.dropped.With(batchFault(err)).Inc()
		return
	}
	byKind := map[byte][]record{}
	for _, t := range records {
		if !t.At.sane(now) {
			f.rep.dropped.With("clock").Inc()
			f.rep.raiseSkew(t, now)
			continue
		}
		f.clock.observe(t.At)
		byKind[t.kind] = append(byKind[t.kind], t.record)
	}
	for kind, rs := range byKind {
		f.mergeRecords(kind, rs, now)
	}
}

func (f *Fleet) mergeRecords(kind byte, rs []record, now time.Time) {
	taken, dropped := f.storeOf(kind).merge(rs)
	if dropped > 0 {
		f.rep.dropped.With("bounds").Add(uint64(dropped))
	}
	if len(taken) == 0 {
		return
	}
	if kind == kindLeave {
		f.learnLeaves(taken, now)
	}
	f.recordsChanged()
	for _, r := range taken {
		t := tagged{kind, r}
		if recordOverhead+len(r.Key)+len(r.By)+len(r.Value)+1 <= maxDelta {
			f.spread(t, nil)
		}
	}
}

func batchFault(err error) string {
	if errors.Is(err, fault.Unsupported) {
		return "version"
	}
	return "malformed"
}

// sender carries big records to every member alive. A member that is not reached gets them by anti-entropy.
func (f *Fleet) sender(ctx context.Context) {
	for {
		select {
		case <-f.bulk:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		big := f.big
		f.big = map[string]tagged{}
		f.mu.Unlock()
		for _, t := range big {
			f.sendAll(ctx, appendRecord(newBatch(), t))
		}
	}
}

func (f *Fleet) sendAll(ctx context.Context, msg []byte) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	places := make(chan struct{}, maxSenders)
	for _, m := range f.View().Alive("") {
		if m.ID == f.self {
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		tasks.Go(func() {
			defer func() { <-places }()
			if err := f.list.SendReliable(libraryNode(m.ID, m.Addr), msg); err != nil {
				f.rep.log.Debug().Err(err).Str("member", string(m.ID)).Msg("state not delivered, anti-entropy will")
			}
		})
	}
}

func libraryNode(id ID, addr netip.AddrPort) *memberlist.Node {
	return &memberlist.Node{Name: string(id), Addr: addr.Addr().AsSlice(), Port: addr.Port()}
}

// saver writes the snapshot soon after it changed, and at the end.
func (f *Fleet) saver(ctx context.Context) {
	if f.env.State == nil {
		<-ctx.Done()
		return
	}
	f.save()
	for {
		select {
		case <-f.dirty:
			f.save()
		case <-ctx.Done():
			f.save()
			return
		}
		if !sleep(ctx, saveGap) {
			f.save()
			return
		}
	}
}

// saveGap is the least time between two writes of the snapshot.
const saveGap = time.Second

func (f *Fleet) save() {
	now := time.Now()
	reserved := f.reserve.used(f.rep.refutes.Load()) + incarnationBlock
	f.mu.Lock()
	f.book.update(*f.view.Load(), now)
	snap := snapshot{Generation: f.generation, Incarnation: reserved, Peers: f.book.list()}
	records := f.newRecords
	f.newRecords = false
	f.mu.Unlock()
	err := f.env.State.Save(snapshotName, snapshotKind, snapshotVersion, snap)
	if err == nil {
		f.reserve.saved.Store(reserved)
		if records {
			err = f.saveRecords(now)
		}
	}
	if err != nil {
		f.rep.snapshotItem.Warn(err.Error(), "free space or mend the state directory; gossip goes on without it")
		return
	}
	f.rep.snapshotItem.OK()
}

func (f *Fleet) saveRecords(now time.Time) error {
	s := savedRecords{Saved: now}
	for _, kind := range []byte{kindState, kindLeave} {
		for _, r := range f.storeOf(kind).all() {
			s.Records = append(s.Records, savedRecord{kind, r})
		}
	}
	err := f.env.State.Save(recordsName, recordsKind, snapshotVersion, s)
	if err != nil {
		f.recordsDirty()
	}
	return err
}

// recordsDirty has the records written again with the next snapshot.
func (f *Fleet) recordsDirty() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newRecords = true
}
