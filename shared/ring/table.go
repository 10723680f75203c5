package ring

import "encoding/binary"

// Size is the number of entries of a Table, the smaller of the two primes the Maglev paper uses. A bigger one would
// move fewer keys on a change and cost more cache.
const Size = 65537

// The seeds of the two hashes of a backend's name. They are part of the contract between hosts.
const (
	seedOffset = 0x6576_6572_7570_0001
	seedSkip   = 0x6576_6572_7570_0002
)

// Table maps hashes to backends. It is immutable, so that any number of goroutines may read it.
type Table struct {
	backends []Backend
	counts   []int
	entries  [Size]uint16
}

// Build computes the table of the backends. The order they come in does not matter. Each backend with a weight above
// 0 has at least one entry; beyond that its share of the entries is its share of the weights, to about one entry. No
// backend above weight 0, a weight or name out of bounds and a name given twice are fault.Invalid; more than
// MaxBackends are fault.Full.
func Build(backends []Backend) (*Table, error) {
	sorted, err := canonical(backends)
	if err != nil {
		return nil, err
	}
	t := &Table{backends: sorted, counts: make([]int, len(sorted))}
	t.fill()
	return t, nil
}

// unset marks an entry that no backend has taken yet.
const unset = 0xffff

// fill lets the backends take entries in turns, each the first free one on its own walk over the table.
func (t *Table) fill() {
	for i := range t.entries {
		t.entries[i] = unset
	}
	walks := make([]walk, len(t.backends))
	for i, b := range t.backends {
		walks[i] = newWalk(b.Name)
	}
	turns := newTurns(t.backends)
	for range Size {
		i := turns.next()
		w := &walks[i]
		for t.entries[w.at] != unset {
			w.step()
		}
		t.entries[w.at] = uint16(i)
		t.counts[i]++
	}
}

// walk is a backend's permutation of the entries: offset, offset+skip, … modulo the prime Size, which meets every
// entry once.
type walk struct{ at, skip uint32 }

func newWalk(name string) walk {
	return walk{
		at:   uint32(Hash([]byte(name), seedOffset) % Size),
		skip: uint32(Hash([]byte(name), seedSkip)%(Size-1)) + 1,
	}
}

func (w *walk) step() {
	w.at += w.skip
	if w.at >= Size {
		w.at -= Size
	}
}

// Lookup returns the index in Backends of the backend for a hash, which must be spread over all 64 bits. The entry is
// hash modulo Size: an XDP program that reads Entries must divide alike.
func (t *Table) Lookup(hash uint64) int { return int(t.entries[hash%Size]) }

// Backends returns the backends sorted by name, those of weight 0 with them. The caller must not change them.
func (t *Table) Backends() []Backend { return t.backends }

// Entries returns the table as indices into Backends. The caller must not change it.
func (t *Table) Entries() []uint16 { return t.entries[:] }

// Counts returns how many entries each of Backends has. The caller must not change it.
func (t *Table) Counts() []int { return t.counts }

// Fingerprint tells tables apart: hosts that show the same one send every key to the backend of the same name. It
// covers the names that have entries and the entries.
func (t *Table) Fingerprint() uint64 {
	b := make([]byte, 0, 2*Size+64*len(t.backends))
	alias := make([]uint16, len(t.backends)) // a backend without an entry leaves no gap in the numbers
	n := uint16(0)
	for i, be := range t.backends {
		if alias[i] = n; t.counts[i] > 0 {
			b = append(binary.LittleEndian.AppendUint16(b, uint16(len(be.Name))), be.Name...)
			n++
		}
	}
	for _, e := range t.entries {
		b = binary.LittleEndian.AppendUint16(b, alias[e])
	}
	return Hash(b, 0)
}

// Disruption returns the share of entries, 0 to 1, that lead to a backend of another name in new than in old: the
// share of keys that move.
func Disruption(old, new *Table) float64 {
	moved := 0
	for i := range old.entries {
		if old.backends[old.entries[i]].Name != new.backends[new.entries[i]].Name {
			moved++
		}
	}
	return float64(moved) / Size
}
