package member

import (
	"encoding/binary"
	"math"

	"github.com/everup/everup/shared/fault"
)

// Records travel as a version byte and then, each:
//
//	kind 1 | flags 1 | key length 1 | key | stamp 8 | writer length 1 | writer | value length 4 | value
//
// Numbers are big endian. A batch of a version that is not known is skipped whole: it will come again by
// anti-entropy from a member that speaks ours, or not concern us.
const (
	recordsVersion = 1

	kindState = 0 // the fleet's small state
	kindLeave = 1 // leave intents: key is a member's ID, value its generation

	flagDeleted = 1

	recordOverhead = 1 + 1 + 1 + 8 + 1 + 4
)

// tagged is a record with the store it belongs to.
type tagged struct {
	kind byte
	record
}

func newBatch() []byte { return []byte{recordsVersion} }

func appendRecord(b []byte, t tagged) []byte {
	flags := byte(0)
	if t.Deleted {
		flags |= flagDeleted
	}
	b = append(b, t.kind, flags, byte(len(t.Key)))
	b = append(b, t.Key...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.At))
	b = append(b, byte(len(t.By)))
	b = append(b, t.By...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.Value)))
	return append(b, t.Value...)
}

// parseRecords reads a batch. The records hold copies. Records of an unknown kind are left out.
func parseRecords(b []byte) ([]tagged, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != recordsVersion {
		return nil, fault.New(fault.Unsupported, "member: records of version %d", b[0])
	}
	r := reader{b: b[1:]}
	var out []tagged
	for !r.bad && len(r.b) > 0 {
		t := tagged{kind: r.byte()}
		t.Deleted = r.byte()&flagDeleted != 0
		t.Key = string(r.take(int(r.byte())))
		t.At = stamp(r.uint64())
		t.By = ID(r.take(int(r.byte())))
		n := r.uint32()
		if n > maxValue {
			r.bad = true
			break
		}
		t.Value = append([]byte{}, r.take(int(n))...)
		if !r.bad && t.Key != "" && (t.kind == kindState || t.kind == kindLeave) {
			out = append(out, t)
		}
	}
	if r.bad {
		return nil, fault.New(fault.Corrupt, "member: records are cut short")
	}
	return out, nil
}

// reader takes numbers and bytes from the front of b; once b is too short it is bad and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// generationValue is the value of a leave intent.
func generationValue(g uint64) []byte { return binary.BigEndian.AppendUint64(nil, g) }

// leaveGeneration returns the generation a leave intent speaks of. A value of another form speaks of none.
func leaveGeneration(r record) uint64 {
	if r.Deleted || len(r.Value) != 8 {
		return 0
	}
	return min(binary.BigEndian.Uint64(r.Value), math.MaxInt64)
}
