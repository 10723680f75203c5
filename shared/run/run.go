// Package run is a daemon's life: owned goroutines, signals, systemd notification with watchdog, reload, and an
// orderly drain.
//
// Group owns goroutines. Notifier speaks to the service manager. Supervise runs a Life from start to exit; its
// decisions are a pure state machine (machine.go) that is stepped with explicit time, and supervise.go is the shell
// around it that waits, runs and sends. Backoff spaces restarts.
package run

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/rs/zerolog"
)

// Step is one step of a stop, done in order. Do's context ends after Timeout; a step that has not returned a second
// later is abandoned and the next begins.
type Step struct {
	Name    string
	Timeout time.Duration // 0 or less means 10 s
	Do      func(ctx context.Context) error
}

// Life is what Supervise runs. Serve is required; all else may be left out.
type Life struct {
	Log     zerolog.Logger
	Notify  *Notifier
	Serve   func(ctx context.Context) error // blocks until ctx ends or it fails
	Ready   <-chan struct{}                 // closed when traffic may come; nil: at once
	Healthy func() error                    // called before each watchdog ping: a non-nil error, or no return, withholds it
	Reload  func(ctx context.Context) error // SIGHUP
	Dump    func()                          // SIGUSR1: reopen or dump, may be nil
	Stop    []Step                          // SIGTERM, SIGINT: the drain, in order
	Status  func() string                   // one line for systemctl status; must not block

	// Grace is the longest wait for a reload under way before the first stop step, and for Serve to return after the
	// last one, when its context ends. 0 means 10 s.
	Grace time.Duration

	// Signals replaces the process's own signals, for tests and for daemons that share one process.
	Signals <-chan os.Signal
}

// guard calls f and turns a panic into an error of class Internal that carries the stack.
func guard(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "run: %s: panic: %v\n%s", name, p, debug.Stack())
		}
	}()
	return f()
}

// named puts the name of a goroutine before its error and keeps the error's class.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
