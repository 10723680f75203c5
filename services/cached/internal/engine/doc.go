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
// # Bounds
//
// Pages, index, ghosts and tables together stay below the limit, always: memory for a new item is made by evicting
// before it is taken. With eviction off, Put and Reserve fail with ErrNoMemory. The work for one key is bounded: an index bucket has a longest chain,
// beyond which the bucket's own items are evicted.
package engine
