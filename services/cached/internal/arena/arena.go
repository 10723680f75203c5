package arena

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// UnitShift0 is the shift of the smallest unit, 4 bytes.
const UnitShift0 = 2

// Arena is a reservation of address space; see the package documentation.
type Arena struct {
	base   unsafe.Pointer
	shift  uint
	size   uint64
	opened atomic.Uint64 // bytes from the start that may be accessed
	mem    []byte        // the whole reservation
	file   *os.File      // nil for anonymous memory
	heap   bool          // mem is allocated, not mapped
}

// Reserve reserves size bytes of anonymous memory, or less when the kernel refuses, but not less than least. Handles count
// units of 1<<shift bytes.
func Reserve(size, least uint64, shift uint) (*Arena, error) {
	if mostAlloc > 0 {
		mem := make([]byte, max(min(size, mostAlloc), least))
		return wrap(mem, nil, shift, true), nil
	}
	const flags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE
	mem, err := reserve(-1, size, least, flags)
	if err != nil {
		return nil, fmt.Errorf("arena: reserve %d bytes: %w", size, err)
	}
	// A look-up in gigabytes of small items misses the TLB each time; huge pages need a 512th of its entries.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return wrap(mem, nil, shift, false), nil
}

// Map maps size bytes of f, which must be at least so long, or less when the kernel refuses, but not less than least. The Arena
// owns f from then on.
func Map(f *os.File, size, least uint64, shift uint) (*Arena, error) {
	mem, err := reserve(int(f.Fd()), size, least, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("arena: map %d bytes of %s: %w", size, f.Name(), err)
	}
	return wrap(mem, f, shift, false), nil
}

func wrap(mem []byte, f *os.File, shift uint, heap bool) *Arena {
	return &Arena{base: unsafe.Pointer(unsafe.SliceData(mem)), shift: shift, size: uint64(len(mem)), mem: mem, file: f, heap: heap}
}

func reserve(fd int, size, least uint64, flags int) ([]byte, error) {
	for {
		mem, err := unix.Mmap(fd, 0, int(size), unix.PROT_NONE, flags)
		if err == nil || size <= least {
			return mem, err
		}
		size = max(size/2, least)
	}
}

// Size is the number of bytes reserved.
func (a *Arena) Size() uint64 { return a.size }

// Open makes the first n bytes accessible; n must be a multiple of the system's page size. It never takes access away.
func (a *Arena) Open(n uint64) error {
	from := a.opened.Load()
	if n <= from {
		return nil
	}
	if n > a.size {
		return errors.New("arena: open beyond the reservation")
	}
	if !a.heap {
		if err := unix.Mprotect(a.mem[from:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return fmt.Errorf("arena: open %d bytes: %w", n, err)
		}
	}
	a.opened.Store(n)
	return nil
}

// Back makes sure that the n bytes from offset on have memory behind them: touching a tmpfs that is full would end the process.
// For anonymous memory it does nothing.
func (a *Arena) Back(offset, n uint64) error {
	if a.file == nil {
		return nil
	}
	for {
		err := unix.Fallocate(int(a.file.Fd()), 0, int64(offset), int64(n))
		if err != unix.EINTR {
			return err
		}
	}
}

// Populate maps the memory that the n bytes from offset on have already, all at once: far cheaper than by one fault after the other. It is only a matter of
// speed. A shared mapping of a tmpfs lets the first write pass as well, and mapping by reads, which the kernel does sixteen pages at a time, takes a
// quarter of the time.
func (a *Arena) Populate(offset, n uint64) {
	if !a.heap {
		_ = unix.Madvise(a.mem[offset:offset+n], unix.MADV_POPULATE_READ)
	}
}

// Discard gives the memory of the n bytes from offset on back to the kernel; offset and n are multiples of the system's page size. The range
// stays accessible and reads as zeros, or as what it held when the arena is allocated. A failure leaves the memory as it is.
func (a *Arena) Discard(offset, n uint64) {
	switch {
	case a.heap:
	case a.file != nil:
		_ = unix.Fallocate(int(a.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(offset), int64(n))
	default:
		_ = unix.Madvise(a.mem[offset:offset+n], unix.MADV_DONTNEED)
	}
}

// Sparse tells the kernel that discarded ranges stay empty: it must not fill them again to make huge pages.
func (a *Arena) Sparse() {
	if !a.heap && a.file == nil {
		_ = unix.Madvise(a.mem, unix.MADV_NOHUGEPAGE)
	}
}

// Close ends the reservation and closes the file. No handle may be used afterwards.
func (a *Arena) Close() error {
	var err error
	if !a.heap {
		err = unix.Munmap(a.mem)
	}
	if a.file != nil {
		err = errors.Join(err, a.file.Close())
	}
	a.mem, a.base, a.size = nil, nil, 0
	a.opened.Store(0)
	return err
}

// Shift is the shift of the unit that handles count.
func (a *Arena) Shift() uint { return a.shift }

// EndFile makes p the last bytes of the file behind the arena, from offset on. What lay beyond must not be touched any more.
func (a *Arena) EndFile(p []byte, offset uint64) error {
	if _, err := a.file.WriteAt(p, int64(offset)); err != nil {
		return err
	}
	return a.file.Truncate(int64(offset) + int64(len(p)))
}
