package engine

import (
	"github.com/everup/everup/services/cached/internal/arena"
	"github.com/everup/everup/services/cached/internal/evict"
)

// A page of items is cut into chunks without gaps. Each begins with an [evict.Node], whose spare bytes say what the chunk is, so that a page can
// be walked from its start:
//
//	item    header, then for a long one four words, then client flags, expiry and the upper CAS if present, key, value
//	piece   of a long item's value
//	free    linked into one of its shard's bins by the node's Next and Prev, its size in units at both ends
//
// A chunk that follows a free one has the mark before, so that it finds the free one's start when it is freed itself. No two free
// chunks are neighbours.

// header begins an item. 24 bytes.
type header struct {
	evict.Node           // Spare: length of the key, shape, marks
	vlen       uint16    // bytes of the value in this chunk
	cas        [3]uint16 // the lower 48 bits, lowest first
	used       uint32    // Unix second of the last access
}

// long follows a long item's header: one whose value continues in pieces.
type long struct {
	pins   uint32 // readers that hold the value
	total  uint32 // bytes of the whole value
	first  uint32 // piece
	weight uint32 // bytes of all chunks, without their slack
}

// piece begins a part of a long value. Node.Next is the next piece, Node.Prev the one before or the item. 20 bytes.
type piece struct {
	evict.Node
	vlen uint32
	item uint32
}

// chunk is what a free chunk begins with.
type chunk struct {
	evict.Node
	size uint32 // units
}

const (
	headerSize = 24
	longSize   = 16
	pieceSize  = 20
	minChunk   = 16 // bytes; its size word is first and last at once

	// oneChunk is the size in bytes up to which an item is kept in one chunk; less if a page is small.
	oneChunk = 4096
	// leastPiece is the least size in bytes of a long item's chunks but the last.
	leastPiece = 1024
)

// Indices in Node.Spare.
const (
	atKey   = 0
	atShape = 1
	atMarks = 2
)

// Shape of a chunk.
const (
	kindMask  = 3
	kindFree  = 0
	kindItem  = 1
	kindPiece = 2

	before   = 1 << 2 // the chunk before this one is free
	hasFlags = 1 << 3
	hasTTL   = 1 << 4
	hasWide  = 1 << 5 // CAS of more than 48 bits
	isLong   = 1 << 6
	loose    = 1 << 7 // in no index: still arriving, or only kept for its readers
)

// Marks of an item or piece.
const (
	fetched    = 1 << 0
	stale      = 1 << 1
	won        = 1 << 2
	slackShift = 3 // two bits: units of the chunk beyond what it needs
	slackMask  = 3 << slackShift
	arriving   = 1 << 5 // loose, and a Pending owns it
	coded      = 1 << 7 // the key was given in base64
)

// keyAt is where the key begins, by bits 3 to 6 of the shape.
var keyAt = func() (t [16]uint8) {
	for i := range t {
		n := headerSize
		shape := uint8(i << 3)
		if shape&isLong != 0 {
			n += longSize
		}
		if shape&hasFlags != 0 {
			n += 4
		}
		if shape&hasTTL != 0 {
			n += 4
		}
		if shape&hasWide != 0 {
			n += 2
		}
		t[i] = uint8(n)
	}
	return t
}()

func (h *header) shape() uint8       { return h.Spare[atShape] }
func (h *header) klen() int          { return int(h.Spare[atKey]) }
func (h *header) keyAt() int         { return int(keyAt[h.Spare[atShape]>>3&15]) }
func (h *header) has(b uint8) bool   { return h.Spare[atShape]&b != 0 }
func (h *header) is(mark uint8) bool { return h.Spare[atMarks]&mark != 0 }

func (h *header) mark(m uint8, on bool) {
	if on {
		h.Spare[atMarks] |= m
	} else {
		h.Spare[atMarks] &^= m
	}
}

// space is the memory of a store's items. It is what evict sees of it.
type space struct {
	a    *arena.Arena
	seed uint64
	unit uint32 // bytes
}

func (s space) item(h uint32) *header      { return arena.At[header](s.a, h) }
func (s space) chunk(h uint32) *chunk      { return arena.At[chunk](s.a, h) }
func (s space) piece(h uint32) *piece      { return arena.At[piece](s.a, h) }
func (s space) long(h uint32) *long        { return arena.Field[long](s.a, h, headerSize) }
func (s space) shape(h uint32) uint8       { return arena.At[evict.Node](s.a, h).Spare[atShape] }
func (s space) kind(h uint32) uint8        { return s.shape(h) & kindMask }
func (s space) setShape(h uint32, b uint8) { arena.At[evict.Node](s.a, h).Spare[atShape] = b }

