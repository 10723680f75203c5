package member

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/state"
)

// maxPeers bounds the addresses remembered for re-joining; the ones heard of longest ago go first.
const maxPeers = 1024

// incarnationBlock is how many incarnations one snapshot reserves: a process that ended without saving starts
// beyond all it may have used.
const incarnationBlock = 256

const (
	snapshotName    = "member"
	snapshotKind    = "everup.member.snapshot"
	snapshotVersion = 1
	recordsName     = "member-state"
	recordsKind     = "everup.member.state"
)

// peer is a member as the snapshot remembers it.
type peer struct {
	ID   ID             `json:"id"`
	Addr netip.AddrPort `json:"addr"`
	Seen time.Time      `json:"seen"` // when it was last known alive
}

// snapshot is what a daemon remembers of its membership over a restart.
type snapshot struct {
	Generation  uint64 `json:"generation"`  // of the last process: the next is greater whatever the clock says
	Incarnation uint32 `json:"incarnation"` // reserved: the next process starts here
	Peers       []peer `json:"peers"`
}

// savedRecords is the replicated state on disk.
type savedRecords struct {
	Saved   time.Time     `json:"saved"`
	Records []savedRecord `json:"records"`
}

type savedRecord struct {
	Kind byte `json:"kind"`
	record
}

// loadSnapshot returns what is remembered; nothing where there is no directory or no file. A damaged snapshot is
// an error worth telling, but starting without it is safe: the join addresses remain.
func loadSnapshot(d *state.Dir) (snapshot, error) {
	var s snapshot
	if d == nil {
		return s, nil
	}
	err := d.Load(snapshotName, snapshotKind, snapshotVersion, &s)
	if errors.Is(err, fault.NotFound) {
		err = nil
	}
	s.Peers = s.Peers[:min(len(s.Peers), maxPeers)]
	return s, err
}

// loadRecords returns the replicated state on disk. What is older than the tombstones' life is not taken: others may
// have deleted it and forgotten that they did.
func loadRecords(d *state.Dir, now time.Time) ([]tagged, error) {
	var s savedRecords
	if d == nil {
		return nil, nil
	}
	err := d.Load(recordsName, recordsKind, snapshotVersion, &s)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil || now.Sub(s.Saved) > forgetTime {
		return nil, err
	}
	var out []tagged
	for _, r := range s.Records {
		if checkRecord(r.record) == nil {
			out = append(out, tagged{r.Kind, r.record})
		}
	}
	return out, nil
}

// book is the peers ever known and not gone on purpose, by ID. Not safe for concurrent use.
type book map[ID]peer

func newBook(peers []peer) book {
	b := book{}
	for _, p := range peers {
		b[p.ID] = p
	}
	return b
}

// update takes over what the view says and reports whether an entry came, moved or went.
func (b book) update(v View, now time.Time) (changed bool) {
	for _, m := range v.Members {
		old, had := b[m.ID]
		switch {
		case m.ID == v.Self:
		case m.State == Left:
			delete(b, m.ID)
			changed = changed || had
		case m.State == Alive:
			b[m.ID] = peer{m.ID, m.Addr, now}
			changed = changed || !had || old.Addr != m.Addr
		}
	}
	for len(b) > maxPeers {
		delete(b, b.list()[0].ID)
	}
	return changed
}

// list returns the peers, those heard of longest ago first.
func (b book) list() []peer {
	return slices.SortedFunc(maps.Values(b), func(a, c peer) int {
		return cmp.Or(a.Seen.Compare(c.Seen), cmp.Compare(a.ID, c.ID))
	})
}
