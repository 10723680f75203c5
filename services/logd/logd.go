// Package logd is everup's syslog server: it receives by UDP, TCP and unix datagrams and keeps lines in files by day
// and host, where grep finds them.
//
// # Who owns what
//
// Each listener has a goroutine, each TCP connection one of its own; all put records into one bounded queue. One goroutine, the writer,
// takes them out and owns the files. Run waits for all of them.
//
// # What is promised
//
// Plain syslog knows no acknowledgement. A message that was read from a TCP connection is in memory until it is written, and on stable storage
// as `sync` says. When files cannot be written, TCP senders wait; datagrams are dropped when the queue is full, and counted.
package logd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/logd/internal/config"
	"github.com/everup/everup/services/logd/internal/ingest"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/services/logd/internal/tail"
	"github.com/everup/everup/services/logd/internal/text"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/run"
	"github.com/everup/everup/shared/state"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes logd to the floor.
func Spec() daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "logd", Short: "A syslog server that keeps lines in files by day and host.", Common: config.Of,
		New: func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return New(c, env) },
	}
}

// Service is a running log server.
type Service struct {
	env     *daemon.Env
	dir     *state.Dir // holds the lock
	root    *os.Root
	loc     *time.Location
	sink    *ingest.Sink
	writer  *writer
	ring    *tail.Ring
	epoch   int64
	queries chan struct{}
	packets []packetListener
	streams []net.Listener
	full    *health.Item
	keep    atomic.Int64 // nanoseconds

	stopping signal        // receivers are to stop
	quitting signal        // nothing is to be waited for any more
	done     chan struct{} // closed when all that was received is written

	mu  sync.Mutex
	cfg Config
}

type packetListener struct {
	conn net.PacketConn
	via  record.Transport
}

var _ daemon.Service[Config] = (*Service)(nil)

// dirPerm lets a group read the logs; the lock's maker would not.
const dirPerm = 0o750

// New opens the directory, mends what a crash left, and binds the sockets.
func New(c *Config, env *daemon.Env) (_ *Service, err error) {
	s := &Service{
		env: env, cfg: *c, loc: c.Location(), epoch: time.Now().UnixNano(), queries: make(chan struct{}, maxQueries), done: make(chan struct{}),
		ring: tail.NewRing(c.Tail.Lines, int(c.Tail.Memory), env.Node),
		full: env.Health.Item("logd.queue", health.Options{Title: "the queue between receivers and files"}),
	}
	s.stopping.c, s.quitting.c = make(chan struct{}), make(chan struct{})
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.keep.Store(int64(c.Keep))
	s.sink = &ingest.Sink{
		Queue: ingest.NewQueue(c.Queue.Messages, int(c.Queue.Memory)), Metrics: ingest.NewMetrics(env.Metrics), Log: env.Log, Location: s.loc,
	}
	s.sink.SetLimits(c.Limits())
	if err := s.openFiles(c); err != nil {
		return nil, err
	}
	if err := s.bind(c); err != nil {
		return nil, err
	}
	s.measure()
	return s, s.register()
}

func (s *Service) openFiles(c *Config) (err error) {
	path := dirOf(c, s.env)
	if err := os.MkdirAll(path, dirPerm); err != nil {
		return fault.Wrap(fault.Of(err), err, "logd: make directory %s", path)
	}
	if s.dir, err = state.Open(path); err != nil {
		return fault.Wrap(fault.Of(err), err, "logd: directory %s", path)
	}
	if s.root, err = os.OpenRoot(path); err != nil {
		return fault.Wrap(fault.Of(err), err, "logd: directory %s", path)
	}
	syncs := s.env.Metrics.Histogram("sync_seconds", "Time of each sync of a log file.", metric.LatencyBuckets())
	store, err := text.Open(s.root, c.Text(s.env.Node, func(took time.Duration) { syncs.Observe(took.Seconds()) }))
	if err != nil {
		return err
	}
	w := newWriter(s.env.Metrics)
	w.queue, w.store, w.ring, w.every, w.dir = s.sink.Queue, store, s.ring, c.Every.Std(), path
	w.disk = s.env.Health.Item("logd.disk", health.Options{Title: "the log files"})
	w.emit = s.emit
	w.lost = s.sink.Metrics.Dropped.With("shutdown")
	s.writer = w
	return nil
}

