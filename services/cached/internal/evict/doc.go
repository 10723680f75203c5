// Package evict decides which item leaves a full cache.
//
// # Contract
//
// A [Policy] belongs to one shard of the engine and is called under that shard's lock; it starts no goroutine, reads no clock and
// draws no random number, so the same calls give the same victims. It never holds a Go pointer per item: an item is a handle
// (uint32, 0 is none) and begins with a [Node], nine bytes of which belong to the policy. The engine gives access by a [Space], a type
// parameter.
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
//	deleted, not here    Forget(hash)          optional
//	memory needed        Victim()              unlinks the item; the engine frees it without calling Remove
//	budget changed       SetCapacity(weight)
//
// Hashes are of the key, 64 bits, seeded by the engine and well mixed; Hit, Miss, Admit and Forget get them as arguments because
// the engine has them at hand, Replace, Remove and Victim ask the Space. Weights are what the engine charges for the item (bytes, or 1
// each); they change by Replace and Reweigh only. The policy does not enforce the budget: the engine calls Victim until it has what it
// needs, before or after Admit. It may keep its shard at another weight than the budget for long (fragmentation): the policy notices and goes by
// the weight at which it is asked for victims.
//
// Costs: every call is O(1) and allocates nothing once the tables have their size. A Hit writes the state byte if that changes, which for a hot item is
// once an epoch (an eighth of the capacity admitted); in the mode "recent" it then also moves the item, at most once an epoch. Victim looks at
// 65 items at most. Tables grow by single buckets. One call in sixteen that concern sampled keys hands its batch to the Advisor, under a
// lock that the shards share: about half a microsecond an event. While a large cache fills for the first time, the sample is halved a few times; each
// time one call takes about a millisecond.
//
// Memory of a Policy: nothing until the first eviction, then the ghosts: 8 bytes an item up to 8 192 items, at most 64 KiB (and a page of 16) up to
// 16 384 items, 4 to 5 bytes an item beyond. Memory of an Advisor: up to 1 MiB, whatever the size of the cache.
//
// # Design
//
// No known policy is good everywhere: LRU loses scans and loops, S3-FIFO recency and loops, W-TinyLFU recency. So there is a core that can run in five
// modes, and an [Advisor] that finds out which suits the traffic.
//
// The core has two FIFO queues as S3-FIFO has: a window in which new items prove themselves by a use, and a main part where an item used since is given
// another round. To this it adds three things. A key whose ghost is remembered comes back to main only if the distance to its last use is
// shorter than that of the item at main's tail (LIRS; ages are counted in epochs, five bits an item). While main is not full, what leaves the window
// fills it, used or not. And a slow hand takes out of main what nobody uses any more. Together they hold a loop of 30 times the capacity as well as
// W-TinyLFU does, without a sketch, and are ahead of S3-FIFO on stationary popularity.
//
// Modes differ in the window's size, in the uses that prove an item, and in how long ghosts count; the last is LRU over the same queues. All modes share
// the queues and the state bytes, so that a change of mode moves nothing at once: the queues grow into it.
//
// The Advisor runs all modes side by side as shadow caches on a sample of the keys. See there for how it judges.
package evict
