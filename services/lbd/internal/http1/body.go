package http1

// Body reads a message's body by its Framing. It is used again and again.
type Body struct {
	kind   FramingKind
	left   int64
	chunks Chunks
}

// Begin makes b read a body.
func (b *Body) Begin(f Framing) {
	b.kind, b.left = f.Kind, f.Length
	b.chunks.Reset()
}

// Done reports whether the body has ended. One that ends with its connection never has: the caller sees the connection's
// end.
func (b *Body) Done() bool {
	switch b.kind {
	case NoBody:
		return true
	case Length:
		return b.left == 0
	case Chunked:
		return b.chunks.Done()
	}
	return false
}

// UntilClose reports whether the body ends with its connection.
func (b *Body) UntilClose() bool { return b.kind == UntilClose }

// Left returns how many bytes of content are to come, -1 if that is not known.
func (b *Body) Left() int64 {
	switch b.kind {
	case NoBody:
		return 0
	case Length:
		return b.left
	}
	return -1
}

// Skip tells that n bytes of content have gone another way than through Next, as by splice(2). It is for bodies of a
// Length and those UntilClose.
func (b *Body) Skip(n int64) { b.left = max(b.left-n, 0) }

// Next takes bytes from p, n of them, up to and with the first piece of content, which data is. It is called until p is used up
// or Done.
func (b *Body) Next(p []byte) (data []byte, n int, why Refusal) {
	switch b.kind {
	case Length:
		n = int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		return p[:n:n], n, OK
	case Chunked:
		return b.chunks.Next(p)
	case UntilClose:
		return p, len(p), OK
	}
	return nil, 0, OK
}

// Chunks returns the decoder of a chunked body, for its trailers; of another body there are none.
func (b *Body) Chunks() *Chunks { return &b.chunks }