func (s *Service) emit(kind, object string, data any) { s.env.Bus.Emit(kind, object, data) }

func dirOf(c *Config, env *daemon.Env) string {
	if c.Dir != "" {
		return c.Dir
	}
	if d := os.Getenv("LOGS_DIRECTORY"); d != "" { // systemd.exec(5)
		first, _, _ := strings.Cut(d, ":")
		return first
	}
	return filepath.Join(env.State.Path(), "logs")
}

// bind opens all sockets and tells the fleet.
func (s *Service) bind(c *Config) error {
	var ends []member.Endpoint
	tell := func(proto string, a net.Addr) {
		if at, err := netip.ParseAddrPort(a.String()); err == nil {
			ends = append(ends, member.Endpoint{Name: "syslog", Proto: proto, Addr: at})
		}
	}
	for i, a := range c.Listen.TCP {
		ln, err := s.env.Net.Listen(name("syslog-tcp", i), "tcp", string(a), netio.Options{})
		if err != nil {
			return err
		}
		s.streams = append(s.streams, ln)
		tell("tcp", ln.Addr())
	}
	for i, a := range c.Listen.UDP {
		conn, err := s.env.Net.ListenPacket(name("syslog-udp", i), "udp", string(a), netio.Options{})
		if err != nil {
			return err
		}
		s.packets = append(s.packets, packetListener{conn, record.UDP})
		tell("udp", conn.LocalAddr())
	}
	for i, path := range c.Listen.Unix {
		conn, err := s.env.Net.ListenPacket(name("syslog-unix", i), "unixgram", path, netio.Options{Perm: 0o666})
		if err != nil {
			return err
		}
		s.packets = append(s.packets, packetListener{conn, record.Unix})
	}
	s.env.Announce(func(a *member.Announcement) { a.Endpoints = ends })
	return nil
}

func name(kind string, i int) string { return kind + "-" + strconv.Itoa(i) }

func (s *Service) measure() {
	m := s.env.Metrics
	m.GaugeFunc("queue_messages", "Messages between receivers and files.", func() float64 { n, _ := s.sink.Queue.Len(); return float64(n) })
	m.GaugeFunc("queue_bytes", "Memory of the queue.", func() float64 { _, b := s.sink.Queue.Len(); return float64(b) })
	m.GaugeFunc("tail_lines", "Lines held to be followed.", func() float64 { n, _ := s.ring.Len(); return float64(n) })
	m.GaugeFunc("tail_bytes", "Memory of the lines held to be followed.", func() float64 { _, b := s.ring.Len(); return float64(b) })
}

// signal is given once, at any time, by anyone.
type signal struct {
	c    chan struct{}
	once sync.Once
}

func (s *signal) give() { s.once.Do(func() { close(s.c) }) }

