// Package trace makes and reads what names a request on its way: request ids, which are UUIDs of version 7 (RFC 9562), and the field
// traceparent (W3C Trace Context). It is pure but for the seed of a Source, and allocates nothing.
package trace

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"time"
)

// Lengths of what is made.
const (
	IDLen     = 36
	ParentLen = 55
)

// Source makes ids for one thread. They cannot be told in advance.
type Source struct{ r *mathrand.ChaCha8 }

// NewSource returns a source that nobody else has.
func NewSource() *Source {
	var seed [32]byte
	rand.Read(seed[:]) // never fails
	return Seeded(seed)
}

// Seeded returns the source of a seed.
func Seeded(seed [32]byte) *Source { return &Source{mathrand.NewChaCha8(seed)} }

// AppendID appends a UUID of version 7: ids that were made later sort behind those made earlier, to the millisecond.
func (s *Source) AppendID(b []byte, now time.Time) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16|s.r.Uint64()&0xffff)
	binary.BigEndian.PutUint64(id[8:], s.r.Uint64())
	id[6] = id[6]&0x0f | 0x70 // version
	id[8] = id[8]&0x3f | 0x80 // variant
	var text [IDLen]byte
	at := 0
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[at] = '-'
			at++
		}
		text[at], text[at+1] = hex[c>>4], hex[c&15]
		at += 2
	}
	return append(b, text[:]...)
}

// AppendParent appends a traceparent that begins a trace.
func (s *Source) AppendParent(b []byte, sampled bool) []byte {
	b = append(b, "00-"...)
	b = appendHex(appendHex(b, s.nonZero()), s.r.Uint64())
	b = appendHex(append(b, '-'), s.nonZero())
	if sampled {
		return append(b, "-01"...)
	}
	return append(b, "-00"...)
}

// Chance returns a number from 0 to n, exclusive.
func (s *Source) Chance(n uint64) uint64 { return s.r.Uint64() % n }

// nonZero returns a number that is not 0, as an id must not be.
func (s *Source) nonZero() uint64 {
	for {
		if v := s.r.Uint64(); v != 0 {
			return v
		}
	}
}

const hex = "0123456789abcdef"

func appendHex(b []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hex[v>>shift&15])
	}
	return b
}

// ValidID reports whether an id that came from elsewhere is taken: up to 128 characters that need no escape in a log, a header or a
// page.
func ValidID(v []byte) bool {
	for _, c := range v {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' && c != ':' && c != '/' && c != '+' && c != '=' && c != '@' {
			return false
		}
	}
	return len(v) > 0 && len(v) <= 128
}

// TraceID returns the trace id of a traceparent, nil if it is not valid (Trace Context, section 3.2.2). A version that is not known is taken
// by the rules of version 0, with more behind it.
func TraceID(v []byte) []byte {
	if len(v) < ParentLen || !isHex(v[:2]) || v[2] != '-' || !isHex(v[3:35]) || v[35] != '-' || !isHex(v[36:52]) || v[52] != '-' || !isHex(v[53:55]) {
		return nil
	}
	first := string(v[:2]) == "00"
	if string(v[:2]) == "ff" || zeros(v[3:35]) || zeros(v[36:52]) || len(v) > ParentLen && (first || v[55] != '-') {
		return nil
	}
	return v[3:35:35]
}

func isHex(v []byte) bool {
	for _, c := range v {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(v []byte) bool {
	for _, c := range v {
		if c != '0' {
			return false
		}
	}
	return true
}
