package load

import (
	"bytes"
	"math"
	"math/rand/v2"

	"github.com/everup/everup/shared/fault"
)

// Sizes says how long values are, in bytes. The length of a key's value depends on the key alone, so that an answer can be
// checked: keys that are set again with other sizes must not be read with the old ones.
type Sizes struct {
	Min, Max int // equal: every value has this length; else lengths are spread log-uniformly between them, both included
}

// Fixed returns sizes of n bytes, all alike.
func Fixed(n int) Sizes { return Sizes{n, n} }

// maxValue is memcached's own limit for -I.
const maxValue = 1 << 30

func (s Sizes) check() error {
	if s.Min < 0 || s.Max < s.Min || s.Max > maxValue || (s.Min == 0 && s.Max > 0) {
		return fault.New(fault.Invalid, "load: values of %d to %d bytes", s.Min, s.Max)
	}
	return nil
}

// Mean returns the expected length.
func (s Sizes) Mean() float64 {
	if s.Min == s.Max {
		return float64(s.Min)
	}
	return float64(s.Max-s.Min) / math.Log(float64(s.Max)/float64(s.Min))
}

const (
	blockSize = 1 << 16 // bytes of random text that values are cut from; a power of two
	sizeSteps = 1 << 12 // steps of the log-uniform distribution
)

// values knows the value of every key. It is read only and shared by the loops.
type values struct {
	length []int32 // quantiles of Sizes; one entry when all are alike
	block  []byte  // 2·blockSize, the second half as the first, so that any start has blockSize bytes behind it
}

func newValues(s Sizes) *values {
	v := &values{length: []int32{int32(s.Min)}, block: make([]byte, 2*blockSize)}
	if s.Min != s.Max {
		v.length = make([]int32, sizeSteps)
		for i := range v.length {
			v.length[i] = int32(math.Round(float64(s.Min) * math.Pow(float64(s.Max)/float64(s.Min), float64(i)/(sizeSteps-1))))
		}
	}
	rng := rand.New(rand.NewPCG(0, 1))
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for i := range blockSize {
		v.block[i] = letters[rng.Uint64()%64]
	}
	copy(v.block[blockSize:], v.block)
	return v
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// of returns the length of the key's value and where in the block it begins.
func (v *values) of(id uint32) (length, start int) {
	h := mix(uint64(id))
	length = int(v.length[0])
	if len(v.length) > 1 {
		length = int(v.length[h>>32%sizeSteps])
	}
	return length, int(h % blockSize)
}

// append appends a value of this length and start.
func (v *values) append(b []byte, length, start int) []byte {
	for length > blockSize {
		b = append(b, v.block[start:start+blockSize]...)
		length -= blockSize
	}
	return append(b, v.block[start:start+length]...)
}

// equal reports whether got are the bytes from offset on of a value with this start.
func (v *values) equal(got []byte, offset, start int) bool {
	at := (start + offset) % blockSize
	for len(got) > blockSize {
		if !bytes.Equal(got[:blockSize], v.block[at:at+blockSize]) {
			return false
		}
		got = got[blockSize:]
	}
	return bytes.Equal(got, v.block[at:at+len(got)])
}
