package ring

import (
	"math/bits"
	"strings"
	"testing"
)

// The values are those of xxhsum 0.8.1 (-H64); the seeded one is from the specification's own sanity test.
func TestHashVectors(t *testing.T) {
	f := func(in string, seed, want uint64) {
		t.Helper()
		if got := Hash([]byte(in), seed); got != want {
			t.Errorf("Hash(%q, %d) = %#016x, want %#016x", in, seed, got, want)
		}
	}
	f("", 0, 0xef46db3751d8e999)
	f("", 2654435761, 0xac75fda2929b17ef)
	f("a", 0, 0xd24ec4f1a98c6e5b)
	f("abc", 0, 0x44bc2cf5ad770999)
	f("0123456789abcdef", 0, 0x5c5b90c34e376d0b)
	f("Nobody inspects the spammish repetition", 0, 0xfbcea83c8a378bf1)
	f("0123456789abcdef0123456789abcdef", 0, 0x642a94958e71e6c5)
	f("0123456789abcdef0123456789abcdef0123456789abcde", 0, 0xceb8c23313303cfc)
	f(strings.Repeat("x", 300), 0, 0x8377db93c80fd5bf)
}

// Every bit of the input changes every bit of the output in about half of the cases, at every length class.
func TestHashAvalanche(t *testing.T) {
	const tries = 2000
	for _, size := range []int{1, 4, 7, 8, 15, 31, 32, 33, 100} {
		b := make([]byte, size)
		flips := 0
		for i := range tries {
			for j := range b {
				b[j] = byte(mix(uint64(i*size+j) + 1))
			}
			h := Hash(b, 0)
			b[i%size] ^= 1 << (i % 8)
			flips += bits.OnesCount64(h ^ Hash(b, 0))
		}
		if mean := float64(flips) / tries; mean < 31 || mean > 33 {
			t.Errorf("size %d: one bit changes %.2f bits", size, mean)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	key := []byte("203.0.113.77:51234-198.51.100.1:443")
	for b.Loop() {
		Hash(key, 0)
	}
}
