package cached

import (
	"os"
	"syscall"

	"github.com/everup/everup/services/cached/internal/mcflags"
	"github.com/everup/everup/services/cached/internal/session"
)

// front is what the way the daemon was started adds to its configuration: by everup's file (the zero front) or by memcached's options.
type front struct {
	options   *mcflags.Options // memcached's command line; nil without
	verbosity int
	// ready is told the service once its sockets are bound; may be nil.
	ready func(s *Service) error
}

// opened runs what the front wants once all is bound.
func (f front) opened(s *Service) error {
	if f.ready == nil {
		return nil
	}
	return f.ready(s)
}

// backlog is how many connections may wait to be accepted; 0 is the kernel's choice.
func (f front) backlog() int {
	if f.options == nil {
		return 0
	}
	return max(f.options.Backlog, 0)
}

// stop ends the process as a signal from outside does: the command shutdown.
func (f front) stop(graceful bool) {
	sig := syscall.SIGINT
	if graceful {
		sig = syscall.SIGTERM
	}
	syscall.Kill(os.Getpid(), sig) // cannot fail: to itself, a signal that exists
}

// settings are the lines of `stats settings`. Started by everup's file, the configuration is shown as the options that mean the same.
func (s *Service) settings() []session.Pair {
	c := s.config()
	o := s.front.options
	if o == nil {
		o = asOptions(&c, s.bound)
	}
	var out []session.Pair
	for _, line := range o.Settings(mcflags.Live{MaxBytes: s.store.Limit(), Verbosity: int(s.verbosity.Load())}) {
		out = append(out, session.Pair(line))
	}
	return out
}

// asOptions says c in memcached's terms.
func asOptions(c *Config, bound []bound) *mcflags.Options {
	o := mcflags.Defaults()
	o.Port, o.Threads = mcflags.Off, threads(c)
	for _, b := range bound {
		path, unix := b.Addr.Unix()
		switch {
		case unix && o.Socket == "":
			o.Socket, o.SocketMode = path, os.FileMode(c.SocketMode)
		case !unix && b.udp && o.UDPPort == mcflags.Off:
			o.UDPPort = mcflags.Port(port(b.addr))
		case !unix && !b.udp && o.Port == mcflags.Off:
			o.Port = mcflags.Port(port(b.addr))
		}
	}
	o.Protocol = map[string]mcflags.Protocol{"text": mcflags.Text, "binary": mcflags.Binary}[c.Protocol]
	o.MaxConns, o.MaxConnsFast, o.IdleTimeout = c.Connections, c.Full == "refuse", c.Idle.Std()
	o.Memory, o.MaxItem, o.NoEvict, o.MemoryFile = int64(c.Memory), int64(c.MaxItem), !c.Evict, c.Warm
	o.NoCAS, o.NoFlush, o.NoDump, o.NoWatch = !c.CAS, !c.Commands.Flush, !c.Commands.Dump, !c.Commands.Watch
	o.Shutdown = c.Commands.Shutdown
	if c.Auth != nil {
		o.SASL = c.Auth.SASL
		if c.Auth.Text {
			o.AuthFile = c.Auth.Users
		}
	}
	if t := c.TLS; t != nil {
		o.TLS.Enabled, o.TLS.Cert, o.TLS.Key, o.TLS.CA = true, t.Cert, t.Key, t.CA
		o.TLS.Verify = map[string]mcflags.VerifyMode{"request": mcflags.VerifyRequest, "require": mcflags.VerifyRequire}[t.Verify]
		o.TLS.MinVersion = tlsVersion(t.Version)
	}
	return o
}
