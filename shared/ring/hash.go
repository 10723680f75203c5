package ring

import (
	"encoding/binary"
	"math/bits"
)

// The primes of xxHash (Collet, "xxHash fast digest algorithm", version 0.1.1, section XXH64).
const (
	prime1 = 0x9E3779B185EBCA87
	prime2 = 0xC2B2AE3D27D4EB4F
	prime3 = 0x165667B19E3779F9
	prime4 = 0x85EBCA77C2B2AE63
	prime5 = 0x27D4EB2F165667C5
)

// Hash is XXH64 of b with a seed. It spreads well and is the same everywhere; it is no defence against somebody who
// chooses keys to collide unless the seed is secret.
func Hash(b []byte, seed uint64) uint64 {
	h := seed + prime5
	n := uint64(len(b))
	if n >= 32 {
		h, b = stripes(b, seed)
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h ^= round(0, binary.LittleEndian.Uint64(b))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(b)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	return mix(h)
}

// stripes takes in all whole blocks of 32 bytes and returns what is left of b.
func stripes(b []byte, seed uint64) (h uint64, rest []byte) {
	v1, v2, v3, v4 := seed+prime1, seed, seed, seed
	v1 += prime2 // not constant arithmetic, which would overflow
	v2 += prime2
	v4 -= prime1
	for ; len(b) >= 32; b = b[32:] {
		v1 = round(v1, binary.LittleEndian.Uint64(b))
		v2 = round(v2, binary.LittleEndian.Uint64(b[8:]))
		v3 = round(v3, binary.LittleEndian.Uint64(b[16:]))
		v4 = round(v4, binary.LittleEndian.Uint64(b[24:]))
	}
	h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
	for _, v := range [4]uint64{v1, v2, v3, v4} {
		h = (h^round(0, v))*prime1 + prime4
	}
	return h, b
}

func round(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime2, 31) * prime1
}

// mix is XXH64's last step: every bit of the result hangs on every bit of h. It is a bijection.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= prime2
	h ^= h >> 29
	h *= prime3
	return h ^ h>>32
}
