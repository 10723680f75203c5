package encoding

import (
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Level is how hard an encoder tries.
type Level uint8

// The levels.
const (
	Fast Level = iota
	Middle
	Best

	levels
)

var levelNames = [levels]string{"fast", "default", "best"}

// LevelNames returns the names of the levels.
func LevelNames() []string { return levelNames[:] }

// ParseLevel returns the level of a name.
func ParseLevel(name string) (l Level, ok bool) {
	for l = range levels {
		if levelNames[l] == name {
			return l, true
		}
	}
	return Middle, false
}

// Spec is a kind of encoder.
type Spec struct {
	Coding Coding
	Level  Level
}

// setting is how an encoder is made.
type setting struct {
	level  int
	window int   // zstd: bytes; brotli: log2 of that
	memory int64 // what one takes, measured after 300 KiB of text
}

// settings were chosen by speed, ratio and memory over texts of the web. zstd comes first in each: at the speed of gzip it gives the ratio of
// brotli. Larger windows than these gain a few per cent and cost megabytes.
var settings = [codings][levels]setting{
	Gzip:   {{level: 2, memory: 1250 << 10}, {level: 5, memory: 1150 << 10}, {level: 6, memory: 1150 << 10}},
	Brotli: {{2, 16, 950 << 10}, {4, 18, 2600 << 10}, {5, 18, 3300 << 10}},
	Zstd: {
		{int(zstd.SpeedFastest), 128 << 10, 950 << 10}, {int(zstd.SpeedDefault), 512 << 10, 2560 << 10},
		{int(zstd.SpeedBetterCompression), 512 << 10, 5440 << 10},
	},
}

// Memory returns how many bytes an encoder takes.
func (s Spec) Memory() int64 { return settings[s.Coding][s.Level].memory }

// writer is what the libraries' encoders have in common.
type writer interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// Encoder compresses a stream. It belongs to who has got it from a Pool, and is used by one goroutine at a time.
type Encoder struct {
	spec    Spec
	w       writer
	out     []byte
	waiting bool // something was pushed that has not come out, as far as is known
}

func newEncoder(s Spec) *Encoder {
	e := &Encoder{spec: s}
	set := settings[s.Coding][s.Level]
	var err error
	switch s.Coding {
	case Gzip:
		e.w, err = gzip.NewWriterLevel(e, set.level)
	case Brotli:
		e.w = brotli.NewWriterOptions(e, brotli.WriterOptions{Quality: set.level, LGWin: set.window})
	case Zstd: // a concurrency of 1 has no goroutines
		e.w, err = zstd.NewWriter(e, zstd.WithEncoderLevel(zstd.EncoderLevel(set.level)), zstd.WithWindowSize(set.window),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	default:
		err = fmt.Errorf("no coding")
	}
	if err != nil {
		panic(fmt.Sprintf("BUG: encoding: %s at level %d: %v", s.Coding, s.Level, err)) // settings are constants
	}
	return e
}

// Write takes what has come out. It is for the library's encoder alone.
func (e *Encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// Spec returns the encoder's kind.
func (e *Encoder) Spec() Spec { return e.spec }

// Push compresses data and returns what has come out, which may be nothing; end makes it the end of the stream. What is returned is good until the
// next call. An error is one of the library's own and leaves the stream useless.
func (e *Encoder) Push(data []byte, end bool) ([]byte, error) {
	e.out = e.out[:0]
	if len(data) > 0 {
		e.waiting = true
		if _, err := e.w.Write(data); err != nil {
			return nil, fmt.Errorf("encoding: %s: %w", e.spec.Coding, err)
		}
	}
	if end {
		e.waiting = false
		if err := e.w.Close(); err != nil {
			return nil, fmt.Errorf("encoding: end %s: %w", e.spec.Coding, err)
		}
	}
	return e.out, nil
}

// Waiting reports whether Flush would make something come out.
func (e *Encoder) Waiting() bool { return e.waiting }

// Flush returns what is needed to decode all that was pushed.
func (e *Encoder) Flush() ([]byte, error) {
	e.out = e.out[:0]
	e.waiting = false
	if err := e.w.Flush(); err != nil {
		return nil, fmt.Errorf("encoding: flush %s: %w", e.spec.Coding, err)
	}
	return e.out, nil
}

// maxOut is how much memory for what comes out is kept.
const maxOut = 64 << 10

// reset makes e ready for another stream.
func (e *Encoder) reset() {
	e.waiting = false
	if e.out = e.out[:0]; cap(e.out) > maxOut {
		e.out = nil
	}
	e.w.Reset(e)
}
