// Package arena is memory outside the Go heap, addressed by 32-bit handles.
//
// An [Arena] is one reservation of address space. Its front part is opened as it is needed ([Arena.Open]) and parts of it are given back to
// the kernel ([Arena.Discard]); what was never touched costs nothing. It is anonymous memory, or a file on a tmpfs that outlives the process.
//
// A handle counts units of 4 bytes << shift from the start, so 32 bits reach 16 GiB in the smallest unit; 0 is no handle. The
// collector never looks into an arena: it must hold no Go pointers.
//
// This package is the only one of cached's engine that computes addresses. [At], [Field] and [Arena.Bytes] check nothing in a normal build, because they are
// its hot path; with the race detector they check every access against the opened part and panic, and an anonymous arena lies in the Go heap, so
// that the detector sees its accesses. Callers must check handles that come from outside (a file) before they use them.
//
// An Arena has no lock: which goroutine may touch which part is the caller's affair. Open is called by one goroutine at a time.
package arena
