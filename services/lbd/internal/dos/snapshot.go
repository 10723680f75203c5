package dos

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/everup/everup/shared/fault"
)

// MaxKept bounds the keys of each detector in a Snapshot: the worst are kept.
const MaxKept = 65536

// Snapshot is who is held at a time, by the calendar, so that another process can go on with it.
type Snapshot struct {
	Taken     time.Time // to the millisecond
	Detectors []Kept
}

// Kept are the keys that a detector holds.
type Kept struct {
	Name string
	Held []Record
}

// Record is a key, and when it is let go.
type Record struct {
	Key    Key
	Origin Origin
	Ends   [holds]int64 // of Suspect and Hard, Unix time in milliseconds; 0: it is not held for that
}

// Snapshot returns who is held now, which is at on the calendar.
func (s *Set) Snapshot(now int64, at time.Time) *Snapshot {
	out := &Snapshot{Taken: at}
	for _, d := range s.All() {
		w := worst[Standing]{n: MaxKept, compare: func(a, b Standing) int {
			return cmp.Or(cmp.Compare(b.level(now), a.level(now)), cmp.Compare(b.Until[b.level(now)-1], a.Until[a.level(now)-1]))
		}}
		d.cur.Load().standings(now, func(some []Standing) {
			for _, h := range some {
				w.add(h)
			}
		})
		kept := Kept{Name: d.name}
		for _, h := range w.all() {
			r := Record{Key: h.Key, Origin: h.Origin.who()}
			for i, until := range h.Until {
				if until > now {
					r.Ends[i] = at.Add(time.Duration(until - now)).UnixMilli()
				}
			}
			kept.Held = append(kept.Held, r)
		}
		out.Detectors = append(out.Detectors, kept)
	}
	return out
}

// level is what a key that is held is held for.
func (h *Standing) level(now int64) Level {
	if h.Until[Hard-1] > now {
		return Hard
	}
	return Suspect
}

// Restore holds whom a Snapshot tells of, for as long as is left at a time of the calendar, and returns how many. Where the calendar was set back, what was
// left when it was taken counts. Detectors and keys that are none any more are left out, and nobody is held for longer than MaxShared. Other balancers are not
// told of them before they ask too much again: they have heard, and may have let go of some since.
func (s *Set) Restore(snap *Snapshot, now int64, at time.Time) (held int) {
	from := max(at.UnixMilli(), snap.Taken.UnixMilli())
	for _, k := range snap.Detectors {
		if d := s.Get(k.Name); d != nil {
			held += d.restore(k.Held, from, now)
		}
	}
	return held
}

func (d *Detector) restore(list []Record, from, now int64) (held int) {
	d.configure.Lock()
	defer d.configure.Unlock()
	c := d.cur.Load()
	for _, r := range list {
		h := Standing{Key: r.Key, Origin: r.Origin | restored}
		for i, end := range r.Ends {
			if end > from {
				h.Until[i] = now + int64(time.Duration(min(end-from, MaxShared.Milliseconds()))*time.Millisecond)
			}
		}
		if o, ok := d.adopt(c, &h, now); ok && o.Level > None {
			held++
		}
	}
	return held
}

// Forget lets go of whom an old Snapshot tells of and a new one does not: they were let go between.
func (s *Set) Forget(before, after *Snapshot, now int64) {
	type about struct {
		detector string
		key      Key
	}
	still := map[about]bool{}
	for _, k := range after.Detectors {
		for i := range k.Held {
			still[about{k.Name, k.Held[i].Key}] = true
		}
	}
	for _, k := range before.Detectors {
		d := s.Get(k.Name)
		for i := range k.Held {
			if key := k.Held[i].Key; d != nil && !still[about{k.Name, key}] {
				d.Lift(key, Shared, now) // the others have heard of it
			}
		}
	}
}

