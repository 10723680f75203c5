package daemon

import (
	"context"
	"encoding/json"
	"io"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
)

// followQueue bounds the events waiting here for a slow reader of the stream; behind it they wait in the bus's queue,
// which drops and counts the oldest.
const followQueue = 1024

// followEvents streams the fleet's events as NDJSON until the reader goes.
func (i *Instance[C]) followEvents(service, kind string) admin.Stream {
	return func(ctx context.Context, w io.Writer) error {
		return follow(ctx, w, func(see func(bus.Event)) (func(), error) {
			return i.floor.Bus.Subscribe(service, kind, see)
		})
	}
}

// follow writes what subscribe brings until ctx ends or w fails. The cancel that subscribe returns waits for the function
// given to it.
func follow(ctx context.Context, w io.Writer, subscribe func(func(bus.Event)) (cancel func(), err error)) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	queue := make(chan bus.Event, followQueue)
	cancel, err := subscribe(func(e bus.Event) {
		select {
		case queue <- e:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer cancel()
	defer leave() // before cancel, for the function above may be waiting for room
	enc := json.NewEncoder(w)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-queue:
			if err := enc.Encode(e); err != nil {
				return fault.Wrap(fault.Canceled, err, "daemon: write an event")
			}
		}
	}
}
