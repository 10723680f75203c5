package daemon

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/pki"
)

// busRoutePort is the port of the route listener when the configuration names none (NATS's own custom).
const busRoutePort = "6222"

// floor is everything below a service, none of which depends on the service's configuration type.
type floor struct {
	Env
	service  string
	started  time.Time
	common   Common
	logs     *logx.Root
	announce *announcer
	unix     net.Listener
	tcp      net.Listener // nil: no TCP side
	routes   <-chan struct{}
	closers  []func() // run in reverse when the floor goes
}

// newFloor opens everything a service stands on, in the order of the package comment. On an error what was
// opened is closed again.
func newFloor(service string, common Common, out io.Writer) (_ *floor, err error) {
	f := &floor{service: service, started: time.Now(), common: common}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.Node, err = nodeName(string(common.Node)); err != nil {
		return nil, err
	}
	if common.Limits.Memory > 0 {
		debug.SetMemoryLimit(int64(common.Limits.Memory))
	}
	f.logs = logx.New(common.Log, out, f.Node, service)
	f.Log = f.logs.Logger()
	f.Metrics = metric.NewRegistry("everup_" + service)
	metric.RegisterProcess(f.Metrics)
	f.Metrics.CounterFunc("log_lost_total", "Log lines that could not be written.", f.logs.Lost)
	f.Health = health.NewRegistry()
	if f.Net, err = netio.NewSet(); err != nil {
		return nil, err
	}
	f.closers = append(f.closers, func() { f.Net.Close() })
	if f.Predecessor, err = predecessor(f.Net); err != nil {
		return nil, err
	}
	if err = f.openState(); err != nil {
		return nil, err
	}
	if err = f.openAdmin(); err != nil {
		return nil, err
	}
	return f, f.openFleet()
}

func (f *floor) openState() error {
	path := f.common.State
	if path == "" {
		path = StatePath(f.service)
	}
	dir, err := openStateDir(f.Net, path)
	if err != nil {
		return notWritable(err, "state")
	}
	f.State = dir
	f.closers = append(f.closers, func() { dir.Close() })
	return nil
}

func (f *floor) openAdmin() error {
	f.Admin = admin.New(f.service, f.Metrics, f.Health, logx.Comp(f.Log, "admin"))
	f.Admin.SetLog(f.logs)
	f.Admin.SetAllow(f.common.Admin.Allow)
	f.Admin.SetHosts(f.Node)
	path := socketOf(f.service, f.common.Admin)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return notWritable(fault.Wrap(fault.Of(err), err, "admin: make the directory of socket %s", path), "admin.socket")
	}
	var err error
	if f.unix, err = f.Net.Listen("admin", "unix", path, netio.Options{Perm: 0o660}); err != nil {
		return notWritable(err, "admin.socket")
	}
	if f.common.Admin.HTTP == "" {
		return nil
	}
	f.tcp, err = f.Net.Listen("admin-http", "tcp", string(f.common.Admin.HTTP), netio.Options{})
	return err
}

// notWritable adds to the error of a path that this user may not write what the operator can do about it.
func notWritable(err error, key string) error {
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		return err
	}
	return fault.Wrap(fault.Denied, err, "daemon: user %d cannot write there: set `%s` to a path it can write, or start the daemon by its systemd unit", os.Geteuid(), key)
}

// socketOf returns the path of the admin socket.
func socketOf(service string, c admin.Config) string {
	if c.Socket != "" {
		return c.Socket
	}
	return SocketPath(service)
}

// openFleet opens membership and prepares the bus.
func (f *floor) openFleet() error {
	keys, err := fleetKeys(f.common.Cluster)
	if err != nil {
		return err
	}
	f.Keys = keys
	f.warnOpen(keys)
	version := buildinfo.Read().Version
	f.Fleet, err = member.New(f.common.Cluster, member.Env{
		Node: f.Node, Service: f.service, Version: version, Keys: keys, State: f.State,
		Log: logx.Comp(f.Log, "member"), Metrics: f.Metrics, Health: f.Health,
	})
	if err != nil {
		return err
	}
	f.closers = append(f.closers, func() { f.Fleet.Close() }) // only when it never ran
	f.announce = newAnnouncer(f.Fleet, f.Health, f.State.Path())
	f.Announce = f.announce.change

	changed, cancel := f.Fleet.Watch()
	f.closers = append(f.closers, cancel)
	f.Bus, err = bus.New(busConfig(f.common), bus.Env{
		Fleet: fleetName(f.common.Cluster), Node: f.Node, Service: f.service, Version: version, Keys: keys,
		Log: logx.Comp(f.Log, "bus"), Metrics: f.Metrics, Health: f.Health,
		Routes:        func() []netip.AddrPort { return busRoutes(f.Fleet.View(), f.Node) },
		RoutesChanged: changed,
		Serving: func(at netip.AddrPort) {
			f.Announce(func(a *member.Announcement) { a.Bus = at })
		},
	})
	if err == nil {
		// Ends the subscriptions of a service that could not be made; after Run it does nothing.
		f.closers = append(f.closers, func() { f.Bus.Close(context.Background()) })
	}
	return err
}

// warnOpen says that a fleet without secrets trusts every process of the host: it may send requests (drain, flush) and make
// itself a member. That is for trying out; beyond loopback it is refused.
func (f *floor) warnOpen(keys *pki.Keys) {
	if f.common.Cluster == nil || keys != nil {
		return
	}
	f.Health.Item("fleet.open", health.Options{Title: "the fleet has no secret"}).
		Warn("every local process may join it and send requests to its daemons", "set cluster.secrets on every daemon: everup secret")
}

// close releases what was opened, newest first.
func (f *floor) close() {
	for _, c := range slices.Backward(f.closers) {
		c()
	}
	f.closers = nil
}

// fleetKeys derives the fleet's keys; a fleet without secrets has none and stays on loopback.
func fleetKeys(c *member.Config) (*pki.Keys, error) {
	if c == nil || len(c.Secrets) == 0 {
		return nil, nil
	}
	secrets := make([]string, len(c.Secrets))
	for i, s := range c.Secrets {
		secrets[i] = s.Reveal()
	}
	return pki.New(string(c.Fleet), secrets...)
}

// standAlone is the fleet name in subjects and events of a daemon without a cluster.
const standAlone = "alone"

func fleetName(c *member.Config) string {
	if c == nil {
		return standAlone
	}
	return string(c.Fleet)
}

// busConfig fills what the section bus leaves open from the section cluster.
func busConfig(c Common) bus.Config {
	b := c.Bus
	if b.Mode == "" {
		b.Mode = "off"
		if c.Cluster != nil {
			b.Mode = "auto"
		}
	}
	if b.Routes == "" && c.Cluster != nil {
		host := "127.0.0.1"
		if h, _, ok := c.Cluster.Listen.HostPort(); ok && h != "" {
			host = h
		}
		b.Routes = conf.Addr(net.JoinHostPort(host, busRoutePort))
	}
	return b
}

// busRoutes returns the route addresses of the other nodes' bus servers.
func busRoutes(v member.View, node string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, m := range v.Alive("") {
		if m.Node != node && m.Bus.IsValid() && !slices.Contains(out, m.Bus) {
			out = append(out, m.Bus)
		}
	}
	return out
}
