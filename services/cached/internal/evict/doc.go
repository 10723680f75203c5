// Package evict decides which item leaves a full cache.
//
// # Contract
//
// A [Policy] belongs to one shard of the engine and is called under that shard's lock; it starts no goroutine, reads no clock and
// draws no random number, so the same calls give the same victims. It never holds a Go pointer per item: an item is a handle
// (uint32, 0 is none) and begins with a [Node] that belongs to the policy. The engine gives access by a [Space], a type
// parameter, so that the calls are direct.
//
// The engine tells what happens:
//
//	read, found          Hit(h, hash)
//	read, not found      Miss(hash)
//	new key stored       Admit(h, hash)        also when it was missed just before: that pair is one use
//	key overwritten      Replace(old, new)     keeps its place; counts as one use, however often it is written unread
//	item moved in memory Move(old, new)        keeps its place; is no use
//	weight changed       Reweigh(h, before)    the item stays where it is; is no use
//	deleted, expired     Remove(h)
//	memory needed        Victim()              unlinks the item; the engine frees it without calling Remove
//	budget changed       SetCapacity(weight)
//
// Hashes are of the key, 64 bits, seeded by the engine and well mixed in all bits; Hit, Miss and Admit get them as arguments because the
// engine has them at hand; Victim asks the Space for the hash of what it evicts. Weights are what the engine charges for the item
// (bytes, or 1 each) and may only change by Replace and Reweigh. The policy does not enforce the budget: the engine calls Victim until it has
// what it needs, before or after Admit. It may also call Victim below the budget and Admit above it.
//
// Every call is O(1) with a bounded worst case (Victim looks at a fixed number of items) and allocates nothing, except that tables grow
// page by page, one page a call.
package evict
