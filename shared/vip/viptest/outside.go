package viptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// Outside runs f with a testing.TB where `go test` does not, as in a bench of its own: what f registers by Cleanup is done
// when it returns, and a failure or a skip is the error. What f logs is shown in the error alone.
func Outside(ctx context.Context, name string, f func(t testing.TB)) error {
	dir, err := os.MkdirTemp("", "everup-vip")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := &outside{ctx: ctx, name: name, dir: dir}
	o.do(func() { f(o) })
	for len(o.cleanups) > 0 { // one may register another
		last := o.cleanups[len(o.cleanups)-1]
		o.cleanups = o.cleanups[:len(o.cleanups)-1]
		o.do(last)
	}
	if o.failed || o.skipped {
		return fmt.Errorf("%s: %w", name, errors.New(strings.Join(o.log, "\n")))
	}
	return nil
}

// outside is the part of a testing.TB that labtest and this package use. Embedding an interface without a value gives it
// the rest; a call of that would be a nil dereference.
type outside struct {
	testing.TB
	ctx             context.Context
	name, dir       string
	cleanups        []func()
	failed, skipped bool
	log             []string
}

// do runs f in a goroutine that it may end.
func (o *outside) do(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (o *outside) Helper()                  {}
func (o *outside) Name() string             { return o.name }
func (o *outside) Context() context.Context { return o.ctx }
func (o *outside) Cleanup(f func())         { o.cleanups = append(o.cleanups, f) }
func (o *outside) Failed() bool             { return o.failed }
func (o *outside) ArtifactDir() string      { return o.dir }

func (o *outside) TempDir() string {
	dir, err := os.MkdirTemp(o.dir, "tmp")
	if err != nil {
		o.Fatalf("%v", err)
	}
	return dir
}

func (o *outside) Log(args ...any) { o.log = append(o.log, fmt.Sprint(args...)) }
func (o *outside) Logf(format string, args ...any) {
	o.log = append(o.log, fmt.Sprintf(format, args...))
}

func (o *outside) Errorf(format string, args ...any) {
	o.Logf(format, args...)
	o.failed = true
}

func (o *outside) Error(args ...any) {
	o.Log(args...)
	o.failed = true
}

func (o *outside) FailNow() {
	o.failed = true
	runtime.Goexit()
}

func (o *outside) Fatalf(format string, args ...any) {
	o.Logf(format, args...)
	o.FailNow()
}

func (o *outside) Fatal(args ...any) {
	o.Log(args...)
	o.FailNow()
}

func (o *outside) Skip(args ...any) {
	o.Log(args...)
	o.skipped = true
	runtime.Goexit()
}
