package arena

import (
	"fmt"
	"unsafe"
)

// at is the address n bytes behind the start of h.
func (a *Arena) at(h uint32, n uintptr) unsafe.Pointer {
	return unsafe.Add(a.base, uintptr(h)<<a.shift+n)
}

// At is the T that lies at h. T must hold no pointers and need no more alignment than the unit gives.
func At[T any](a *Arena, h uint32) *T {
	if checked {
		var t T
		a.check(h, 0, unsafe.Sizeof(t))
	}
	return (*T)(a.at(h, 0))
}

// Field is the T that lies n bytes behind h; n must suit T's alignment.
func Field[T any](a *Arena, h uint32, n int) *T {
	if checked {
		var t T
		a.check(h, n, unsafe.Sizeof(t))
	}
	return (*T)(a.at(h, uintptr(n)))
}

// Bytes are the n bytes that begin from bytes behind h.
func (a *Arena) Bytes(h uint32, from, n int) []byte {
	if checked {
		a.check(h, from, uintptr(n))
	}
	return unsafe.Slice((*byte)(a.at(h, uintptr(from))), n)
}

// check panics unless the n bytes that begin from bytes behind h are in the opened part.
func (a *Arena) check(h uint32, from int, n uintptr) {
	begin := int64(uint64(h)<<a.shift) + int64(from)
	if begin < 0 || uint64(begin)+uint64(n) > a.opened.Load() {
		panic(fmt.Sprintf("arena: %d bytes at %d of %d", n, begin, a.opened.Load()))
	}
}
