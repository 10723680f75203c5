// Package logx makes the loggers of everup: zerolog JSON with the fields time, level, msg, node, comp, err,
// or a console format on a terminal. A library takes a zerolog.Logger; only mains build one here.
package logx

import (
	"io"
	"log"
	"time"

	"github.com/rs/zerolog"
)

// Config is the section `log` of every daemon.
type Config struct {
	Level  string `yaml:"level" default:"info" enum:"trace|debug|info|warn|error" doc:"Lowest level that is written."`
	Format string `yaml:"format" default:"auto" enum:"auto|json|console" doc:"json, console, or auto: console on a terminal, json elsewhere."`
}

// Root owns the output and the level, which may change while the daemon runs.
type Root struct{}

// New returns the root logger writing to w. node and service are put on every line.
func New(cfg Config, w io.Writer, node, service string) *Root { panic("skeleton") }

// Logger returns the daemon's logger.
func (r *Root) Logger() zerolog.Logger { panic("skeleton") }

// SetLevel changes the lowest level written by every logger made from r, at once.
func (r *Root) SetLevel(level string) error { panic("skeleton") }

// Comp returns l for a component: comp=name on every line.
func Comp(l zerolog.Logger, name string) zerolog.Logger {
	return l.With().Str("comp", name).Logger()
}

// Std adapts l for libraries that want a *log.Logger; each line becomes an entry at the given level.
func Std(l zerolog.Logger, level zerolog.Level) *log.Logger { panic("skeleton") }

// Throttle lets one event per interval through for each key and counts the rest.
// It holds at most 1024 keys; the oldest makes room. The zero value is not usable.
type Throttle struct{}

// NewThrottle returns a throttle with the given interval per key.
func NewThrottle(interval time.Duration) *Throttle { panic("skeleton") }

// Allow reports whether key may be logged now, and how many were held back since the last that was.
func (t *Throttle) Allow(key string) (ok bool, suppressed int) { panic("skeleton") }
