// Package storaged is everup's object store over HTTP: PUT, GET, HEAD and DELETE of /name, acknowledged when they are on stable
// storage.
//
// # Who owns what
//
// net/http owns the connections, blob.Store the directory, which a lock keeps other processes out of. The service owns
// one goroutine that watches the disk; Run waits for it and for the server.
package storaged

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/storaged/internal/blob"
	"github.com/everup/everup/services/storaged/internal/config"
	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/services/storaged/internal/web"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes storaged to the floor.
func Spec() daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "storaged", Short: "An object store over HTTP that loses no acknowledged write.", Common: config.Of,
		New: func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return New(c, env) },
	}
}

// Service is a running store.
type Service struct {
	env     *daemon.Env
	dir     *state.Dir // holds the lock
	store   *blob.Store
	handler *web.Handler
	ln      net.Listener
	server  *http.Server
	disk    *health.Item
	events  atomic.Bool

	mu  sync.Mutex
	cfg Config
}

var _ daemon.Service[Config] = (*Service)(nil)

const (
	headTimeout = 10 * time.Second
	headBytes   = 32 << 10
)

// New opens the directory, reads every object's head and binds the listener.
func New(c *Config, env *daemon.Env) (_ *Service, err error) {
	s := &Service{env: env, cfg: *c}
	s.events.Store(c.Events)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = openDir(dirOf(c, env)); err != nil {
		return nil, err
	}
	if err := s.openStore(c.MaxObjects); err != nil {
		return nil, err
	}
	if s.ln, err = listen(env.Net, c); err != nil {
		return nil, err
	}
	hooks := web.Hooks{Stored: s.stored, Deleted: s.deleted}
	s.handler = web.New(s.store, c.Limits(), hooks, web.NewMetrics(env.Metrics), env.Log)
	s.server = &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headTimeout, IdleTimeout: c.Idle.Std(), MaxHeaderBytes: headBytes,
		ErrorLog: logx.Std(env.Log, zerolog.DebugLevel),
	}
	if at, err := netip.ParseAddrPort(s.ln.Addr().String()); err == nil {
		env.Announce(func(a *member.Announcement) {
			a.Endpoints = []member.Endpoint{{Name: "http", Proto: "tcp", Addr: at}}
		})
	}
	return s, nil
}

func dirOf(c *Config, env *daemon.Env) string {
	if c.Dir != "" {
		return c.Dir
	}
	return filepath.Join(env.State.Path(), "objects")
}

// openDir makes and locks the directory; only the last part of a path that is configured may be missing.
func openDir(path string) (*state.Dir, error) {
	d, err := state.Open(path)
	return d, fault.Wrap(fault.Of(err), err, "storaged: directory %s", path)
}

// openStore reads all heads, and shows damaged files as a health item that stays until the next start.
func (s *Service) openStore(maxObjects int) error {
	syncs := s.env.Metrics.Histogram("sync_seconds", "Time of each sync of a file or directory that a change waits for.", metric.LatencyBuckets())
	start := time.Now()
	store, damaged, err := blob.Open(s.dir.Path(), blob.Options{
		MaxObjects: maxObjects, OnSync: func(took time.Duration) { syncs.Observe(took.Seconds()) },
	})
	if err != nil {
		return err
	}
	s.store = store
	n, bytes := store.Index().Len()
	s.env.Log.Info().Int("objects", n).Int64("bytes", bytes).Int("damaged", len(damaged)).Dur("took", time.Since(start)).Msg("index built")
	item := s.env.Health.Item("storaged.damaged", health.Options{Title: "object files fail their checks"})
	if len(damaged) > 0 {
		first := damaged[0]
		item.Warn(first.Path+": "+first.Err.Error(), "the objects cannot be read; restore them by writing them again, or remove the files")
	}
	s.disk = s.env.Health.Item("storaged.disk", health.Options{Title: "the disk of the objects"})
	s.register()
	return nil
}

func (s *Service) register() {
	m := s.env.Metrics
	m.GaugeFunc("objects", "Objects stored.", func() float64 { n, _ := s.store.Index().Len(); return float64(n) })
	m.GaugeFunc("object_bytes", "Bytes of all bodies.", func() float64 { _, b := s.store.Index().Len(); return float64(b) })
	m.GaugeFunc("disk_free_bytes", "Room on the disk of the objects.", func() float64 {
		space, err := s.store.Space()
		if err != nil {
			return 0
		}
		return float64(space.Free)
	})
}

