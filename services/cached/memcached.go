package cached

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/mcflags"
	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/state"
)

// IsMemcached reports whether args, without the program's name, are memcached's command line and not everup's.
func IsMemcached(args []string) bool { return mcflags.Looks(args) }

// Memcached runs the daemon as memcached runs, by its options, and returns the exit code. All of everup's own is off but the admin
// socket, which lies with the other small files in a directory of its own that goes when the daemon does.
func Memcached(args []string, getenv func(string) string, out, errs io.Writer) int {
	err := memcached(args, getenv, out, errs)
	if err != nil {
		fmt.Fprintf(errs, "cached: %v\n", err)
	}
	return cli.ExitCode(err)
}

func memcached(args []string, getenv func(string) string, out, errs io.Writer) error {
	o, err := mcflags.Parse(args, getenv)
	if err != nil {
		return err
	}
	switch o.Action {
	case mcflags.Help:
		return mcflags.Usage(out)
	case mcflags.License, mcflags.Version:
		_, err := fmt.Fprintf(out, "everup cached %s, in place of memcached %s\n", buildinfo.Read().Version, stats.Version)
		return err
	}
	if err := o.CheckUser(os.Geteuid()); err != nil {
		return err
	}
	if o.Daemonize && getenv(envChild) == "" {
		return daemonize(args, errs)
	}
	if err := prepare(o); err != nil {
		return err
	}
	return serve(o, errs)
}

// serve runs the daemon until a signal ends it.
func serve(o *mcflags.Options, errs io.Writer) error {
	dir, err := os.MkdirTemp("", "cached-")
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "make a directory for the admin socket")
	}
	defer os.RemoveAll(dir)
	text, err := translate(o, dir)
	if err != nil {
		return err
	}
	load := func() (daemon.Loaded[Config], error) {
		c := new(Config)
		doc, err := conf.Parse("command line", text, c, conf.Options{})
		return daemon.Loaded[Config]{Config: c, Doc: doc}, err
	}
	f := front{options: o, verbosity: o.Verbosity, ready: func(s *Service) error { return s.tellStart(o) }}
	return daemon.Serve(context.Background(), spec(f), load, "memcached's options", errs)
}

// tellStart logs what the options mean here and writes the files that tell others of the process: with the sockets bound, so that they never
// speak of one that could not serve beside another that does.
func (s *Service) tellStart(o *mcflags.Options) error {
	for _, n := range o.Ignored {
		s.env.Log.Info().Str("option", n.Option).Msg("accepted, without effect: " + n.Why)
	}
	for _, step := range []func(*mcflags.Options) error{s.writePID, s.writePorts, detach} {
		if err := step(o); err != nil {
			return err
		}
	}
	return nil
}

