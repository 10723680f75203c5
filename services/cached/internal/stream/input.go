package stream

import (
	"sync"
)

const (
	smallInput = 1 << 10  // what an idle connection has
	largeInput = 16 << 10 // a TLS record
	outputCap  = 96 << 10 // of an output buffer
	freeInput  = 64 << 10 // above this, input counts towards Limits.Buffers
)

// input is what was read and not consumed: buf[off:].
type input struct {
	buf   []byte
	off   int
	full  bool // the last read filled the room it had: more is on its way
	large bool // buf is borrowed
}

func (i *input) rest() []byte { return i.buf[i.off:] }

func (i *input) skip(n int) { i.off += n }

func (i *input) came(n int) {
	i.full = len(i.buf)+n == cap(i.buf)
	i.buf = i.buf[:len(i.buf)+n]
}

// room returns memory for the next read, behind what is held: a small piece when nothing is, for the wait may be long.
func (i *input) room(s *Server) ([]byte, error) {
	held := copy(i.buf, i.rest())
	i.buf, i.off = i.buf[:held], 0
	want := cap(i.buf)
	switch {
	case held == 0 && !i.full:
		want = smallInput
	case held == 0:
		want = largeInput
	case i.full || cap(i.buf)-held < smallInput/2:
		want = max(2*cap(i.buf), largeInput)
	}
	if want != cap(i.buf) {
		if err := i.resize(want, s); err != nil {
			return nil, err
		}
	}
	return i.buf[held:cap(i.buf)], nil
}

// put replaces the input by b.
func (i *input) put(b []byte, s *Server) error {
	if err := i.resize(max(len(b), smallInput), s); err != nil {
		return err
	}
	i.buf, i.off, i.full = append(i.buf[:0], b...), 0, false
	return nil
}

// resize moves the input to memory of n bytes.
func (i *input) resize(n int, s *Server) error {
	was := i.counted()
	var b []byte
	if n == largeInput {
		b = borrow(&s.inputs)
	} else {
		b = make([]byte, 0, n)
	}
	old := *i
	i.buf, i.off, i.large = append(b, old.rest()...), 0, n == largeInput
	if old.large {
		giveBack(&s.inputs, old.buf, largeInput)
	}
	if now := i.counted(); s.held.Add(now-was) > s.limits.Load().MostBuffers() && now > was {
		s.buffersFull.Add(1)
		return errNoRoom
	}
	return nil
}

func (i *input) counted() int64 {
	if cap(i.buf) <= freeInput {
		return 0
	}
	return int64(cap(i.buf))
}

func (i *input) release(s *Server) {
	s.held.Add(-i.counted())
	if i.large {
		giveBack(&s.inputs, i.buf, largeInput)
	}
	*i = input{}
}

// borrow takes an empty buffer from a pool.
func borrow(p *sync.Pool) []byte { return (*p.Get().(*[]byte))[:0] }

// giveBack returns one, unless it has grown beyond what the pool keeps; nil is nothing.
func giveBack(p *sync.Pool, b []byte, size int) {
	if b = b[:0]; cap(b) >= size && cap(b) <= 4*size {
		p.Put(&b)
	}
}