// Node, Weight and Hash make space an evict.Space.
func (s space) Node(h uint32) *evict.Node { return arena.At[evict.Node](s.a, h) }

// Weight is the memory that an item takes, bytes. Slack does not count: it may change when the item moves.
func (s space) Weight(h uint32) uint32 {
	if it := s.item(h); it.has(isLong) {
		return s.long(h).weight
	}
	return s.net(h)
}

// net is what a chunk takes without its slack, bytes.
func (s space) net(h uint32) uint32 { return (s.units(h) - s.slack(h)) * s.unit }

// Hash is the hash of an item's key.
func (s space) Hash(h uint32) uint64 { return hashOf(s.key(h), s.seed) }

// key is an item's key, in place.
func (s space) key(h uint32) []byte {
	it := s.item(h)
	return s.a.Bytes(h, it.keyAt(), it.klen())
}

// headValue is the part of an item's value that lies behind its key.
func (s space) headValue(h uint32) []byte {
	it := s.item(h)
	return s.a.Bytes(h, it.keyAt()+it.klen(), int(it.vlen))
}

// pieceValue is a piece's part of the value.
func (s space) pieceValue(h uint32) []byte { return s.a.Bytes(h, pieceSize, int(s.piece(h).vlen)) }

// vlen is the length of an item's whole value.
func (s space) vlen(h uint32) int {
	if it := s.item(h); !it.has(isLong) {
		return int(it.vlen)
	}
	return int(s.long(h).total)
}

// units is the size of the chunk at h.
func (s space) units(h uint32) uint32 {
	n := s.item(h)
	switch n.shape() & kindMask {
	case kindItem:
		return s.fit(n.keyAt()+n.klen()+int(n.vlen)) + uint32(n.Spare[atMarks]&slackMask)>>slackShift
	case kindPiece:
		return s.fit(pieceSize+int(s.piece(h).vlen)) + uint32(n.Spare[atMarks]&slackMask)>>slackShift
	}
	return s.chunk(h).size
}

// fit is how many units hold n bytes, at least a free chunk's.
func (s space) fit(n int) uint32 { return (uint32(max(n, minChunk)) + s.unit - 1) / s.unit }

// flags are an item's client flags.
func (s space) flags(h uint32) uint32 {
	it := s.item(h)
	if !it.has(hasFlags) {
		return 0
	}
	return *arena.Field[uint32](s.a, h, s.optional(it))
}

// optional is where the optional fields begin.
func (s space) optional(it *header) int {
	if it.has(isLong) {
		return headerSize + longSize
	}
	return headerSize
}

// ttl is the place of an item's expiry; the item must have one.
func (s space) ttl(h uint32) *uint32 {
	it := s.item(h)
	at := s.optional(it)
	if it.has(hasFlags) {
		at += 4
	}
	return arena.Field[uint32](s.a, h, at)
}

// expires is an item's expiry.
func (s space) expires(h uint32) int64 {
	if !s.item(h).has(hasTTL) {
		return Never
	}
	return int64(*s.ttl(h))
}

// dead reports whether an item's time has come.
func (s space) dead(h uint32, now int64) bool {
	e := s.expires(h)
	return e != Never && e <= now
}

// cas is an item's number.
func (s space) cas(h uint32) uint64 {
	it := s.item(h)
	n := uint64(it.cas[0]) | uint64(it.cas[1])<<16 | uint64(it.cas[2])<<32
	if it.has(hasWide) {
		n |= uint64(*arena.Field[uint16](s.a, h, it.keyAt()-2)) << 48
	}
	return n
}

// setCAS writes an item's number; one of more than 48 bits needs the upper field.
func (s space) setCAS(h uint32, n uint64) {
	it := s.item(h)
	it.cas = [3]uint16{uint16(n), uint16(n >> 16), uint16(n >> 32)}
	if it.has(hasWide) {
		*arena.Field[uint16](s.a, h, it.keyAt()-2) = uint16(n >> 48)
	}
}

// slack is the number of units of an item or piece beyond what it needs.
func (s space) slack(h uint32) uint32 {
	return uint32(s.item(h).Spare[atMarks]&slackMask) >> slackShift
}

func (s space) setSlack(h uint32, units uint8) {
	it := s.item(h)
	it.Spare[atMarks] = it.Spare[atMarks]&^slackMask | units<<slackShift
}
