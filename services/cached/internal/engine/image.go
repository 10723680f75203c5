package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/everup/everup/services/cached/internal/arena"
	"github.com/everup/everup/services/cached/internal/evict"
	"github.com/zeebo/xxh3"
)

// A store's file begins with a superblock on page 0. The pages follow as they are in memory, then, from a clean stop to the next start, the
// tables: what each page is, with its checksum, and each shard's index and policy. All numbers are little-endian.

// imageVersion changes with anything that a file of an older version would get wrong: the layout of chunks, lines and tables.
const imageVersion = 2

var imageMagic = [8]byte{'e', 'v', 'e', 'r', 'u', 'p', 'C', 0}

// superblock describes a closed store.
type superblock struct {
	unitShift, pageShift, shards uint32
	noCAS                        bool
	seed, lastCAS                uint64
	flushAt                      int64
	high                         uint32 // pages of the image
	tables                       uint64 // bytes behind the pages
	sum                          uint64 // of the tables
}

const superSize = 8 + 4 + 4 + 4*4 + 8*3 + 4 + 8 + 8 + 8

// encode writes the superblock. clean says that all it describes is there.
func (b *superblock) encode(clean bool) []byte {
	p := append(make([]byte, 0, superSize), imageMagic[:]...)
	le := binary.LittleEndian
	p = le.AppendUint32(p, imageVersion)
	p = le.AppendUint32(p, flag(clean))
	for _, n := range []uint32{b.unitShift, b.pageShift, b.shards, flag(b.noCAS)} {
		p = le.AppendUint32(p, n)
	}
	p = le.AppendUint64(p, b.seed)
	p = le.AppendUint64(p, b.lastCAS)
	p = le.AppendUint64(p, uint64(b.flushAt))
	p = le.AppendUint32(p, b.high)
	p = le.AppendUint64(p, b.tables)
	p = le.AppendUint64(p, b.sum)
	return le.AppendUint64(p, xxh3.Hash(p))
}

func flag(on bool) uint32 {
	if on {
		return 1
	}
	return 0
}

// decodeSuper reads a superblock from a file of the given size. It checks all that later steps rely on.
func decodeSuper(p []byte, size int64) (*superblock, error) {
	switch {
	case len(p) == superSize && [8]byte(p) == [8]byte{}: // a store's first run ended without Close
		return nil, errors.New("not closed cleanly")
	case len(p) < superSize || [8]byte(p) != imageMagic:
		return nil, errors.New("not a cache file")
	}
	le := binary.LittleEndian
	if v := le.Uint32(p[8:]); v != imageVersion {
		return nil, fmt.Errorf("version %d, not %d", v, imageVersion)
	}
	if le.Uint64(p[superSize-8:]) != xxh3.Hash(p[:superSize-8]) {
		return nil, errors.New("superblock damaged")
	}
	if le.Uint32(p[12:]) != 1 {
		return nil, errors.New("not closed cleanly")
	}
	b := &superblock{
		unitShift: le.Uint32(p[16:]), pageShift: le.Uint32(p[20:]), shards: le.Uint32(p[24:]), noCAS: le.Uint32(p[28:]) == 1,
		seed: le.Uint64(p[32:]), lastCAS: le.Uint64(p[40:]), flushAt: int64(le.Uint64(p[48:])),
		high: le.Uint32(p[56:]), tables: le.Uint64(p[60:]), sum: le.Uint64(p[68:]),
	}
	switch {
	case b.unitShift < arena.UnitShift0 || b.unitShift > 8,
		b.pageShift != smallPage && b.pageShift != largePage,
		b.shards == 0 || b.shards > maxShards || b.shards&(b.shards-1) != 0,
		b.high == 0 || uint64(b.high) > 1<<32>>(b.pageShift-b.unitShift),
		int64(b.tables) < 0 || int64(b.high)<<b.pageShift+int64(b.tables) > size:
		return nil, errors.New("superblock does not fit the file")
	}
	return b, nil
}

