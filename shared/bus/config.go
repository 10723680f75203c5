package bus

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
)

const (
	modeOff  = "off"
	modeAuto = "auto"
	modeURLs = "urls"

	anonymousEvents = "events"

	defaultListen = "127.0.0.1:4222"
	defaultRoutes = "127.0.0.1:6222"
	maxURLs       = 16

	// aloneFleet stands for the fleet of a daemon that has none; it leaves the process nowhere.
	aloneFleet = "alone"
)

// settings are a Config that was checked.
type settings struct {
	Config
	mode      string
	listen    endpoint
	routes    endpoint
	anonymous bool // a client without credentials may read events
}

// endpoint is a host and a port to listen on; port 0 lets the kernel choose.
type endpoint struct {
	host string // "" for all addresses
	port int
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// loopback reports whether only this host reaches e.
func (e endpoint) loopback() bool {
	if e.host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(e.host)
	return err == nil && a.IsLoopback()
}

// dial returns the address at which a local client reaches a listener on e.
func (e endpoint) dial() string {
	host := e.host
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if err == nil && a.IsUnspecified() {
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(e.port))
}

// Check refuses what New would refuse of cfg, without making anything.
func Check(cfg Config, env Env) error {
	_, err := check(cfg, &env)
	return err
}

// check completes cfg by its defaults and refuses what cannot work or is not safe, as fault.Config.
func check(cfg Config, env *Env) (settings, error) {
	s := settings{Config: cfg, mode: cfg.Mode}
	if s.mode == "" {
		s.mode = modeOff
		if env.Fleet != "" {
			s.mode = modeAuto
		}
	}
	if s.mode == modeOff && env.Fleet == "" {
		env.Fleet = aloneFleet
	}
	if err := checkNames(*env); err != nil {
		return s, err
	}
	switch s.mode {
	case modeOff:
		return s, nil
	case modeAuto:
		return s, s.checkAuto(*env)
	case modeURLs:
		return s, s.checkURLs()
	}
	return s, fault.New(fault.Config, "bus: mode %q is none of off, auto, urls", cfg.Mode)
}

func checkNames(env Env) error {
	for _, n := range []struct{ what, name string }{{"fleet", env.Fleet}, {"node", env.Node}, {"service", env.Service}} {
		if !subject.Valid(n.name) {
			return fault.New(fault.Config, "bus: the %s name %q is not a lower-case name of at most %d letters, digits, '-', '_'", n.what, n.name, subject.MaxName)
		}
	}
	return nil
}

func (s *settings) checkAuto(env Env) error {
	var err error
	if s.listen, err = parseListen("listen", s.Listen, defaultListen); err != nil {
		return err
	}
	if s.routes, err = parseListen("routes", s.Routes, defaultRoutes); err != nil {
		return err
	}
	if env.Keys == nil && (!s.listen.loopback() || !s.routes.loopback()) {
		return fault.New(fault.Config, "bus: listening beyond loopback (%s, routes %s) needs a fleet secret (cluster.secrets)", s.listen, s.routes)
	}
	if env.Keys != nil && env.Keys.Fleet() != env.Fleet {
		return fault.New(fault.Internal, "bus: the keys are of fleet %q, not %q", env.Keys.Fleet(), env.Fleet)
	}
	if s.anonymous = s.Anonymous == anonymousEvents; s.anonymous && !s.listen.loopback() {
		return fault.New(fault.Config, "bus: anonymous: events needs a loopback address in listen, not %s", s.listen)
	}
	return nil
}

func (s *settings) checkURLs() error {
	if len(s.URLs) == 0 || len(s.URLs) > maxURLs {
		return fault.New(fault.Config, "bus: mode urls takes 1 to %d urls, not %d", maxURLs, len(s.URLs))
	}
	for i, raw := range s.URLs {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			// The error of url.Parse quotes the URL, and with it a password.
			return fault.New(fault.Config, "bus: urls[%d] is not of the form nats://host:port or tls://host:port", i)
		}
	}
	return nil
}

func parseListen(key string, a conf.Addr, def string) (endpoint, error) {
	if a == "" {
		a = conf.Addr(def)
	}
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return endpoint{}, fault.New(fault.Config, "bus: %s: %q is not host:port", key, a)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return endpoint{}, fault.New(fault.Config, "bus: %s: %q has no port of 0 to 65535", key, a)
	}
	return endpoint{host: host, port: int(n)}, nil
}

// healthItems are the bus's items; a nil one does nothing.
type healthItems struct{ disconnected, foreign, slow item }

type item struct{ i *health.Item }

func newHealthItems(r *health.Registry, mode string) healthItems {
	if r == nil || mode == modeOff {
		return healthItems{}
	}
	return healthItems{
		disconnected: item{r.Item("bus.disconnected", health.Options{Title: "the daemon is not connected to the bus", Visible: disconnectedVisible})},
		foreign:      item{r.Item("bus.foreign", health.Options{Title: "the bus's port is held by something else", Visible: foreignVisible})},
		slow:         item{r.Item("bus.slow-consumer", health.Options{Title: "events come faster than a subscriber takes them"})},
	}
}

func (i item) ok() {
	if i.i != nil {
		i.i.OK()
	}
}

func (i item) set(l health.Level, detail, hint string) {
	if i.i != nil {
		i.i.Set(l, detail, hint)
	}
}
