// Package engine keeps cached's items: every protocol speaks to this one store.
//
// # Shape
//
// The store is cut into shards by the hash of the key. A shard is a complete cache of its own: an index, a policy of eviction
// (package evict), size classes and counters, all under one lock. The memory is one arena of pages shared by the shards:
// off the Go heap, never seen by the collector, addressed by 32-bit handles, so that it may be a file that outlives the process.
//
// A caller locks a key's shard by Lock, which also finds the item, then reads and changes it through the Ref, then calls Unlock.
// What one Ref does between the two is atomic. A Ref lives on the caller's stack, is used by one goroutine, and holds one
// shard: lock no second key before Unlock, do no I/O and do not wait in between.
//
// A caller that knows several keys beforehand, of a multiget or a pipeline, puts them into an Ahead first, whose Fetch lets their look-ups wait for memory together.
//
// # Time
//
// Every call takes the time in Unix seconds. Expiry is checked at each look-up, so an expired item is never seen; a sweeper
// takes the memory of expired items back without waiting for one. Expiry times are Unix seconds, Never (0) for none.
//
// # Values
//
// A value up to Contiguous bytes lies in one piece; a longer one in pieces. Reading: AppendValue copies under the lock; Pin keeps a long
// value alive, whatever happens to the key, until Unpin, so that a slow client costs no copy. Writing: Put copies from the
// caller's buffer; for a value that has not arrived yet, Reserve gives memory to read it into, and Commit makes it the key's value.
//
// # Memory
//
// A page is cut into chunks of any size, in units of 4 bytes (more where a limit beyond 16 GiB needs it). There are no size classes: a chunk that is freed
// joins its free neighbours, and when much is free in pieces too small for a request, a page is compacted: its items go to
// free chunks elsewhere or to the page's front, and the index, the policy and an item's other pieces are told. So memory follows any change of
// sizes at once. A short item costs 24 bytes beside key and value, 4 each for client flags and expiry if it has them, 2 for
// a CAS beyond 48 bits, and rounding. Items of more than 4 KiB are a head and pieces with links both ways.
//
// A shard that needs memory takes, in this order: a free chunk; a page of the pool; what compacting yields once a 32nd of its memory lies free; a page of
// the richest shard while it has less than 7/8 of a fair share itself; then it evicts. A shard never waits for another's lock while it holds
// its own (it only tries it), so that no cycle can arise; Reserve, which holds no lock when it is out of memory, waits for one at a time.
//
// # Index
//
// Lines of 64 bytes hold twelve items, each a handle and eight bits of its hash. A key has two lines; the first choice is full for few. The
// table grows by an eighth (a quarter while memory abounds), a few lines with each store, in the order of the hash: lines are 80 to 88 % full, there is no
// stall and no second table. It shrinks the same way. Scans go by the hash, so resizes do not disturb them.
//
// # Bounds
//
// Pages, index, the policy's tables and the page table together stay below the limit: memory for a new item is made by evicting
// before it is taken. (The Advisor's shadows, a megabyte or so for the whole store, are not in it.) With eviction off, Put and Reserve fail with ErrNoMemory. The work for
// one key is bounded: it looks at two lines; when both are full and nothing in them can move to another, one of their items is evicted. What
// Pending and Pinned values hold counts against the limit, and once nothing else can be evicted, stores fail with ErrNoMemory.
//
// # Files
//
// With Options.File the pages lie in a file on a tmpfs, and Close adds what is not in them: what each page is, checksums, the policy's order. New checks
// all of it, reading each page once and in order, every handle before it follows it, and begins empty when anything is wrong, saying why in Recovery. While a store is open its file is marked as
// not closed, so that what a killed process leaves is never used.
package engine
