package prefetch

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A prefetch of what cannot be read does nothing.
func TestBeyondMemory(t *testing.T) {
	page, err := unix.Mmap(-1, 0, 2*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	if err := unix.Mprotect(page[4096:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	page[4095] = 7
	Line(&page[4095])
	Lines(&page[4095])
	Line[byte](nil)
	if page[4095] != 7 {
		t.Error("a prefetch has changed memory")
	}
}

func BenchmarkLines(b *testing.B) {
	var x [256]byte
	for b.Loop() {
		Lines(&x[0])
	}
}