// A Snapshot in a file, numbers in network order:
//
//	8   magic, of which the last byte is the version
//	8   Taken, Unix time in milliseconds
//	then for each detector
//	1   length of its name, from 1, and the name
//	4   number of records, and for each
//	    1 kind of key, 16 key, 1 origin, 8 and 8 Ends
//	4   CRC-32C of all before
const (
	snapshotMagic   = "EVERDOS"
	snapshotVersion = 1
	headSize        = len(snapshotMagic) + 1 + 8
	recordSize      = 1 + 16 + 1 + 8*holds
	sumSize         = 4
)

func sumOf(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Encode returns the content of a file.
func (s *Snapshot) Encode() []byte {
	size := headSize + sumSize
	for _, k := range s.Detectors {
		size += 1 + len(k.Name) + 4 + recordSize*len(k.Held)
	}
	b := append(make([]byte, 0, size), snapshotMagic...)
	b = append(b, snapshotVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Taken.UnixMilli()))
	for _, k := range s.Detectors {
		b = append(append(b, byte(len(k.Name))), k.Name...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(k.Held)))
		for i := range k.Held {
			r := &k.Held[i]
			b = append(append(append(b, r.Key.kind), r.Key.b[:]...), byte(r.Origin))
			for _, end := range r.Ends {
				b = binary.BigEndian.AppendUint64(b, uint64(end))
			}
		}
	}
	return binary.BigEndian.AppendUint32(b, sumOf(b))
}

// DecodeSnapshot reads what Encode writes. What it cannot have written is fault.Corrupt, what a later version has fault.Unsupported. It needs no more memory
// than some times that of b.
func DecodeSnapshot(b []byte) (*Snapshot, error) {
	if len(b) < headSize+sumSize || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fault.New(fault.Corrupt, "dos: no list of who is held")
	}
	body, sum := b[:len(b)-sumSize], binary.BigEndian.Uint32(b[len(b)-sumSize:])
	if have := sumOf(body); have != sum {
		return nil, fault.New(fault.Corrupt, "dos: the checksum of who is held is %08x, stored %08x", have, sum)
	}
	if v := body[len(snapshotMagic)]; v != snapshotVersion {
		return nil, fault.New(fault.Unsupported, "dos: who is held is written in version %d, this build knows %d", v, snapshotVersion)
	}
	s := &Snapshot{Taken: time.UnixMilli(int64(binary.BigEndian.Uint64(body[len(snapshotMagic)+1:])))}
	r := reader{body[headSize:], true}
	for r.ok && len(r.b) > 0 {
		k := Kept{Name: string(r.take(int(r.number(1))))}
		n := r.number(4)
		if !r.ok || k.Name == "" || n > uint64(len(r.b)/recordSize) {
			return nil, fault.New(fault.Corrupt, "dos: who is held ends early")
		}
		for range n {
			one := r.record()
			if !one.sound() {
				return nil, fault.New(fault.Corrupt, "dos: one of those who are held is nobody")
			}
			k.Held = append(k.Held, one)
		}
		s.Detectors = append(s.Detectors, k)
	}
	if !r.ok {
		return nil, fault.New(fault.Corrupt, "dos: who is held ends early")
	}
	return s, nil
}

// reader takes from the front of b; not ok once there was too little.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) take(n int) (out []byte) {
	if r.ok = r.ok && n <= len(r.b); !r.ok {
		return nil
	}
	out, r.b = r.b[:n], r.b[n:]
	return out
}

func (r *reader) number(size int) (n uint64) {
	for _, c := range r.take(size) {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *reader) record() (one Record) {
	one.Key.kind = uint8(r.number(1))
	copy(one.Key.b[:], r.take(len(one.Key.b)))
	one.Origin = Origin(r.number(1))
	for i := range one.Ends {
		one.Ends[i] = int64(r.number(8))
	}
	return one
}

// sound reports whether Snapshot makes such a record.
func (r *Record) sound() bool {
	if r.Origin > Manual || r.Ends[0] < 0 || r.Ends[1] < 0 || !r.Key.Valid() {
		return false
	}
	if r.Key.kind == digest {
		return true
	}
	masked := r.Key
	if r.Key.kind > network+128 {
		return false
	}
	masked.mask(int(r.Key.kind - network))
	return masked == r.Key
}
