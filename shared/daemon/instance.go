package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/console"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/run"
)

// Loaded is a configuration that was read and accepted.
type Loaded[C any] struct {
	Config *C
	Doc    *conf.Document
}

// Loader reads the configuration again, for a reload.
type Loader[C any] func() (Loaded[C], error)

// Instance is one running daemon. Make it with New, run it with Run; several may live in one process.
type Instance[C any] struct {
	spec    Spec[C]
	floor   *floor
	service Service[C]
	load    Loader[C]
	console *console.Console // nil: no TCP side
	ready   chan struct{}
	stop    context.CancelFunc // ends what Run runs; set before Run
	ctx     context.Context
	closed  sync.Once

	taking     context.Context // ends when the stop begins: no reload begins after it
	endReloads context.CancelFunc
	reloading  chan struct{} // holds a token while a reload is under way, and once no more may come
	done       chan struct{} // closed when Run has returned

	up     upgrade
	notify *run.Notifier // told of a successor; may be nil
	file   string        // that the configuration is read from; "" if it comes from elsewhere

	mu     sync.Mutex // guards what follows
	now    Loaded[C]
	loaded time.Time
	reject error    // why the newest file was not taken; nil when it was
	kept   bool     // now is the last good configuration, as the file was refused at the start
	later  []string // sections that changed and need a restart
	failed error    // there is neither a successor nor a fleet: Run returns it
}

// New opens the floor and makes the service: every socket is bound, nothing is served yet. load may be nil: the instance then
// refuses to reload. out gets the log.
func New[C any](spec Spec[C], cfg Loaded[C], load Loader[C], out io.Writer) (*Instance[C], error) {
	f, err := newFloor(spec.Name, *spec.Common(cfg.Config), out)
	if err != nil {
		return nil, err
	}
	i := &Instance[C]{
		spec: spec, floor: f, load: load, now: cfg, loaded: time.Now(),
		ready: make(chan struct{}), reloading: make(chan struct{}, 1), done: make(chan struct{}), up: newUpgrade(),
	}
	i.ctx, i.stop = context.WithCancel(context.Background())
	i.taking, i.endReloads = context.WithCancel(i.ctx)
	f.Announce(i.announceConfig)
	i.registerConfigMetrics()
	if i.service, err = spec.New(cfg.Config, &f.Env); err != nil {
		i.stop()
		f.close()
		return nil, err
	}
	if names := f.Net.CloseUnused(); len(names) > 0 {
		f.Log.Warn().Strs("sockets", names).Msg("sockets were handed in that the configuration does not name")
	}
	f.Admin.SetLiveness(i.Healthy)
	i.openConsole()
	if err := i.routes(); err != nil {
		i.stop()
		f.close()
		return nil, err
	}
	return i, nil
}

// Run serves until ctx ends or a part fails, then releases everything. It does not drain: see StopSteps.
func (i *Instance[C]) Run(ctx context.Context) error {
	f := i.floor
	defer close(i.done)
	defer i.closed.Do(f.close)
	defer context.AfterFunc(ctx, i.stop)()
	defer i.stop()

	// The service and the floor end in this order: the bus and the admin socket outlive the service, so that its last
	// events go out and its state can be asked while it drains.
	floor := run.NewGroup(context.Background())
	floor.Go("admin", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(i.up.replaced, cancel)() // the successor answers on the same socket
		return f.Admin.Serve(ctx, f.unix, f.tcp)
	})
	floor.Go("outside", i.outside)
	floor.Go("ready", i.watchReady)
	if i.console != nil {
		floor.Go("console", i.console.Run)
	}

	service := run.NewGroup(i.ctx)
	service.Go(i.spec.Name, func(ctx context.Context) error {
		err := i.service.Run(ctx)
		if err == nil && ctx.Err() == nil {
			err = fault.New(fault.Internal, "%s: the service ended by itself", i.spec.Name)
		}
		return err
	})
	if i.spec.Upgrades {
		service.Go("retire", i.retire)
	}
	// A floor that fails takes the service down with it: a daemon nobody can ask is not to be trusted.
	failed := make(chan error, 1)
	go func() { failed <- floor.Wait(); i.stop() }()
	serviceErr := service.Wait()
	i.closeBus()
	floor.Cancel()
	floorErr := <-failed
	return errors.Join(floorErr, serviceErr) // a floor that failed may be why the service did
}

// outside runs what speaks with other daemons until ctx ends, or a successor is to do that.
func (i *Instance[C]) outside(ctx context.Context) error {
	err := i.runOutside(ctx)
	close(i.up.outside)
	if err == nil {
		<-ctx.Done() // a floor without it still stands
	}
	return err
}

