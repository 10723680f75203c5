// Package console is the web page that shows the whole fleet: what is wrong now, every daemon on every node, the pools,
// the last events as they come. Any daemon serves it on the TCP side of its admin API.
//
// The page is made on the server and complete without JavaScript; with it, one stream of server-sent events per page
// brings what changed. Nothing is fetched from anywhere but the daemon, and nothing can be changed here.
//
// # Who owns what
//
// A Console owns no goroutine before Run. Run listens to the bus and gathers the fleet while somebody looks; streams run in
// the HTTP server's goroutines and end when Run's context does. Viewers share everything that costs: the
// fleet is asked once a second at most, one question at a time, and each change is rendered once.
//
// # Bounds
//
// 16 streams (more get status 503 and the page reloads itself), 200 events, 1000 members, 200 findings, 200 pools
// and 2000 pool members; what is left out is told on the page. A stream has no queue: a viewer that is slow gets the newest
// state when it is ready for more, and is cut off when a write takes longer than 10 s.
package console

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

// Bounds of the console.
const (
	maxStreams  = 16
	maxEvents   = 200
	maxMembers  = 1000
	maxFindings = 200
	maxPools    = 200
	maxBackends = 2000 // members of all pools shown
)

const (
	fleetFresh  = time.Second      // a gathered fleet is shown to all for so long
	fleetWait   = 10 * time.Second // for the fleet to be gathered
	updateEvery = 2 * time.Second  // while somebody looks
	heartbeat   = 15 * time.Second
	writeWait   = 10 * time.Second
)

// Fleet is what a daemon gathered of the fleet. Its fields are those of daemon.FleetStatus.
type Fleet struct {
	Fleet   string            `json:"fleet"`
	Asked   string            `json:"asked"` // member id of the daemon that gathered it
	Members []member.Member   `json:"members"`
	Daemons []json.RawMessage `json:"daemons"`          // a daemon.Status each
	Silent  []member.ID       `json:"silent,omitempty"` // alive by gossip, but no answer
}

// Source is where the console gets what it shows.
type Source struct {
	// Fleet gathers the fleet. It is never called twice at once.
	Fleet func(ctx context.Context) (Fleet, error)
	// Subscribe calls f for each event of the fleet, in order, until cancel, which waits for f to return.
	Subscribe func(f func(bus.Event)) (cancel func(), err error)
	// Recent returns the daemon's own last events, oldest first; some of them may not have reached the bus.
	Recent func(n int) []bus.Event
	Socket string // path of the daemon's admin socket, for the commands shown
}

// Console serves the page. It is an http.Handler; Run must run beside it.
type Console struct {
	src     Source
	log     zerolog.Logger
	fleet   cache
	feed    *feed
	assets  assets
	pages   pages
	now     func() time.Time
	streams atomic.Int32
	refused atomic.Uint64
	done    chan struct{} // closed when Run ends: streams end
}

// New returns a console that registers its metrics in reg (nil: none).
func New(src Source, log zerolog.Logger, reg *metric.Registry) *Console {
	c := &Console{src: src, log: log, now: time.Now, feed: newFeed(time.Now()), assets: loadAssets(), done: make(chan struct{})}
	c.fleet = cache{gather: src.Fleet}
	c.pages = parsePages(c.assets)
	if reg != nil {
		reg.GaugeFunc("console_viewers", "Pages of the console that are open with a stream.", func() float64 { return float64(c.streams.Load()) })
		reg.CounterFunc("console_viewers_refused_total", "Streams of the console refused because 16 were open.", c.refused.Load)
	}
	return c
}

// Run keeps the page up to date until ctx ends. It may be called once.
func (c *Console) Run(ctx context.Context) error {
	defer close(c.done)
	cancel, err := c.src.Subscribe(func(e bus.Event) { c.feed.add(e) })
	if err != nil {
		return err
	}
	defer cancel()
	tick := time.NewTicker(updateEvery)
	defer tick.Stop()
	for {
		c.feed.add(c.src.Recent(maxEvents)...)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if c.streams.Load() > 0 {
			c.update(ctx)
		}
	}
}

// update renders the fleet for the streams.
func (c *Console) update(ctx context.Context) {
	f, err := c.fleet.get(ctx)
	if ctx.Err() != nil {
		return
	}
	v := Build(c.now(), f, err)
	s, err := c.pages.sections(v)
	if err != nil {
		c.log.Error().Err(err).Msg("the page was not rendered")
		return
	}
	c.feed.show(s)
}
