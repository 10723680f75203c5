// Package prefetch tells the processor what memory will be read soon, so that it fetches it while the program goes on.
//
// A load would do that too, but the processor waits for its outcome at the next atomic instruction, such as a lock, and sooner when much
// follows; it never waits for a prefetch. That takes assembly: of all that a processor knows, only this is here. Where a processor is not known, nothing
// happens.
package prefetch

import "unsafe"

// Line fetches the cache line of 64 bytes in which p points.
func Line[T any](p *T) { line(unsafe.Pointer(p)) }

// Lines fetches the line in which p points and the two behind it. These may lie beyond what is accessible: a prefetch does not fault.
func Lines[T any](p *T) { lines(unsafe.Pointer(p)) }