// tables are what the superblock's tables hold.
type tables struct {
	pages  []pageImage
	shards []shardImage
}

type pageImage struct {
	kind  uint8
	owner uint16
	sum   uint64
}

// pageImageSize is a pageImage in the file.
const pageImageSize = 1 + 2 + 8

type shardImage struct {
	curN, nextN, front uint32
	cur, next          []uint32
	items              uint32
	order              [evict.Queues][]byte // items in the policy's queues, oldest first, four bytes each
	policy             []byte               // what else it keeps
}

func (t *tables) encode() []byte {
	le := binary.LittleEndian
	p := make([]byte, 0, t.size())
	for _, g := range t.pages {
		p = append(p, g.kind)
		p = le.AppendUint16(p, g.owner)
		p = le.AppendUint64(p, g.sum)
	}
	for _, s := range t.shards {
		for _, n := range []uint32{s.curN, s.nextN, s.front, s.items} {
			p = le.AppendUint32(p, n)
		}
		p = appendWords(p, s.cur)
		p = appendWords(p, s.next)
		for _, o := range s.order {
			p = append(le.AppendUint32(p, uint32(len(o)/4)), o...)
		}
		p = le.AppendUint64(p, uint64(len(s.policy)))
		p = append(p, s.policy...)
	}
	return p
}

// size is the number of bytes of the encoded tables.
func (t *tables) size() int {
	n := pageImageSize * len(t.pages)
	for _, s := range t.shards {
		n += 4*6 + 4*len(s.cur) + 4*len(s.next) + 8 + len(s.policy)
		for _, o := range s.order {
			n += 4 + len(o)
		}
	}
	return n
}

func appendWords(p []byte, words []uint32) []byte {
	p = binary.LittleEndian.AppendUint32(p, uint32(len(words)))
	for _, w := range words {
		p = binary.LittleEndian.AppendUint32(p, w)
	}
	return p
}

// reader takes numbers from bytes; what is not there reads as 0 and makes it fail.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.p)) {
		r.bad = true
		return nil
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b
}

func (r *reader) uint(n uint64) (v uint64) {
	for i, b := range r.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (r *reader) words(most uint64) []uint32 {
	n := r.uint(4)
	if n > most || n*4 > uint64(len(r.p)) {
		r.bad = true
		return nil
	}
	w := make([]uint32, n)
	for i, b := 0, r.take(4*n); i < len(w); i++ {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}

// decodeTables reads the tables of a store that b describes. Page numbers in them are below b.high; nothing else is checked. Long parts stay in p.
func decodeTables(p []byte, b *superblock) (*tables, error) {
	if uint64(len(p)) != b.tables || xxh3.Hash(p) != b.sum {
		return nil, errors.New("tables damaged")
	}
	r := reader{p: p}
	t := &tables{}
	if uint64(b.high)*pageImageSize > uint64(len(p)) {
		return nil, errors.New("tables too short")
	}
	t.pages = make([]pageImage, b.high)
	for i := range t.pages {
		t.pages[i] = pageImage{kind: uint8(r.uint(1)), owner: uint16(r.uint(2)), sum: r.uint(8)}
	}
	for range b.shards {
		s := shardImage{curN: uint32(r.uint(4)), nextN: uint32(r.uint(4)), front: uint32(r.uint(4)), items: uint32(r.uint(4))}
		s.cur = r.words(uint64(b.high))
		s.next = r.words(uint64(b.high))
		for q := range s.order {
			s.order[q] = r.take(4 * r.uint(4))
		}
		s.policy = r.take(r.uint(8))
		t.shards = append(t.shards, s)
	}
	if r.bad || len(r.p) != 0 {
		return nil, errors.New("tables malformed")
	}
	for _, s := range t.shards {
		for _, dir := range [][]uint32{s.cur, s.next} {
			for _, n := range dir {
				if n >= b.high {
					return nil, errors.New("tables name a page beyond the end")
				}
			}
		}
	}
	return t, nil
}
