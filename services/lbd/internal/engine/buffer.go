package engine

// Sizes of buffers: what is read at once, and what a message's content passes through. Content that is known to be long passes
// through a large one, in a fraction of the calls.
const (
	bufferLen = 16 << 10
	largeLen  = 64 << 10
	largeFrom = 24 << 10 // content of more bytes is long
)

// buffer holds bytes read and not used yet: b[r:w]. It has memory only while bytes are in flight.
type buffer struct {
	b     []byte
	r, w  int
	whole bool // b[:w] is all that came since this was set
}

// bytes returns what was read and not used.
func (f *buffer) bytes() []byte { return f.b[f.r:f.w] }

// empty reports whether nothing is kept.
func (f *buffer) empty() bool { return f.r == f.w }

// leastRoom is what a buffer that stays whole has free for what is read next: small reads cost more than another try is worth.
const leastRoom = 4 << 10

// use takes n bytes off. Of one that stays whole they are still there.
func (f *buffer) use(n int) {
	f.r += n
	if f.whole = f.whole && len(f.b)-f.w >= leastRoom; f.r == f.w && !f.whole {
		f.r, f.w = 0, 0
	}
}

// room returns where bytes may be read to; it is empty if the buffer is full from the start.
func (f *buffer) room() []byte {
	if f.w == len(f.b) && f.r > 0 {
		f.compact()
	}
	return f.b[f.w:]
}

func (f *buffer) compact() {
	f.whole = false
	copy(f.b, f.b[f.r:f.w])
	f.w -= f.r
	f.r = 0
}

// move gives f other memory, with what it holds.
func (f *buffer) move(b []byte) {
	f.whole = f.whole && f.r == 0
	f.w = copy(b, f.b[f.r:f.w])
	f.r, f.b = 0, b
}

// grow makes room for a head that does not fit, up to limit bytes.
func (f *buffer) grow(limit int) { f.move(make([]byte, max(min(2*len(f.b), limit), len(f.b)+1))) }

// buffers are the free ones of a worker. What is beyond the bounds is left to the garbage collector.
type buffers struct {
	free, large [][]byte
}

// Bounds of what is kept free: 16 MiB of each size a worker.
const (
	maxFree  = 1024
	maxLarge = 256
)

// get gives f memory of a size, if it has none.
func (p *buffers) get(f *buffer, size int) {
	if f.b == nil {
		f.b = p.take(size)
	}
}

func (p *buffers) take(size int) []byte {
	list := &p.free
	if size == largeLen {
		list = &p.large
	}
	if n := len(*list); n > 0 {
		b := (*list)[n-1]
		*list = (*list)[:n-1]
		return b
	}
	return make([]byte, size)
}

// fit returns memory of at least size bytes.
func (p *buffers) fit(size int) []byte {
	switch {
	case size <= bufferLen:
		return p.take(bufferLen)
	case size <= largeLen:
		return p.take(largeLen)
	}
	return make([]byte, size)
}

// enlarge moves what f holds to a large buffer.
func (p *buffers) enlarge(f *buffer) {
	if len(f.b) >= largeLen {
		return
	}
	old := f.b
	f.move(p.take(largeLen))
	p.keep(old)
}

// put takes f's memory back.
func (p *buffers) put(f *buffer) {
	p.keep(f.b)
	*f = buffer{}
}

func (p *buffers) keep(b []byte) {
	switch {
	case len(b) == bufferLen && len(p.free) < maxFree:
		p.free = append(p.free, b)
	case len(b) == largeLen && len(p.large) < maxLarge:
		p.large = append(p.large, b)
	}
}
