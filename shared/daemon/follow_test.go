package daemon

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/everup/everup/shared/bus"
)

// stalledWriter takes nothing until it fails.
type stalledWriter struct{ fail chan struct{} }

func (w stalledWriter) Write([]byte) (int, error) {
	<-w.fail
	return 0, errors.New("stalled")
}

// A reader that stalls must not keep its stream for ever: when its write fails, the subscription waits for room.
func TestFollowEndsWithAStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := stalledWriter{make(chan struct{})}
		ended := make(chan error, 1)
		go func() {
			ended <- follow(t.Context(), w, func(see func(bus.Event)) (func(), error) {
				var done sync.WaitGroup
				done.Go(func() {
					for range followQueue + 2 { // one is being written, followQueue wait, one waits for room
						see(bus.Event{})
					}
				})
				return done.Wait, nil
			})
		}()
		synctest.Wait()
		close(w.fail)
		if err := <-ended; err == nil {
			t.Error("no error of the writer")
		}
	})
}
