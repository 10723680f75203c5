package web

import (
	"io"
	"time"
)

// Pace is the least speed of an upload.
type Pace struct {
	Idle  time.Duration // longest silence
	Grace time.Duration // no speed is asked for so long
	Rate  int64         // bytes a second on average after it; 0 asks for none
}

// deadline returns when the next byte of an upload must be there that began at start and has got n bytes by now.
func (p Pace) deadline(start, now time.Time, n int64) time.Time {
	d := now.Add(p.Idle)
	if p.Rate <= 0 {
		return d
	}
	due := start.Add(p.Grace + time.Duration(float64(n)/float64(p.Rate)*float64(time.Second)))
	if due.Before(d) {
		return due
	}
	return d
}

// pacedReader sets the deadline of every read.
type pacedReader struct {
	r     io.Reader
	set   func(time.Time) error // the connection's read deadline
	pace  Pace
	start time.Time
	n     int64
	err   error // of the body, other than its end
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if err := p.set(p.pace.deadline(p.start, time.Now(), p.n)); err != nil {
		p.err = err
		return 0, err
	}
	n, err := p.r.Read(b)
	p.n += int64(n)
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}