func (i *Instance[C]) runOutside(ctx context.Context) error {
	f := i.floor
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.up.aside, cancel)()
	g := run.NewGroup(ctx)
	g.Go("gossip", f.Fleet.Run)
	g.Go("bus", f.Bus.Run)
	g.Go("announcer", f.announce.run)
	g.Go("events", func(ctx context.Context) error {
		err := newEventer(f).run(ctx)
		if i.ctx.Err() != nil || i.up.aside.Err() != nil {
			return nil // the stop came before it had subscribed, and the bus was closed: no failure
		}
		return err
	})
	return g.Wait()
}

// closeBus lets the last events out and hands the server role on.
func (i *Instance[C]) closeBus() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := i.floor.Bus.Close(ctx); err != nil {
		i.floor.Log.Warn().Err(err).Msg("the bus was not closed in order")
	}
}

// watchReady closes ready when the gating health items are all well for the first time.
func (i *Instance[C]) watchReady(ctx context.Context) error {
	changed, cancel := i.floor.Health.Watch()
	defer cancel()
	for {
		if ok, _ := i.floor.Health.Ready(); ok {
			i.floor.Bus.Emit("daemon-ready", "", map[string]any{"after_ms": time.Since(i.floor.started).Milliseconds()})
			i.keepConfig()
			if err := i.floor.Net.Ready(); err != nil {
				i.floor.Log.Warn().Err(err).Msg("the process before was not told that this one serves")
			}
			close(i.ready)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Ready is closed when traffic may come for the first time.
func (i *Instance[C]) Ready() <-chan struct{} { return i.ready }

// Env gives tests and commands access to what the service sees.
func (i *Instance[C]) Env() *Env { return &i.floor.Env }

// Service returns the running service.
func (i *Instance[C]) Service() Service[C] { return i.service }

// reloadEnd is how long a reload under way may take to end when the daemon stops.
const reloadEnd = 5 * time.Second

// StopSteps returns the orderly end, to be run before Run's context is cancelled. Where Run has returned by itself there
// is nothing left to be put in order, and the steps do nothing.
func (i *Instance[C]) StopSteps() []run.Step {
	f, lim := i.floor, i.floor.common.Limits
	steps := []run.Step{
		{Name: "not ready", Timeout: lim.NotReady.Std() + time.Second, Do: func(ctx context.Context) error {
			f.Health.SetDraining("the daemon stops")
			i.endReloads()
			f.Bus.Emit("daemon-stopping", "", nil)
			return i.sleep(ctx, lim.NotReady.Std())
		}},
		{Name: "end a reload", Timeout: reloadEnd, Do: i.lastReload},
		{Name: "leave the fleet", Timeout: 3 * time.Second, Do: f.Fleet.Leave},
		{Name: "drain", Timeout: lim.Drain.Std() + time.Second, Do: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, lim.Drain.Std())
			defer cancel()
			return i.service.Drain(ctx)
		}},
	}
	for n, s := range steps {
		steps[n].Do = func(ctx context.Context) error {
			select {
			case <-i.done:
				return nil
			case <-i.up.replaced.Done():
				return nil // what it would put in order is the successor's
			default:
				return s.Do(ctx)
			}
		}
	}
	return steps
}

// lastReload waits for a reload under way, so that none opens what the drain has closed.
func (i *Instance[C]) lastReload(ctx context.Context) error {
	select {
	case i.reloading <- struct{}{}: // kept: no other may begin
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "daemon: wait for a reload")
	}
}

// sleep waits for d, or until ctx ends or Run has returned.
func (i *Instance[C]) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-i.done:
		return nil
	case <-t.C:
		return nil
	}
}

// Healthy is asked before each ping of the watchdog: the floor's own locks and the service's status must answer.
func (i *Instance[C]) Healthy() error {
	i.floor.Health.Worst()
	i.floor.Fleet.View()
	i.service.Status()
	return nil
}

// StatusLine is the line for systemctl status.
func (i *Instance[C]) StatusLine() string {
	ok, reasons := i.floor.Health.Ready()
	line := "ready"
	if !ok {
		line = "not ready"
		if len(reasons) > 0 {
			line += ": " + reasons[0]
		}
	} else if w := i.floor.Health.Worst(); w != health.OK {
		line = fmt.Sprintf("ready, with findings (%s)", w)
	}
	if n := len(i.floor.Fleet.View().Alive("")); n > 1 {
		line += fmt.Sprintf("; %d members", n)
	}
	return line
}
