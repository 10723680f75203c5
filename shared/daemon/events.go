package daemon

import (
	"context"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/health"
)

// eventer turns what the floor sees into events: alert-raised and alert-cleared from health items, member-up, -down and
// -left from gossip (see teller).
type eventer struct {
	f      *floor
	levels map[string]health.Level
	tell   *teller
	heard  chan bus.Event // events of members that someone told
}

// heardQueue bounds the events of members not looked at yet; one that is lost may be told twice.
const heardQueue = 256

func newEventer(f *floor) *eventer {
	return &eventer{f: f, levels: map[string]health.Level{}, tell: newTeller(), heard: make(chan bus.Event, heardQueue)}
}

func (e *eventer) run(ctx context.Context) error {
	items, stopItems := e.f.Health.Watch()
	defer stopItems()
	view, stopView := e.f.Fleet.Watch()
	defer stopView()
	stopListening, err := e.listen()
	if err != nil {
		return err
	}
	defer stopListening()
	e.emit(e.compareHealth(e.f.Health.Snapshot())) // what was raised before this loop ran
	e.emit(e.tell.look(time.Now(), e.f.Fleet.View()))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-items:
			e.emit(e.compareHealth(e.f.Health.Snapshot()))
		case <-view:
			e.emit(e.tell.look(time.Now(), e.f.Fleet.View()))
		case ev := <-e.heard:
			e.tell.hear(time.Now(), ev)
		}
	}
}

// listen follows what others tell of members. A daemon that stands alone has nobody to listen to.
func (e *eventer) listen() (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	if e.f.common.Cluster == nil {
		return stop, nil
	}
	for _, kind := range []string{memberUp, memberDown, memberLeft} {
		cancel, err := e.f.Bus.Subscribe("", kind, func(ev bus.Event) {
			select {
			case e.heard <- ev:
			default:
			}
		})
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, cancel)
	}
	return stop, nil
}

func (e *eventer) emit(all []news) {
	for _, n := range all {
		e.f.Bus.Emit(n.kind, n.object, n.data)
	}
}

// news is an event to be emitted.
type news struct {
	kind, object string
	data         any
}

// compareHealth returns what changed since the last call. An item that vanished is cleared.
func (e *eventer) compareHealth(items []health.Status) []news {
	var out []news
	seen := make(map[string]bool, len(items))
	for _, it := range items {
		seen[it.ID] = true
		if it.Level != health.OK && it.Count == 0 {
			continue // pending: nothing is known yet, and nobody need be woken
		}
		was := e.levels[it.ID]
		e.levels[it.ID] = it.Level
		switch {
		case it.Level == was:
		case it.Level == health.OK:
			out = append(out, news{"alert-cleared", it.ID, it})
		default:
			out = append(out, news{"alert-raised", it.ID, it})
		}
	}
	for id, was := range e.levels {
		if seen[id] {
			continue
		}
		delete(e.levels, id)
		if was != health.OK {
			out = append(out, news{"alert-cleared", id, nil})
		}
	}
	return out
}
