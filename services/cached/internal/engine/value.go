package engine

// Pending is memory for a value that is still arriving; it belongs to no key yet. The zero Pending is empty. It must end in
// Commit, ExtendBy or Release.
type Pending struct {
	data []byte
	fill int
}

// Reserve takes memory for a value of n bytes for key into p, which must be empty. It fails with ErrTooLarge or ErrNoMemory.
func (s *Store) Reserve(p *Pending, key []byte, n int, flags uint32, now int64) error {
	if err := s.fits(len(key), n, flags); err != nil {
		return err
	}
	p.data, p.fill = make([]byte, n), 0
	return nil
}

// Buf is the next part to fill, in one piece and not empty until the value is complete; Advance says how much of it was filled.
func (p *Pending) Buf() []byte { return p.data[p.fill:] }

// Advance moves on by n filled bytes.
func (p *Pending) Advance(n int) { p.fill += n }

// Left is the number of bytes still to come.
func (p *Pending) Left() int { return len(p.data) - p.fill }

// Held reports whether p holds memory.
func (p *Pending) Held() bool { return p.data != nil }

// Release gives the memory back, if there is any.
func (p *Pending) Release() { *p = Pending{} }

// Pinned is a value kept alive for sending. The zero Pinned is empty.
type Pinned struct {
	data []byte
	n    int
}

// Len is the number of bytes not yet taken by Advance.
func (p *Pinned) Len() int { return len(p.data) }

// Next is the next piece to send, nil at the end.
func (p *Pinned) Next() []byte { return p.data }

// Pieces appends up to max pieces, from the next on, to dst: for writev.
func (p *Pinned) Pieces(dst [][]byte, max int) [][]byte {
	if len(p.data) > 0 {
		dst = append(dst, p.data)
	}
	return dst
}

// Advance moves on by n sent bytes.
func (p *Pinned) Advance(n int) { p.data = p.data[n:] }

// Unpin lets the value go. Calling it on an empty Pinned does nothing.
func (p *Pinned) Unpin() { *p = Pinned{} }