// context returns a context that ends with parent or when the signal is given; cancel lets go of it.
func (s *signal) context(parent context.Context) (ctx context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(parent)
	go func() { // ends with ctx, and so by cancel at the latest
		select {
		case <-s.c:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Run receives until Drain has ended or ctx ends; what is in memory then is still written, unless the files cannot be.
func (s *Service) Run(ctx context.Context) error {
	stop, cancelStop := s.stopping.context(ctx)
	defer cancelStop()
	abandon, cancelAbandon := s.quitting.context(ctx)
	defer cancelAbandon()
	groups := context.WithoutCancel(ctx)
	writing := run.NewGroup(groups)
	writing.Go("writer", func(context.Context) error {
		defer close(s.done)
		return s.writer.run(abandon)
	})
	receiving := run.NewGroup(groups)
	s.receive(receiving, stop, abandon)
	err := receiving.Wait()
	s.sink.Queue.Close()
	err = errors.Join(err, writing.Wait(), s.close())
	if err == nil {
		<-ctx.Done() // after Drain the floor ends ctx
	}
	return err
}

// receive starts what ends with stop.
func (s *Service) receive(g *run.Group, stop, abandon context.Context) {
	for _, p := range s.packets {
		g.Go("datagrams", func(context.Context) error { return s.orStop(s.sink.ServePackets(stop, p.conn, p.via)) })
	}
	for _, ln := range s.streams {
		g.Go("streams", func(context.Context) error { return s.orStop(s.sink.ServeStreams(stop, abandon, ln)) })
	}
	g.Go("retention", func(context.Context) error {
		retain(stop, s.root, s.loc, func() time.Duration { return time.Duration(s.keep.Load()) }, s.removed)
		return nil
	})
	g.Go("queue", func(context.Context) error { s.watchQueue(stop); return nil })
}

// orStop stops the other receivers when one fails.
func (s *Service) orStop(err error) error {
	if err != nil {
		s.stopping.give()
	}
	return err
}

func (s *Service) removed(d text.Day, err error) {
	if err != nil {
		s.env.Log.Error().Err(err).Msg("expired logs are not deleted")
		return
	}
	s.env.Log.Info().Str("day", d.Dir()).Msg("expired logs deleted")
}

// queueEvery is how often the queue is looked at for its health item.
const queueEvery = 5 * time.Second

func (s *Service) watchQueue(stop context.Context) {
	dropped := func() (n uint64) {
		for t := range record.Transports {
			n += s.sink.Metrics.Dropped.With("queue_full_" + record.Transport(t).String()).Value()
		}
		return n
	}
	for before := dropped(); ; {
		now := dropped()
		if now > before {
			s.full.Warn(strconv.FormatUint(now-before, 10)+" datagrams were dropped in the last seconds", "use TCP, or enlarge queue")
		} else {
			s.full.OK()
		}
		before = now
		if !sleep(stop, queueEvery) {
			return
		}
	}
}

// close gives back what New opened; the sockets may be closed already.
func (s *Service) close() error {
	for _, p := range s.packets {
		p.conn.Close()
	}
	for _, ln := range s.streams {
		ln.Close()
	}
	var errs []error
	if s.root != nil {
		errs = append(errs, s.root.Close())
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	return errors.Join(errs...)
}

// Drain stops receiving, reads what has already arrived, and writes all of it.
func (s *Service) Drain(ctx context.Context) error {
	s.stopping.give()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.quitting.give()
		return fault.New(fault.Partial, "logd: drain: not all that was received could be written")
	}
}

// Reload takes new limits of senders and a new keep. What was opened at the start needs a restart.
func (s *Service) Reload(_ context.Context, c *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fixed := s.cfg
	fixed.Common, fixed.Message, fixed.Keep = c.Common, c.Message, c.Keep
	if changed := conf.Diff(&fixed, c); len(changed) > 0 {
		return fault.New(fault.Config, "logd: %s changes only with a restart", changed[0].Path)
	}
	s.sink.SetLimits(c.Limits())
	s.keep.Store(int64(c.Keep))
	s.cfg = *c
	return nil
}

// Status is the service's part of `logd status`.
type Status struct {
	Listen   []string          `json:"listen"`
	Dir      string            `json:"dir"`
	Received map[string]uint64 `json:"received"` // messages by transport
	Written  uint64            `json:"written"`  // lines
	Queued   int               `json:"queued"`
}

// Status returns counters.
func (s *Service) Status() any {
	st := Status{Dir: s.dir.Path(), Received: map[string]uint64{}, Written: s.writer.written.Value()}
	st.Queued, _ = s.sink.Queue.Len()
	for _, ln := range s.streams {
		st.Listen = append(st.Listen, "tcp "+ln.Addr().String())
	}
	for _, p := range s.packets {
		st.Listen = append(st.Listen, p.via.String()+" "+p.conn.LocalAddr().String())
	}
	for t := range record.Transports {
		st.Received[record.Transport(t).String()] = s.sink.Metrics.Messages[t].Value()
	}
	return st
}
