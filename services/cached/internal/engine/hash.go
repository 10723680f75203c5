package engine

import "github.com/zeebo/xxh3"

// mix spreads every bit of a hash to the upper ones: the shard and a key's second line come from there, the first line and the tag from the
// hash itself, so that within a shard no bit of the hash is fixed.
const mix = 0x9e3779b97f4a7c15

func hashOf(key []byte, seed uint64) uint64 { return xxh3.HashSeed(key, seed) }

// shardBits are the bits that choose a key's shard.
func shardBits(hash uint64) uint64 { return hash * mix >> 56 }

// positions are a key's two places in its shard's index, as fractions of 2³².
func positions(hash uint64) (first, second uint32) {
	return uint32(hash), uint32(hash * mix >> 16)
}

// tagOf is what a line keeps of a key's hash.
func tagOf(hash uint64) uint8 { return uint8(hash >> 56) }

// scale maps a position to one of n lines, in order of position.
func scale(pos, n uint32) uint32 {
	return uint32(uint64(pos) * uint64(n) >> 32)
}

// behind is the least position that scale maps behind line i of n; 1<<32 for the last line.
func behind(i, n uint32) uint64 {
	return (uint64(i+1)<<32 + uint64(n) - 1) / uint64(n)
}
