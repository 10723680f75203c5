package engine

import (
	"errors"

	"github.com/everup/everup/services/cached/internal/arena"
	"github.com/everup/everup/services/cached/internal/evict"
)

// census walks a shard's pages of items while a file is read and counts what they hold. It goes by memory and follows neither the index nor the policy's
// links into it: with many items each step would wait for memory. Every item must be in the index, under its own key; since the walk meets each
// item once and the index holds as many entries as the walk meets items, each entry then leads to an item. The links are left to the Roll.
type census struct {
	*shard
	roll   *evict.Roll
	items  int
	pieces int
	longs  []uint32 // long items, whose pieces may lie on any page

	first  inquiries // for items in their first lines
	second inquiries // for those that are not there, in their second
}

var (
	errChunk = errors.New("a chunk is malformed")
	errIndex = errors.New("index and pages do not agree")
)

// page walks a page, checks each chunk and lists the free ones.
func (c *census) page(n uint32) error {
	sh := c.shard
	sh.pool.table[n] = page{kind: pageItems, owner: sh.owner, soonest: never32}
	sh.pages++
	sh.enter(n, 0)
	base := n << sh.pageBits
	prev := uint8(kindItem)
	for h := base; h <= base+sh.mask; {
		units, net := sh.sound(h)
		shape := sh.shape(h)
		if units == 0 || (shape&before != 0) != (prev == kindFree) {
			return errChunk
		}
		switch prev = shape & kindMask; prev {
		case kindFree:
			sh.list(h, units)
			sh.count(h, int(units))
		case kindItem:
			if err := c.item(h, net*sh.unit); err != nil {
				return err
			}
		case kindPiece:
			c.pieces++
		}
		h += units
	}
	return nil
}

// item takes in an item whose first chunk has a weight.
func (c *census) item(h, weight uint32) error {
	sh, it := c.shard, c.shard.item(h)
	c.items++
	if it.has(hasTTL) {
		sh.soon(h)
	}
	if it.has(isLong) {
		c.longs = append(c.longs, h)
		weight = sh.long(h).weight
	}
	c.account(h, it)
	c.roll.Meet(h, &it.Node, weight)
	hash := hashOf(sh.a.Bytes(h, it.keyAt(), it.klen()), sh.seed)
	if sh.store.shard(hash) != sh {
		return errIndex
	}
	if c.first.n == len(c.first.list) {
		if err := c.lookUpFirst(); err != nil {
			return err
		}
	}
	pos, _ := positions(hash)
	c.first.add(inquiry{hash, h, pos})
	return nil
}

// account is shard.account, whose calls cost more than what they do.
func (c *census) account(h uint32, it *header) {
	value, flags := int(it.vlen), uint32(0)
	if it.has(isLong) {
		value = int(c.long(h).total)
	}
	if it.has(hasFlags) {
		flags = c.flags(h)
	}
	size := ItemSize(it.klen(), value, flags, !c.store.o.NoCAS)
	k := &c.class[ClassOf(size)]
	c.bytes += int64(size)
	k.Items++
	k.Bytes += int64(size)
}

// lookUpFirst looks for the waiting items in their first lines, and notes down those that are not there.
func (c *census) lookUpFirst() error {
	return c.first.each(c.shard, func(q inquiry) error {
		if c.second.n == len(c.second.list) {
			if err := c.lookUpSecond(); err != nil {
				return err
			}
		}
		_, q.pos = positions(q.hash)
		c.second.add(q)
		return nil
	})
}

// lookUpSecond looks for the waiting items in their second lines, where they must be.
func (c *census) lookUpSecond() error {
	return c.second.each(c.shard, func(inquiry) error { return errIndex })
}

// finish checks the long items and that nothing is left over.
func (c *census) finish() error {
	if err := c.lookUpFirst(); err != nil {
		return err
	}
	if err := c.lookUpSecond(); err != nil {
		return err
	}
	for _, h := range c.longs {
		if err := c.follow(h); err != nil {
			return err
		}
	}
	if c.items != c.index.items || c.pieces != 0 {
		return errIndex
	}
	return nil
}

// follow checks the pieces of a long item.
func (c *census) follow(h uint32) error {
	sh := c.shard
	l := sh.long(h)
	total, weight, prev := uint64(sh.item(h).vlen), sh.net(h), h
	for p := l.first; p != 0; p = sh.piece(p).Next {
		if c.pieces == 0 || !sh.known(p) || sh.kind(p) != kindPiece {
			return errChunk
		}
		q := sh.piece(p)
		units, net := sh.sound(p)
		if units == 0 || q.item != h || q.Prev != prev {
			return errChunk
		}
		c.pieces--
		total += uint64(q.vlen)
		weight += net * sh.unit
		prev = p
	}
	if total != uint64(l.total) || weight != l.weight {
		return errChunk
	}
	return nil
}

// known reports whether h may be followed: it lies on one of the shard's pages of items, with room for a header behind it.
func (sh *shard) known(h uint32) bool {
	n := h >> sh.pageBits
	if n == 0 || n >= sh.pool.high {
		return false
	}
	pg := &sh.pool.table[n]
	return pg.kind == pageItems && pg.owner == sh.owner && (sh.mask+1-h&sh.mask)*sh.unit >= headerSize
}

// sound is the size of the chunk at h, and that without slack, in units; 0 unless the chunk can be what it says and ends on its page.
func (sh *shard) sound(h uint32) (units, net uint32) {
	left := sh.mask + 1 - h&sh.mask
	room := int(left * sh.unit)
	if room < minChunk {
		return 0, 0
	}
	n, shape := 0, sh.shape(h)
	switch shape & kindMask {
	case kindFree:
		units = sh.chunk(h).size
		if units < sh.least || units > left || *arena.Field[uint32](sh.a, h, int(units*sh.unit)-4) != units || shape&^before != kindFree {
			return 0, 0
		}
		return units, units
	case kindItem:
		if room < headerSize { // which the last chunk of the last page may not have behind it
			return 0, 0
		}
		it := sh.item(h)
		n = it.keyAt()
		if room < n || shape&loose != 0 || it.is(arriving) || shape&isLong != 0 && sh.long(h).pins != 0 {
			return 0, 0
		}
		klen := it.klen()
		if klen < 1 || klen > MaxKey {
			return 0, 0
		}
		n += klen + int(it.vlen)
	case kindPiece:
		if room < pieceSize || sh.piece(h).vlen > uint32(room) {
			return 0, 0
		}
		n = pieceSize + int(sh.piece(h).vlen)
	default:
		return 0, 0
	}
	net = uint32(n+int(sh.unit)-1) >> sh.a.Shift()
	if units = net + sh.slack(h); units > left {
		return 0, 0
	}
	return units, net
}