// writePID writes the file of -P, which goes when the daemon does.
func (s *Service) writePID(o *mcflags.Options) error {
	if o.PIDFile == "" {
		return nil
	}
	if err := state.WriteFile(o.PIDFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	s.closers = append(s.closers, func() { os.Remove(o.PIDFile) })
	return nil
}

// writePorts writes the file that MEMCACHED_PORT_FILENAME names.
func (s *Service) writePorts(o *mcflags.Options) error {
	if o.PortFile == "" || o.Socket != "" {
		return nil
	}
	var ports []mcflags.Bound
	for _, b := range s.bound {
		if at, err := netip.ParseAddrPort(b.addr.String()); err == nil {
			ports = append(ports, mcflags.Bound{UDP: b.udp, Addr: at})
		}
	}
	return mcflags.WritePortFile(o.PortFile, ports)
}

// translate writes o as everup's configuration, with the daemon's own files in dir.
func translate(o *mcflags.Options, dir string) ([]byte, error) {
	endpoints, err := endpoints(o)
	if err != nil {
		return nil, err
	}
	c := map[string]any{
		"state": filepath.Join(dir, "state"),
		"admin": map[string]any{"socket": filepath.Join(dir, "cached.sock")},
		"log":   map[string]any{"level": []string{"warn", "info", "debug", "trace"}[min(o.Verbosity, 3)]},

		"listen": endpoints, "socket_mode": fmt.Sprintf("%04o", o.SocketMode.Perm()),
		"protocol": map[mcflags.Protocol]string{mcflags.Auto: "auto", mcflags.Text: "text", mcflags.Binary: "binary"}[o.Protocol],
		"threads":  min(o.Threads, 256), "connections": o.MaxConns, "connections_full": map[bool]string{true: "refuse", false: "wait"}[o.MaxConnsFast],
		"idle":   o.IdleTimeout.String(),
		"memory": max(o.Memory, config.SmallestMemory), "max_item": o.MaxItem, "evict": !o.NoEvict, "cas": !o.NoCAS, "warm": o.MemoryFile,
		"commands": map[string]any{"flush": !o.NoFlush, "dump": !o.NoDump, "watch": !o.NoWatch, "shutdown": o.Shutdown},
	}
	switch {
	case o.AuthFile != "":
		c["auth"] = map[string]any{"users": o.AuthFile, "text": true, "sasl": false, "resp": false}
	case o.SASL:
		c["auth"] = map[string]any{"users": o.SASLDatabase, "form": "database", "text": false, "sasl": true, "resp": false}
	}
	if o.TLS.Enabled {
		if c["tls"], err = tlsSection(&o.TLS); err != nil {
			return nil, err
		}
	}
	if udp := o.UDP(); len(udp) > 0 {
		c["udp"] = map[string]any{"listen": addresses(udp)}
	}
	return json.Marshal(c) // which is YAML, too
}

// endpoints are the listeners of o.
func endpoints(o *mcflags.Options) ([]string, error) {
	out := []string{}
	if o.Socket != "" {
		path, err := filepath.Abs(o.Socket)
		return append(out, "unix:"+path), err
	}
	names := map[mcflags.Protocol]string{mcflags.Text: "text", mcflags.Binary: "binary"}
	for i, l := range o.TCP() {
		e := config.Endpoint{Addr: address(l), Protocol: names[l.Protocol], Tag: l.Tag}
		e.TLS = o.TLS.Enabled && !l.NoTLS
		e.Mutual = e.TLS && l.MutualTLS
		if out = append(out, e.String()); i >= 16 {
			return nil, fault.New(fault.Invalid, "-l (--listen): more than 16 addresses")
		}
	}
	return out, nil
}

func addresses(all []mcflags.Listener) (out []string) {
	for _, l := range all {
		out = append(out, address(l).String())
	}
	return out
}

// address is where l listens; the port 0 is any that is free.
func address(l mcflags.Listener) conf.Addr {
	return conf.Addr(net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port.Number()))))
}

// tlsSection is the section tls. Ciphers are OpenSSL's names, which Go's TLS does not take: to drop them silently would be to allow what was forbidden.
func tlsSection(t *mcflags.TLS) (map[string]any, error) {
	if t.Ciphers != "" {
		return nil, fault.New(fault.Unsupported, "-o ssl_ciphers: the ciphers cannot be chosen; set ssl_min_version=3 to allow TLS 1.3 alone")
	}
	if t.KeyFormat == mcflags.DER {
		return nil, fault.New(fault.Unsupported, "-o ssl_keyformat: only PEM is read; openssl pkey -inform DER converts a key")
	}
	key := t.Key
	if key == "" {
		key = t.Cert
	}
	verify := "require"
	switch t.Verify {
	case mcflags.VerifyNone:
		verify = "none"
	case mcflags.VerifyRequest:
		verify = "request"
	}
	return map[string]any{
		"cert": t.Cert, "key": key, "ca": t.CA, "verify": verify,
		"min_version": strings.TrimPrefix(tlsName(t.MinVersion), "TLS "),
	}, nil
}
