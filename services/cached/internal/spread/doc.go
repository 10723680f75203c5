// Package spread connects a cache to the others of its fleet: it applies invalidations that come over the bus, and tells subscribers which
// keys this cache's own clients stored and deleted.
//
// An invalidation names keys or a prefix; [Apply] deletes them here and says how many there were. Every cache of the
// fleet answers for itself, so the caller knows who applied it. What a client stores while a prefix is being walked may
// be deleted with it.
//
// A [Publisher] takes changes on the hot path, never waiting: a bounded buffer, emptied by one goroutine into events of up to
// maxBatch bytes. Events are numbered from 1 for each run of the daemon; an event says how many changes were lost before it, so a
// subscriber that sees a gap or a loss knows that it must forget what it keeps from this cache.
package spread
