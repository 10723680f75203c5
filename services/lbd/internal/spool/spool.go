package spool

import (
	"fmt"
	"io"
)

// Spool is a queue of bytes. The zero value is not ready to use: see Store.Open.
type Spool struct {
	store  *Store
	memory int64 // bytes that may be held in memory
	limit  int64 // bytes that may be held, with keep: be written in all
	keep   bool

	pieces [][]byte // each is full but the last one
	first  int64    // place in the stream of the first piece's first byte
	inMem  int64    // place where what is in memory ends, and what is in the file begins
	file   file
	at     int64 // place in the stream of the file's first byte
	size   int64 // of the file: bytes that are accounted for
	read   int64 // place of the next byte to be read
	end    int64 // place of the next byte to be written
}

// Len returns how many bytes wait to be read.
func (s *Spool) Len() int64 { return s.end - s.read }

// Size returns how many bytes were written in all.
func (s *Spool) Size() int64 { return s.end }

// Write takes bytes at the end: how many, and why not all. The bytes of p are copied.
func (s *Spool) Write(p []byte) (n int, err error) {
	if left := s.limit - s.held(); int64(len(p)) > left {
		p, err = p[:max(left, 0)], ErrLimit
	}
	for len(p) > 0 && s.fileEmpty() {
		room := s.room()
		if room == nil {
			break
		}
		k := copy(room, p)
		s.end += int64(k)
		s.inMem = s.end
		n, p = n+k, p[k:]
	}
	if len(p) > 0 {
		k, why := s.writeFile(p)
		if n += k; why != nil {
			return n, why
		}
	}
	if err != nil {
		s.store.counts.limited.Add(1)
	}
	return n, err
}

// held returns how many bytes count for the limit. Those of the file do until all of it was read, for it is emptied only then: else the file of
// a reader that is always a little behind would grow for as long as the stream lasts.
func (s *Spool) held() int64 {
	switch {
	case s.keep:
		return s.end
	case s.fileEmpty():
		return s.end - s.read
	}
	return s.end - min(s.read, s.at)
}

// fileEmpty reports whether what is written next may go to memory: nothing older is in the file.
func (s *Spool) fileEmpty() bool { return s.end == s.inMem }

// recycle begins anew, for everything was read.
func (s *Spool) recycle() {
	if s.size > 0 {
		s.empty()
	}
	s.drop(len(s.pieces))
	s.first, s.inMem = s.end, s.end
}

// empty gives the file's bytes back to the disk. A file that cannot be emptied is closed: it is not written over, for what was sent from it may
// still be on its way in the kernel.
func (s *Spool) empty() {
	if s.file.Truncate(0) != nil {
		s.store.counts.failed.Add(1)
		s.closeFile()
	}
	s.unaccount(0)
}

func (s *Spool) closeFile() {
	if s.file != nil {
		s.file.Close() // what was in it is of no use any more
		s.file = nil
		s.store.counts.inFiles.Add(-1)
	}
}

// room returns where bytes may be written in memory, nil if there is no place.
func (s *Spool) room() []byte {
	used := s.end - s.first
	if used == int64(len(s.pieces))*PieceLen {
		if used+PieceLen > s.memory {
			return nil
		}
		p := s.store.piece()
		if p == nil {
			return nil
		}
		s.pieces = append(s.pieces, p)
	}
	return s.pieces[used/PieceLen][used%PieceLen:]
}

// drop frees the first n pieces.
func (s *Spool) drop(n int) {
	for _, p := range s.pieces[:n] {
		s.store.put(p)
	}
	k := copy(s.pieces, s.pieces[n:])
	clear(s.pieces[k:])
	s.pieces = s.pieces[:k]
	s.first += int64(n) * PieceLen
}

// writeFile takes bytes at the end of the file.
func (s *Spool) writeFile(p []byte) (n int, err error) {
	if s.fileEmpty() {
		s.at = s.end
	}
	off := s.end - s.at
	if grows := off + int64(len(p)) - s.size; grows > 0 {
		if !take(&s.store.files, grows, s.store.limits.Load().Files) {
			s.store.counts.full.Add(1)
			return 0, ErrFull
		}
		s.size += grows
	}
	if s.file == nil {
		if s.file, err = s.store.open(); err != nil {
			s.file = nil
			s.unaccount(off)
			return 0, s.failed(err)
		}
		s.store.counts.opened.Add(1)
		s.store.counts.inFiles.Add(1)
	}
	n, err = s.file.WriteAt(p, off)
	s.end += int64(n)
	if err != nil {
		s.unaccount(off + int64(n))
		return n, s.failed(fmt.Errorf("spool: write %d bytes: %w", len(p), err))
	}
	return n, nil
}

// unaccount takes the file's size down to what it is.
func (s *Spool) unaccount(size int64) {
	s.store.files.Add(size - s.size)
	s.size = size
}

func (s *Spool) failed(err error) error {
	s.store.counts.failed.Add(1)
	return err
}

// Next returns the next bytes and counts them as read: those in memory where they are, those of the file in buf, which is not empty. They are good until
// the next call of a method other than Write. io.EOF: none wait.
func (s *Spool) Next(buf []byte) ([]byte, error) {
	s.forget()
	switch {
	case s.read == s.end:
		return nil, io.EOF
	case s.read < s.inMem:
		at := s.read - s.first
		p := s.pieces[at/PieceLen]
		p = p[at%PieceLen : min(PieceLen, at%PieceLen+s.inMem-s.read)]
		s.read += int64(len(p))
		return p, nil
	}
	n := int(min(s.end-s.read, int64(len(buf))))
	n, err := s.file.ReadAt(buf[:n], s.read-s.at)
	s.read += int64(n)
	if n == 0 {
		return nil, s.failed(fmt.Errorf("spool: read at %d of %d: %w", s.read-s.at, s.size, err))
	}
	return buf[:n], nil
}

// forget frees the pieces that were read.
func (s *Spool) forget() {
	if s.keep {
		return
	}
	if n := int(s.read-s.first) / PieceLen; n > 0 {
		s.drop(min(n, len(s.pieces)))
	}
	if s.read == s.end {
		s.recycle()
	}
}

// InFile reports whether the next bytes are in the file: fd is its descriptor, off where they begin and n how many there are. They are read by Skip.
func (s *Spool) InFile() (fd int, off, n int64, ok bool) {
	if s.read < s.inMem || s.read == s.end {
		return 0, 0, 0, false
	}
	return int(s.file.Fd()), s.read - s.at, s.end - s.read, true
}

// Skip counts n bytes of the file as read, which have gone another way, as by sendfile(2).
func (s *Spool) Skip(n int64) { s.read = min(s.read+n, s.end) }

// Rewind begins reading anew. The spool must keep.
func (s *Spool) Rewind() {
	if !s.keep {
		panic("BUG: spool: rewound, but not kept")
	}
	s.read = 0
}

// Close gives everything back. The spool is not used again.
func (s *Spool) Close() {
	s.drop(len(s.pieces))
	s.unaccount(0)
	s.closeFile()
	s.store.counts.spools.Add(-1)
	*s = Spool{}
}
