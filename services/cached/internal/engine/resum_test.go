package engine

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// resum makes all checksums of an image fit, as far as its superblock can be followed.
func resum(p []byte) {
	le := binary.LittleEndian
	shift, high, size := le.Uint32(p[20:]), uint64(le.Uint32(p[56:])), le.Uint64(p[60:])
	fix := func() { le.PutUint64(p[superSize-8:], xxh3.Hash(p[:superSize-8])) }
	defer fix()
	if shift > 20 || high > 1<<20 || size > uint64(len(p)) || high<<shift+size > uint64(len(p)) || high*pageImageSize > size {
		return
	}
	body := p[high<<shift:][:size]
	for i := range high {
		if body[i*pageImageSize] != pageFree {
			le.PutUint64(body[i*pageImageSize+3:], xxh3.Hash(p[i<<shift:][:1<<shift]))
		}
	}
	le.PutUint64(p[68:], xxh3.Hash(body))
}
