// Package sitetest starts whole suites for tests.
package sitetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/everup/everup/deploy/internal/site"
	"github.com/everup/everup/shared/labtest"
)

// patience bounds the start and the end of a suite on a busy machine.
const patience = 60 * time.Second

// Bin returns a directory that holds every program of everup under its own name.
func Bin(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, pkg := range []string{
		"services/lbd/cmd/lbd", "services/dnsd/cmd/dnsd", "services/cached/cmd/cached", "services/storaged/cmd/storaged",
		"services/logd/cmd/logd", "deploy/cmd/everup", "deploy/cmd/everup-demo",
	} {
		built := labtest.BuildBinary(t, "github.com/everup/everup/"+pkg)
		if err := os.Symlink(built, filepath.Join(dir, filepath.Base(pkg))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Offset returns a port offset at which a suite can be started now.
func Offset(t testing.TB) int {
	t.Helper()
	offset, err := site.FreeOffset()
	if err != nil {
		t.Fatal(err)
	}
	return offset
}

// Start runs a suite and returns when it is ready; it is stopped when the test ends, and must then stop in order. Empty
// fields of o are filled: a directory of the test's, programs as built, free ports.
func Start(t testing.TB, o site.Options) *site.Suite {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Bin == "" {
		o.Bin = Bin(t)
	}
	if o.Offset == 0 {
		o.Offset = Offset(t)
	}
	s, err := site.New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		s.Stop()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the suite did not stop in order: %v", err)
			}
		case <-time.After(patience):
			t.Error("the suite does not stop")
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		done <- err
		t.Fatalf("the suite does not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the suite is not ready")
	}
	return s
}
