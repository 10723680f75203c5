// Package logx makes the loggers of everup: zerolog JSON with the fields time, level, msg, node, service, comp, err,
// or a console format on a terminal. A library takes a zerolog.Logger; only mains build one here.
//
// zerolog keeps its field names, time format and lowest level in package variables. This package changes none of
// them: loggers made here write to a Root, which takes each line apart, stamps it with the time, puts the fields into
// the order above and names message and error "msg" and "err". A line is written with one Write call, under a lock.
//
// Writing is synchronous: a reader of the output that stops reading stops the goroutines that log. A line that
// cannot be written is counted (Lost) and stays readable in Recent.
package logx

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/rs/zerolog"
)

// Config is the section `log` of every daemon.
type Config struct {
	Level  string `yaml:"level" default:"info" enum:"trace|debug|info|warn|error" doc:"Lowest level that is written."`
	Format string `yaml:"format" default:"auto" enum:"auto|json|console" doc:"json, console, or auto: console on a terminal, json elsewhere."`
}

// MaxLine bounds a line in bytes. It is below journald's LineMax (48 KiB), which would cut JSON in two. Of a longer
// line the fields that do not fit are left out and "truncated":true is added.
const MaxLine = 32 << 10

// Root owns the output and the level, which may change while the daemon runs. Safe for concurrent use.
type Root struct {
	logger zerolog.Logger
	level  atomic.Int32 // a zerolog.Level
	lost   atomic.Uint64
	form   form
	now    func() time.Time

	mu   sync.Mutex
	out  io.Writer
	buf  []byte // the line being made, kept for the next
	ring ring
}

// New returns the root logger writing to w. node and service are put on every line; an empty one is left out.
// An unknown level in cfg means info (the configuration's own check refuses it earlier).
func New(cfg Config, w io.Writer, node, service string) *Root {
	r := &Root{out: w, form: chooseForm(cfg.Format, w, os.Getenv), now: time.Now}
	if r.SetLevel(cfg.Level) != nil {
		r.level.Store(int32(zerolog.InfoLevel))
	}
	c := zerolog.New(sink{r}).Sample(gate{r}).With()
	if node != "" {
		c = c.Str("node", node)
	}
	if service != "" {
		c = c.Str("service", service)
	}
	r.logger = c.Logger()
	return r
}

// Logger returns the daemon's logger. It must not be given another zerolog sampler where levels matter for speed:
// the level would still be kept, but only after the line has been built.
func (r *Root) Logger() zerolog.Logger { return r.logger }

// SetLevel changes the lowest level written by every logger made from r, at once. A level that is not one of trace,
// debug, info, warn and error is fault.Invalid and changes nothing.
func (r *Root) SetLevel(level string) error {
	switch level {
	case "trace", "debug", "info", "warn", "error":
	default:
		return fault.New(fault.Invalid, "logx: level %q: want trace, debug, info, warn or error", level)
	}
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "logx: level %q", level)
	}
	r.level.Store(int32(l))
	return nil
}

// Level returns the lowest level that is written.
func (r *Root) Level() string { return zerolog.Level(r.level.Load()).String() }

// Recent returns up to n of the last lines, oldest first, each one JSON object whatever the output's format.
// The memory holds at most 1000 lines and 1 MiB; the oldest make room.
func (r *Root) Recent(n int) []json.RawMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.last(n)
}

// Lost returns how many lines could not be written to the output.
func (r *Root) Lost() uint64 { return r.lost.Load() }

// Comp returns l for a component: comp=name on every line. The innermost name wins.
func Comp(l zerolog.Logger, name string) zerolog.Logger {
	return l.With().Str("comp", name).Logger()
}

func (r *Root) enabled(l zerolog.Level) bool { return int32(l) >= r.level.Load() }

// gate is the sampler of every logger: a zerolog logger asks it before it builds a line, and derived loggers
// inherit it. So one atomic decides for all, and a line below the level costs nothing.
type gate struct{ r *Root }

func (g gate) Sample(l zerolog.Level) bool { return g.r.enabled(l) }

// sink is what zerolog writes to.
type sink struct{ r *Root }

var _ zerolog.LevelWriter = sink{}

func (s sink) Write(p []byte) (int, error) { return s.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel never fails: zerolog would print its own complaint to standard error.
func (s sink) WriteLevel(l zerolog.Level, p []byte) (int, error) {
	if s.r.enabled(l) {
		s.r.write(l, p)
	}
	return len(p), nil
}

func (r *Root) write(l zerolog.Level, raw []byte) {
	fields, ok := split(raw)
	if !ok {
		fields = broken(raw)
	}
	ln := arrange(l, fields)
	r.mu.Lock()
	defer r.mu.Unlock()
	ln.at = r.now()
	line := ln.appendJSON(make([]byte, 0, len(raw)+64), MaxLine)
	r.ring.add(line)
	r.buf = r.form.append(r.buf[:0], ln, line)
	if _, err := r.out.Write(r.buf); err != nil {
		r.lost.Add(1)
	}
}