func listen(set *netio.Set, c *Config) (net.Listener, error) {
	network, addr := "tcp", string(c.Listen)
	if path, ok := c.Listen.Unix(); ok {
		network, addr = "unix", path
	}
	ln, err := set.Listen("http", network, addr, netio.Options{})
	if err != nil {
		return nil, err
	}
	return web.Bounded(ln, c.Connections), nil
}

// Run serves until Drain has ended or ctx ends, which cuts what is under way.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watchDisk(ctx) })
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.ln) }() // waited for below
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = errors.Join(s.server.Close(), <-served)
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
		<-ctx.Done() // Drain lets requests under way end; then the floor ends ctx
	}
	cancel()
	watch.Wait()
	return errors.Join(fault.Wrap(fault.Of(err), err, "storaged: serve"), s.close())
}

// close gives the lock and the listener back; New uses it too when it fails half-way.
func (s *Service) close() error {
	var errs []error
	if s.ln != nil {
		if err := s.ln.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	return errors.Join(errs...)
}

// Drain stops accepting and waits for the requests under way.
func (s *Service) Drain(ctx context.Context) error {
	if err := s.server.Shutdown(ctx); err != nil {
		return fault.Wrap(fault.Partial, errors.Join(err, s.server.Close()), "storaged: drain: requests were cut")
	}
	return nil
}

// Reload takes new limits, which hold for requests to come. What was opened at the start needs a restart.
func (s *Service) Reload(_ context.Context, c *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fixed := *c
	fixed.Listen, fixed.Dir, fixed.MaxObjects, fixed.Connections = s.cfg.Listen, s.cfg.Dir, s.cfg.MaxObjects, s.cfg.Connections
	if changed := conf.Diff(&fixed, c); len(changed) > 0 {
		return fault.New(fault.Config, "storaged: %s changes only with a restart", changed[0].Path)
	}
	s.handler.SetLimits(c.Limits())
	s.events.Store(c.Events)
	s.cfg = *c
	return nil
}

// Status is the service's part of `storaged status`.
type Status struct {
	Listen  string `json:"listen"`
	Dir     string `json:"dir"`
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// Status returns sizes.
func (s *Service) Status() any {
	n, bytes := s.store.Index().Len()
	return Status{Listen: s.ln.Addr().String(), Dir: s.dir.Path(), Objects: n, Bytes: bytes}
}

// change is the data of an event.
type change struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	ETag    string `json:"etag"`
	Created bool   `json:"created,omitempty"`
}

func (s *Service) stored(m blob.Meta, created bool) {
	if s.events.Load() {
		s.env.Bus.Emit("object-stored", "object/"+m.Name, change{m.Name, m.Size, m.ETag(), created})
	}
}

func (s *Service) deleted(e names.Entry) {
	if s.events.Load() {
		s.env.Bus.Emit("object-deleted", "object/"+e.Name, change{Name: e.Name, Size: e.Size, ETag: blob.ETag(e.SHA256)})
	}
}

// diskEvery is how often the disk is looked at.
const diskEvery = 10 * time.Second

func (s *Service) watchDisk(ctx context.Context) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		s.lookAtDisk()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) lookAtDisk() {
	space, err := s.store.Space()
	if err != nil {
		s.disk.Fail(err.Error(), "is the file system still mounted?")
		return
	}
	// A full disk says so by its room, below.
	if err := s.store.Probe(); err != nil && fault.Of(err) != fault.Full {
		s.disk.Fail(err.Error(), "PUT and DELETE fail; is the file system read-only, or the disk bad?")
		return
	}
	s.mu.Lock()
	reserve := int64(s.cfg.Reserve)
	s.mu.Unlock()
	level, detail := judge(space, reserve)
	s.disk.Set(level, detail, "delete objects or enlarge the disk; PUT is refused with 507 below `reserve`")
}

// judge says how a disk with so much room is: Fail when uploads are refused, Warn when a tenth is left, or four times the
// reserve.
func judge(sp blob.Space, reserve int64) (health.Level, string) {
	detail := conf.Size(sp.Free).String() + " of " + conf.Size(sp.Total).String() + " free"
	switch {
	case sp.Free < reserve || sp.Free == 0:
		return health.Fail, detail
	case sp.Free < 4*reserve || sp.Free < sp.Total/10:
		return health.Warn, detail
	}
	return health.OK, detail
}
