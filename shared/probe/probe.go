// Package probe asks servers whether they are well, and decides from many answers whether one is up.
//
// It has three parts, each usable alone:
//
//   - a Checker asks one server once: ICMP, TCP, TLS, HTTP(S), DNS, MySQL, Redis, memcached, SMTP, gRPC
//     health, or a program with the exit codes of Nagios. New makes one from a Config;
//   - a Machine is the pure core: results and the time go in, changes of state come out. It counts rise and
//     fall, warns, damps flapping and says when the next check is due;
//   - a Runner owns the goroutines: it checks many targets with bounded concurrency and calls back on each
//     change.
//
// Every check is bounded: in time by its context, in bytes read by a constant of its protocol, and it closes
// what it opened before it returns. Connections are never kept for the next check, for a check is to see what
// a new client would see. What a server sends never reaches a Detail unescaped or whole: control characters
// are replaced and the text is cut at 256 bytes.
//
// What a check may conclude is only what it asks (the layers are: ICMP sees a host, TCP sees a listening
// kernel, the others see the service). Choose the one that fails when the users' requests would.
package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/everup/everup/shared/fault"
)

// Target is the server that a check asks.
type Target struct {
	// Addr is the address and port. Where its address is not valid, Host is resolved at each check and
	// Addr's port is used.
	Addr netip.AddrPort
	// Host is the target's name: the default of the HTTP Host header and of the TLS server name.
	Host string
}

// String returns host:port, the address where it is known.
func (t Target) String() string {
	return net.JoinHostPort(t.dialHost(), strconv.Itoa(int(t.Addr.Port())))
}

// dialHost is the address, or the name that has to be resolved.
func (t Target) dialHost() string {
	if t.Addr.Addr().IsValid() {
		return t.Addr.Addr().String()
	}
	return t.Host
}

// nameOr returns name if set, else the target's name, else its address.
func (t Target) nameOr(name string) string {
	switch {
	case name != "":
		return name
	case t.Host != "":
		return t.Host
	}
	return t.Addr.Addr().WithZone("").String()
}

// Result is what one check found.
type Result struct {
	OK      bool          `json:"ok"`               // the target may serve
	Warn    bool          `json:"warn,omitempty"`   // OK, but it wants attention: a certificate that soon expires, exit code 1
	Detail  string        `json:"detail,omitempty"` // one printable line of at most 256 bytes; never holds a secret
	Perf    string        `json:"perf,omitempty"`   // performance data of an exec check, printable, at most 1024 bytes
	Latency time.Duration `json:"latency_ns"`       // how long the check took
	Class   fault.Class   `json:"class,omitempty"`  // why it is not OK; 0 when it is; Full: resources lacked here, not there
}

// Checker asks a target once.
type Checker interface {
	// Check returns within ctx. A context without a deadline gets the Config's timeout. Check is safe for
	// concurrent use and keeps nothing of one call for the next.
	Check(ctx context.Context, t Target) Result
}

// outcome is what a check of one type says when nothing failed.
type outcome struct {
	detail string
	warn   bool
	perf   string
}

// prefix puts what the protocol said before what is already there (the certificate).
func (o outcome) prefix(detail string) outcome {
	o.detail = strings.TrimSuffix(detail+", "+o.detail, ", ")
	return o
}

// checkFunc is one type's check: it returns an error where the target is not well.
type checkFunc func(ctx context.Context, t Target) (outcome, error)

// checker gives a checkFunc what is common to all types: overrides, the time limit, the latency, clean text.
type checker struct {
	kind    Type
	check   checkFunc
	addr    netip.Addr // overrides the target's when valid
	port    uint16     // overrides the target's when not 0
	timeout time.Duration
}

var _ Checker = (*checker)(nil)

// New returns the Checker for cfg, whose defaults must be set. It fails with fault.Config where cfg is wrong
// or names a file that cannot be read.
func New(cfg Config) (Checker, error) {
	f, err := newCheckFunc(&cfg)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "probe: make %s check", cfg.Type)
	}
	return &checker{kind: cfg.Type, check: f, addr: cfg.Address, port: cfg.Port, timeout: cfg.Patience()}, nil
}

func newCheckFunc(cfg *Config) (checkFunc, error) {
	d := dialer{source: cfg.Source.Unmap(), iface: cfg.Interface, mark: cfg.Mark}
	switch cfg.Type {
	case ICMP:
		return newICMP(cfg, d)
	case TCP:
		return newTCP(cfg, d)
	case TLS:
		return newTLS(cfg, d)
	case HTTP, HTTPS:
		return newHTTP(cfg, d)
	case DNS:
		return newDNS(cfg, d)
	case MySQL:
		return newMySQL(cfg, d)
	case Redis:
		return newRedis(cfg, d)
	case Memcached:
		return newMemcached(d)
	case SMTP:
		return newSMTP(cfg, d)
	case GRPC:
		return newGRPC(cfg, d)
	case Exec:
		return newExec(cfg)
	}
	return nil, fault.New(fault.Config, "unknown type %q", cfg.Type)
}

// Check asks t, with the Config's overrides applied.
func (c *checker) Check(ctx context.Context, t Target) Result {
	if _, ok := ctx.Deadline(); !ok && c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	start := time.Now()
	out, err := c.guarded(ctx, c.override(t))
	res := Result{OK: err == nil, Warn: out.warn && err == nil, Latency: time.Since(start)}
	res.Detail, res.Perf = printable(out.detail, maxDetail), printable(out.perf, maxPerf)
	if err != nil {
		res.Class = classOf(ctx, err)
		res.Detail = printable(err.Error(), maxDetail)
	}
	return res
}

// guarded runs the check. Hostile bytes that make a protocol library panic must not take the daemon down.
func (c *checker) guarded(ctx context.Context, t Target) (out outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "BUG: probe: %s check: %v", c.kind, p)
		}
	}()
	if c.kind != Exec && t.dialHost() == "" {
		return outcome{}, fault.New(fault.Invalid, "target has neither address nor name")
	}
	return c.check(ctx, t)
}

func (c *checker) override(t Target) Target {
	addr, port := t.Addr.Addr(), t.Addr.Port()
	if c.addr.IsValid() {
		addr = c.addr
	}
	if c.port != 0 {
		port = c.port
	}
	t.Addr = netip.AddrPortFrom(addr.Unmap(), port)
	return t
}

// classOf is fault.Of for a check: an error after the context ended is the context's, one of a lack of local
// resources is Full, and one that nobody classed came from the network.
func classOf(ctx context.Context, err error) fault.Class {
	if ctx.Err() != nil {
		return fault.Of(ctx.Err())
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		switch e {
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS:
			return fault.Full
		}
	}
	if class := fault.Of(err); class != fault.Internal {
		return class
	}
	return fault.Unavailable
}

const (
	maxDetail = 256
	maxPerf   = 1024
)

// printable cuts s at max bytes and replaces what a terminal would act on: controls (C0, C1), format and bidi
// characters, broken UTF-8.
func printable(s string, max int) string {
	if len(s) > 4*max {
		s = s[:4*max]
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSpace(s))
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
