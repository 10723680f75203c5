package engine

import "errors"

const (
	// Never is the expiry of an item that does not expire.
	Never int64 = 0
	// MaxKey is the longest key in bytes.
	MaxKey = 250
	// Contiguous is the length up to which a value always lies in one piece, so that Ref.Value may be used.
	Contiguous = 2048
	// PinAbove is the length above which a value should be sent by Pin and not by AppendValue.
	PinAbove = 16 << 10
)

// Errors of Put, Extend, Reserve and Commit. They are values, not wrapped: the hot path compares them.
var (
	ErrTooLarge = errors.New("engine: item larger than the largest allowed")
	ErrNoMemory = errors.New("engine: out of memory and eviction is off")
)

// Options say how large a store is and how it behaves.
type Options struct {
	Memory  int64  // bound of all memory, bytes
	MaxItem int64  // memcached's -I: bound of an item as memcached counts it (ItemSize), bytes
	NoEvict bool   // memcached's -M: refuse instead of evicting
	NoCAS   bool   // memcached's -C: Ref.CAS is 0
	Shards  int    // 0: chosen from Memory and the number of CPUs
	Threads int    // event loops that will use it; 0: the number of CPUs
	Seed    uint64 // of the hash; 0: random. Tests set it.
	File    string // warm restart: path on a tmpfs, "" for none

	// Evicted, when set, is called for each item evicted while Watch(true) is in force; under the shard's lock: it must
	// neither wait nor keep the key.
	Evicted func(Gone)
	// Tap, when set, receives sampled accesses; under the shard's lock, with the same duties.
	Tap Tap
}

// Gone describes an item that was evicted.
type Gone struct {
	Key     []byte
	Size    int // as ItemSize
	Class   int
	Fetched bool
	TTL     int64 // seconds left, -1 for none
	Idle    int64 // seconds since the last access
}

// Kind says what an access was.
type Kind uint8

// Kinds of access that a Tap sees.
const (
	ReadHit Kind = iota
	ReadMiss
	Write
	Removal
)

// Tap receives accesses to sampled keys: every access to a key whose hash is below a threshold (for curves), and every n-th
// access of any key (for the hottest).
type Tap interface {
	ByHash(hash uint64, kind Kind, weight int)
	ByCount(hash uint64, key []byte, kind Kind)
}

// Counter names a count that the store keeps for the protocols, under the locks that it takes anyway.
type Counter uint8

// Counters, named after memcached's statistics.
const (
	CmdGet Counter = iota
	CmdSet
	CmdTouch
	CmdMeta
	GetHits
	GetMisses
	GetExpired
	GetFlushed
	DeleteMisses
	DeleteHits
	IncrMisses
	IncrHits
	DecrMisses
	DecrHits
	CasMisses
	CasHits
	CasBadval
	TouchHits
	TouchMisses
	StoreTooLarge
	StoreNoMemory
	numCounters
)

// NumCounters is the number of Counters.
const NumCounters = int(numCounters)

// Stats are sizes now and counts since the start.
type Stats struct {
	Items, Bytes, Limit                int64 // Bytes as memcached counts: the sum of ItemSize
	Used                               int64 // bytes of memory taken from Limit: pages, index, tables
	Total                              uint64
	Evictions, EvictedUnfetched        uint64
	Reclaimed, ExpiredUnfetched        uint64 // expired items whose memory was taken back
	SweeperChecked                     uint64
	Shards                             int
	HashBytes, HashPower               int64
	Counts                             [NumCounters]uint64
	EvictedActive, DirectReclaims      uint64
	EvictedNonZero, TailRepairs, OutOf uint64
	Crowded                            uint64 // items evicted because too many keys shared a line of the index
	Reserved                           int64  // bytes taken by values that are arriving or only kept for readers
	Free                               int64  // bytes in pages of items that hold nothing
}

// ClassStats are one virtual slab class's counts: cached has no slabs; items are counted by the class in which memcached would keep them.
type ClassStats struct {
	ChunkSize                      int
	Items, Bytes                   int64 // Bytes: sum of ItemSize
	GetHits, CmdSet, DeleteHits    uint64
	IncrHits, DecrHits             uint64
	CasHits, CasBadval, TouchHits  uint64
	Evicted, EvictedNonZero        uint64
	EvictedUnfetched, EvictedTime  uint64
	Expired, ExpiredUnfetched, OOM uint64
	OldestAge                      int64 // seconds since the last access of the oldest item
}

// Value is what Put stores besides the data.
type Value struct {
	Flags   uint32
	Expires int64  // Unix seconds, Never, or a time that has passed
	CAS     uint64 // 0: the next one of the store's counter
	Coded   bool   // the client gave the key in base64, and is shown it so
}

// ItemSize is an item's size as memcached counts it: 48 bytes of header, 8 of CAS, the key and a NUL, 4 of flags when they are
// not zero, the data and its line end. Statistics, dumps and the bound -I use it, whatever cached itself needs.
func ItemSize(key, value int, flags uint32, cas bool) int {
	n := 48 + key + 1 + value + 2
	if cas {
		n += 8
	}
	if flags != 0 {
		n += 4
	}
	return n
}
