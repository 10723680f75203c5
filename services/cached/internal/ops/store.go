package ops

import "github.com/everup/everup/services/cached/internal/engine"

// Mode is the kind of a store command.
type Mode uint8

// Modes.
const (
	Set     Mode = iota
	Add          // only when the key has no item
	Replace      // only when it has one
	Append       // behind the value that is there; flags and expiry stay
	Prepend      // in front of it
	CAS          // only when the item has the number Store.Compare
)

// Outcome is how a command on one key ended.
type Outcome uint8

// Outcomes. The zero Outcome is success.
const (
	Stored     Outcome = iota
	NotStored          // the mode's condition did not hold; or an append would have become too large
	Exists             // another CAS
	NotFound           // no item
	TooLarge           // the item is larger than -I
	NoMemory           // full, and eviction is off
	NonNumeric         // incr and decr: the value is no number
)

// Store describes a store command, apart from key and data.
type Store struct {
	Mode  Mode
	Value engine.Value // flags and expiry, ignored by Append and Prepend; CAS is the number to give, 0 the next
	// Compare is the CAS that the item must have; for Mode CAS, and, when it is not 0, for Append and Prepend.
	Compare uint64
	// Stale lets a CAS lower than the item's through: the value is replaced, the item is marked stale and keeps its
	// expiry and who has won it (meta's I).
	Stale bool
}

// Put carries out s with data, which is copied.
//
// memcached allocates before it looks at the mode: what is too large is refused also where an item would not have been
// stored. Callers that want that ask Fits first. An Outcome of TooLarge or NoMemory leaves the old value
// and is not counted; Refused does both.
func Put(r *engine.Ref, s *Store, data []byte) Outcome {
	act, out := decide(r, s)
	switch act {
	case put:
		out = Of(r.Put(s.Value, data))
	case putStale:
		m := marksOf(r, s)
		if out = Of(r.Put(m.value, data)); out == Stored {
			m.restore(r)
		}
	case extend:
		out = ofExtend(r, r.Extend(data, s.Mode == Prepend, s.Value.CAS))
	}
	counted(r, out)
	return out
}

// Commit carries out s with the data that p holds. p is used up, whatever the outcome.
func Commit(r *engine.Ref, s *Store, p *engine.Pending) Outcome {
	act, out := decide(r, s)
	switch act {
	case refuse:
		p.Release()
	case put:
		out = Of(r.Commit(p, s.Value))
	case putStale:
		m := marksOf(r, s)
		if out = Of(r.Commit(p, m.value)); out == Stored {
			m.restore(r)
		}
	case extend:
		out = ofExtend(r, r.ExtendBy(p, s.Mode == Prepend, s.Value.CAS))
	}
	counted(r, out)
	return out
}

// counted counts a store that was not refused for want of room.
func counted(r *engine.Ref, out Outcome) {
	if out != TooLarge && out != NoMemory {
		r.Count(engine.CmdSet)
	}
}

// Fits reports whether an item is not larger than the store takes. cas says whether items have a CAS (not Env.NoCAS).
func Fits(s *engine.Store, key, value int, flags uint32, cas bool) bool {
	return int64(engine.ItemSize(key, value, flags, cas)) <= s.MaxItem()
}

// Refused counts a store that ended TooLarge or NoMemory and, when drop is set, deletes the key's old value, so that no stale
// data stay: memcached does so for `set` (not for the other modes) and for `ms` in every mode. It returns out.
func Refused(r *engine.Ref, out Outcome, drop bool) Outcome {
	if out == TooLarge {
		r.Count(engine.StoreTooLarge)
	} else {
		r.Count(engine.StoreNoMemory)
	}
	if drop {
		r.Delete()
	}
	return out
}

// Of translates an error of Reserve or Put.
func Of(err error) Outcome {
	switch err {
	case nil:
		return Stored
	case engine.ErrTooLarge:
		return TooLarge
	}
	return NoMemory
}

// action is what a store does once its condition was looked at.
type action uint8

const (
	refuse action = iota
	put
	putStale // put in spite of a lower CAS
	extend
)

// decide looks at the mode's condition.
func decide(r *engine.Ref, s *Store) (action, Outcome) {
	if !r.Found() {
		switch s.Mode {
		case Set, Add:
			return put, Stored
		case CAS:
			r.Count(engine.CasMisses)
			return refuse, NotFound
		}
		return refuse, NotStored
	}
	switch s.Mode {
	case Add:
		r.Touch(r.Expires()) // memcached moves the item to the front
		return refuse, NotStored
	case Append, Prepend:
		if have := r.CAS(); s.Compare != 0 && have != 0 && s.Compare != have {
			return refuse, Exists
		}
		return extend, Stored
	case CAS:
		switch have := r.CAS(); {
		case s.Compare == have && have != 0:
			r.Count(engine.CasHits)
			return put, Stored
		case s.Stale && s.Compare != 0 && s.Compare < have:
			r.Count(engine.CasHits)
			return putStale, Stored
		}
		r.Count(engine.CasBadval)
		return refuse, Exists
	}
	return put, Stored
}

// marks is what an item that is replaced by a stale store hands on.
type marks struct {
	value engine.Value
	won   bool
}

func marksOf(r *engine.Ref, s *Store) marks {
	m := marks{value: s.Value, won: r.Won()}
	m.value.Expires = r.Expires()
	return m
}

func (m *marks) restore(r *engine.Ref) {
	r.MarkStale(true)
	r.MarkWon(m.won)
}

// ofExtend translates an error of Extend: memcached answers both that there is no room for the longer value as "not stored". The
// item is a new one there, so it has lost its marks.
func ofExtend(r *engine.Ref, err error) Outcome {
	if err != nil {
		return NotStored
	}
	r.MarkStale(false)
	r.MarkWon(false)
	return Stored
}
