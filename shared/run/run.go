// Package run is a daemon's life: owned goroutines, signals, systemd notification with watchdog, reload, and an
// orderly drain.
package run

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// Group owns goroutines. The first that returns an error (or returns nil while marked Critical) cancels the rest.
// A panic in one is reported as an error with its stack, not lost.
type Group struct{}

// NewGroup returns a group whose goroutines get a context derived from ctx.
func NewGroup(ctx context.Context) *Group { panic("skeleton") }

// Go starts f under name. A non-nil error other than ctx's own cancels the group.
func (g *Group) Go(name string, f func(ctx context.Context) error) { panic("skeleton") }

// Cancel asks all to stop.
func (g *Group) Cancel() { panic("skeleton") }

// Wait waits for all and returns the first error, wrapped with its goroutine's name.
func (g *Group) Wait() error { panic("skeleton") }

// Notifier speaks sd_notify(3). With no NOTIFY_SOCKET every call does nothing.
type Notifier struct{}

func NewNotifier() *Notifier                     { panic("skeleton") }
func (n *Notifier) Ready(status string) error    { panic("skeleton") }
func (n *Notifier) Status(status string) error   { panic("skeleton") }
func (n *Notifier) Reloading() error             { panic("skeleton") }
func (n *Notifier) Stopping(status string) error { panic("skeleton") }
func (n *Notifier) Watchdog() error              { panic("skeleton") }
func (n *Notifier) MainPID(pid int) error        { panic("skeleton") }

// WatchdogInterval is a third of WATCHDOG_USEC when it is meant for this process, else 0.
func (n *Notifier) WatchdogInterval() time.Duration { panic("skeleton") }

// Step is one step of a stop, done in order; a step that outlasts its time is abandoned and the next begins.
type Step struct {
	Name    string
	Timeout time.Duration
	Do      func(ctx context.Context) error
}

// Life is what Supervise runs.
type Life struct {
	Log     zerolog.Logger
	Notify  *Notifier
	Serve   func(ctx context.Context) error // blocks until ctx ends or it fails
	Ready   <-chan struct{}                 // closed when traffic may come
	Healthy func() error                    // called before each watchdog ping: a non-nil error withholds it
	Reload  func(ctx context.Context) error // SIGHUP
	Dump    func()                          // SIGUSR1: reopen or dump, may be nil
	Stop    []Step                          // SIGTERM, SIGINT: the drain, in order
	Status  func() string                   // one line for systemctl status
}

// Supervise runs l until ctx ends, a signal asks to stop, or Serve fails; then it runs the stop steps. A second
// SIGTERM or SIGINT returns at once with fault.Partial. It returns Serve's error or the steps' joined errors.
func Supervise(ctx context.Context, l Life) error { panic("skeleton") }
