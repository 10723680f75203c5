package loop

import "math/bits"

const (
	poolMin  = 9          // the smallest buffer has 1<<poolMin bytes
	poolMax  = 17         // the largest that is kept for reuse
	poolKeep = 256 << 10  // bytes kept of each size
	heldFree = 1<<12 + 64 // a buffer up to this size is not denied, whatever Limits.Buffers says
)

// pool lends buffers whose sizes are powers of two. It belongs to one loop.
type pool struct {
	free [poolMax - poolMin + 1][][]byte
	lent int64 // bytes out
}

// get returns an empty buffer for n bytes or more.
func (p *pool) get(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), poolMin)
	p.lent += 1 << class
	if class <= poolMax {
		if f := p.free[class-poolMin]; len(f) > 0 {
			b := f[len(f)-1]
			f[len(f)-1] = nil
			p.free[class-poolMin] = f[:len(f)-1]
			return b
		}
	}
	return make([]byte, 0, 1<<class)
}

// put takes back what get lent; nil is nothing.
func (p *pool) put(b []byte) {
	if b == nil {
		return
	}
	p.lent -= int64(cap(b))
	class := bits.Len(uint(cap(b))) - 1
	if class > poolMax {
		return
	}
	if f := p.free[class-poolMin]; len(f)<<class < poolKeep {
		p.free[class-poolMin] = append(f, b[:0])
	}
}
