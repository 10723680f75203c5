package engine

import "slices"

// Virtual slab classes: memcached's chunk sizes with its default growth factor, 96·1.25ⁿ rounded up to 8 bytes.
const (
	firstChunk = 96
	// LargestChunk is memcached's slab_chunk_max: larger items are chained there and counted in the last class.
	LargestChunk = 512 << 10
	growth       = 1.25
)

// maxClasses bounds the number of virtual slab classes, counted from 1.
const maxClasses = 48

var (
	chunkSizes = makeChunkSizes()
	// smallClass is the class of sizes up to 4 KiB, by size in steps of 8 rounded up.
	smallClass = func() (t [4096/8 + 1]uint8) {
		for i := range t {
			t[i] = uint8(searchClass(i * 8))
		}
		return t
	}()
)

func makeChunkSizes() []int {
	var sizes []int
	for size := firstChunk; float64(size) < LargestChunk/growth; {
		sizes = append(sizes, size)
		size = (int(float64(size)*growth) + 7) &^ 7
	}
	return append(sizes, LargestChunk)
}

// ChunkSizes are the chunk sizes of the virtual slab classes; class c has ChunkSizes()[c-1].
func ChunkSizes() []int { return slices.Clone(chunkSizes) }

// ClassOf is the virtual slab class of an item of size bytes (ItemSize).
func ClassOf(size int) int {
	if size <= 4096 {
		return int(smallClass[(max(size, 0)+7)/8])
	}
	return searchClass(size)
}

func searchClass(size int) int {
	i, _ := slices.BinarySearch(chunkSizes, size)
	return min(i+1, len(chunkSizes))
}
