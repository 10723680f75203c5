package engine

// Virtual slab classes: memcached's chunk sizes with its default growth factor, 96·1.25ⁿ rounded up to 8 bytes.
const (
	firstChunk = 96
	// LargestChunk is memcached's slab_chunk_max: larger items are chained there and counted in the last class.
	LargestChunk = 512 << 10
	growth       = 1.25
)

// ChunkSizes are the chunk sizes of the virtual slab classes; class c has ChunkSizes()[c-1].
func ChunkSizes() []int {
	var sizes []int
	for size := firstChunk; float64(size) < LargestChunk/growth; {
		sizes = append(sizes, size)
		size = (int(float64(size)*growth) + 7) &^ 7
	}
	return append(sizes, LargestChunk)
}

// ClassOf is the virtual slab class of an item of size bytes (ItemSize).
func ClassOf(size int) int {
	for i, c := range ChunkSizes() {
		if size <= c {
			return i + 1
		}
	}
	return len(ChunkSizes())
}
