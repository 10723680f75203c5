package daemon

import (
	"context"
	"encoding/json"
	"io"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
)

// followQueue bounds the events waiting for a slow reader of the stream; more are counted and told.
const followQueue = 1024

// followEvents streams the fleet's events as NDJSON until the reader goes.
func (i *Instance[C]) followEvents(service, kind string) admin.Stream {
	return func(ctx context.Context, w io.Writer) error {
		queue := make(chan bus.Event, followQueue)
		cancel, err := i.floor.Bus.Subscribe(service, kind, func(e bus.Event) {
			select {
			case queue <- e:
			case <-ctx.Done():
			}
		})
		if err != nil {
			return err
		}
		defer cancel()
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
}
