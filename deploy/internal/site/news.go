package site

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/deploy/internal/supervise"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/pki"
	"github.com/rs/zerolog"
)

const (
	// maxNews bounds the restarts that wait to be told; the newest is dropped and logged when there is no room.
	maxNews = 64
	// busPatience is how long one restart waits for the bus: the child that died may have run its server.
	busPatience = 5 * time.Second
)

// news tells the fleet of restarts: everup.<fleet>.event.everup.child-restarted. It is a member of the bus like any daemon, so that it
// is there while the child that ran the host's server is not.
type news struct {
	bus   *bus.Bus
	log   zerolog.Logger
	queue chan supervise.Restart
}

// restartedEvent is the data of the event child-restarted.
type restartedEvent struct {
	Name  string `json:"name"`
	Exit  string `json:"exit"`
	After string `json:"after"` // from its death to its readiness, as "153ms"
	Fails int    `json:"fails"`
}

func newNews(l Layout, offset int, out *supervise.LogFile) (*news, error) {
	secret, err := os.ReadFile(filepath.Join(l.Config, secretFile))
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "site: read the fleet's secret")
	}
	keys, err := pki.New(Fleet, strings.TrimSpace(string(secret)))
	if err != nil {
		return nil, err
	}
	log := logx.New(logx.Config{Level: "info", Format: "json"}, out, Node, "everup").Logger()
	at := func(port int) conf.Addr { return conf.Addr("127.0.0.1:" + strconv.Itoa(port+offset)) }
	b, err := bus.New(bus.Config{Mode: "auto", Listen: at(PortBus), Routes: at(PortRoutes), Anonymous: "events"}, bus.Env{
		Fleet: Fleet, Node: Node, Service: "everup", Version: buildinfo.Read().Version, Keys: keys, Log: log,
		Routes: func() []netip.AddrPort { return nil },
	})
	if err != nil {
		return nil, err
	}
	return &news{bus: b, log: log, queue: make(chan supervise.Restart, maxNews)}, nil
}

// restarted takes a restart to be told; it does not block.
func (n *news) restarted(r supervise.Restart) {
	select {
	case n.queue <- r:
	default:
		n.log.Warn().Str("child", r.Name).Msg("a restart is not told as an event: too many at once")
	}
}

// run is on the bus from begin on: the daemons come first, so that one of them runs the host's server.
func (n *news) run(ctx context.Context, begin <-chan struct{}) error {
	select {
	case <-begin:
	case <-ctx.Done():
		return nil
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		n.tell(ctx)
	}()
	err := n.bus.Run(ctx)
	<-told
	return err
}

func (n *news) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-n.queue:
			n.log.Warn().Str("child", r.Name).Str("exit", r.Exit).Dur("after", r.After).Msg("a child was restarted")
			wait, cancel := context.WithTimeout(ctx, busPatience)
			err := n.bus.Wait(wait)
			cancel()
			if err != nil {
				n.log.Warn().Err(err).Str("child", r.Name).Msg("a restart is not told as an event")
				continue
			}
			n.bus.Emit("child-restarted", r.Name, restartedEvent{r.Name, r.Exit, r.After.Round(time.Millisecond).String(), r.Fails})
		}
	}
}

// close leaves the bus.
func (n *news) close(ctx context.Context) {
	if err := n.bus.Close(ctx); err != nil {
		n.log.Warn().Err(err).Msg("the bus was left in a hurry")
	}
}
