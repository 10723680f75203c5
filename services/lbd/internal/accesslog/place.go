package accesslog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	queueBytes = 4 << 20                // wait for a place
	flushBytes = 64 << 10               // are written at once
	linger     = 100 * time.Millisecond // from the first line that waits until it is written
	keepBytes  = 256 << 10              // of a buffer are kept in any case
)

// place is where lines go to.
type place interface {
	take(e *Entry, line []byte)
	reopen() // what is written to may have been moved away
	run(ctx context.Context)
}

// stream takes lines to a writer.
type stream struct {
	name   string
	out    io.Writer
	counts *counts
	told   func(place string, err error)
	poke   chan struct{} // something waits
	full   chan struct{} // flushBytes do
	again  chan struct{} // reopen

	mu    sync.Mutex
	buf   []byte
	ended bool

	spare []byte // of run, as what follows
	torn  bool   // the last line was written in part
}

func newStream(name string, out io.Writer, c *counts, told func(string, error)) *stream {
	token := func() chan struct{} { return make(chan struct{}, 1) }
	return &stream{name: name, out: out, counts: c, told: told, poke: token(), full: token(), again: token()}
}

// signal gives a token, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take copies a line behind those that wait.
func (s *stream) take(_ *Entry, line []byte) {
	s.mu.Lock()
	n := len(s.buf)
	if s.ended || n+len(line)+1 > queueBytes {
		s.mu.Unlock()
		s.counts.dropped.Add(1)
		return
	}
	s.buf = append(append(s.buf, line...), '\n')
	now := len(s.buf)
	s.mu.Unlock()
	if n == 0 {
		signal(s.poke)
	}
	if n < flushBytes && now >= flushBytes {
		signal(s.full)
	}
}

func (s *stream) reopen() { signal(s.again) }

// waiting returns how many bytes wait.
func (s *stream) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buf)
}

// run writes until ctx ends, and then what waits.
func (s *stream) run(ctx context.Context) {
	defer s.end()
	t := time.NewTimer(linger)
	t.Stop()
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.again:
			s.refresh(true)
		case <-s.poke:
			t.Reset(linger)
			select {
			case <-ctx.Done():
				return
			case <-s.full:
			case <-t.C:
			}
			s.flush()
		}
	}
}

// end takes no line any more and writes those that wait.
func (s *stream) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.flush()
	if c, ok := s.out.(*file); ok {
		c.close()
	}
}

// refresh opens a file anew that is not at its path any more, or always if it must.
func (s *stream) refresh(must bool) {
	f, ok := s.out.(*file)
	if !ok {
		return
	}
	if err := f.refresh(time.Now(), must); err != nil {
		s.told(s.name, err)
	}
}

// flush writes what waits.
func (s *stream) flush() {
	s.mu.Lock()
	s.buf, s.spare = s.spare[:0], s.buf
	s.mu.Unlock()
	b := s.spare
	if len(b) == 0 {
		return
	}
	s.refresh(false)
	if s.torn { // the end of what could be written of a line, so that the next one stands alone
		_, err := io.WriteString(s.out, "\n")
		s.torn = err != nil
	}
	n, err := s.out.Write(b)
	lost := bytes.Count(b[n:], []byte{'\n'})
	s.counts.lines.Add(uint64(bytes.Count(b, []byte{'\n'}) - lost))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.counts.failed.Add(uint64(lost))
		s.torn = s.torn || n > 0 && b[n-1] != '\n'
	}
	s.told(s.name, err)
	if cap(b) > keepBytes && len(b) < cap(b)/8 { // a burst is over
		s.spare = nil
	}
}

var errNoFile = errors.New("is no regular file")
