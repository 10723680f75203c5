package bus

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	dialMax = 2 * time.Second

	// daemonInbox is the prefix of the daemons' own inboxes on a bus of ours, which an operator may not read.
	daemonInbox = "_EVERUP"

	hintConnect = "events are dropped until the bus is back; see `everup doctor` and the log of the daemon that serves it"
	hintForeign = "stop what holds the port, or set bus.listen and bus.routes to free ports; daemons of one host need the same fleet, secret and ports"
	hintSlow    = "the daemon is short of CPU or its work for each event is too slow"
)

// clientOptions are those of every connection. There is no reconnecting inside the NATS client: a connection that ends makes this
// process try to serve before it dials again, without pause, and the library's loop (2 s between tries, closed for good after 60,
// messages kept in 8 MiB meanwhile and sent late) is in no part what the bus promises.
func (b *Bus) clientOptions() []nats.Option {
	return []nats.Option{
		nats.Name("everup/" + b.env.Node + "/" + b.env.Service),
		nats.NoReconnect(),
		nats.Timeout(dialMax),
		// Default 2 min, twice.
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		// Default 1 min: a write to a server that stopped reading would block the publisher so long.
		nats.FlusherTimeout(dialMax),
		// Default 30 s: how long what a leaving server has sent may take to be worked off.
		nats.DrainTimeout(handOverMax),
		nats.LameDuckModeHandler(b.lameDuck),
		// Without a handler the library prints to stderr. Slow consumers are counted by Dropped, each second.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Debug().Str("err", b.redact(err.Error())).Msg("bus: asynchronous error")
		}),
	}
}

// ports is the wire of mode auto: the host's client port.
type ports struct{ bus *Bus }

func (p *ports) serve(ctx context.Context) (*embedded, error) {
	b := p.bus
	return startServer(ctx, serverOptions(b.cfg, b.env), newServerLog(b.log))
}

func (p *ports) dial(ctx context.Context, own *embedded) (*nats.Conn, error) {
	b := p.bus
	opts := append(b.clientOptions(), nats.CustomInboxPrefix(daemonInbox))
	if own != nil {
		return connectOwn(own.srv, append(opts, b.credentials(0)...))
	}
	addr := b.cfg.listen.dial()
	if b.env.Keys != nil {
		opts = append(opts, nats.Secure(b.env.Keys.Client(b.env.Node)))
	}
	nc, err := b.dialEachPassword(ctx, "nats://"+addr, opts)
	if err != nil {
		return nil, b.diagnose(ctx, addr, err)
	}
	if name := nc.ConnectedClusterName(); name != b.env.Fleet {
		nc.Close()
		return nil, b.diagnose(ctx, addr, errors.New("the server is of another fleet"))
	}
	return nc, nil
}

// connectOwn connects to the server of this process, without a socket.
func connectOwn(srv *natsserver.Server, opts []nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(opts, nats.InProcessServer(srv))...)
	return nc, fault.Wrap(fault.Unavailable, err, "bus: connect to the own server")
}

// credentials are the daemon's by the i-th secret.
func (b *Bus) credentials(i int) []nats.Option {
	if b.env.Keys == nil {
		return nil
	}
	return []nats.Option{nats.UserInfo(userDaemon, b.env.Keys.Passwords(userDaemon)[i])}
}

// dialEachPassword tries the password from each secret: while a secret is rotated the server's primary one may be our second.
func (b *Bus) dialEachPassword(ctx context.Context, at string, opts []nats.Option) (*nats.Conn, error) {
	n := 1
	if b.env.Keys != nil {
		n = len(b.env.Keys.Passwords(userDaemon))
	}
	var nc *nats.Conn
	var err error
	for i := range n {
		nc, err = connect(ctx, []string{at}, append(opts[:len(opts):len(opts)], b.credentials(i)...))
		if !errors.Is(err, nats.ErrAuthorization) {
			break
		}
	}
	return nc, err
}

// external is the wire of mode urls.
type external struct {
	bus  *Bus
	last *nats.Conn // the connection before; used by stay's goroutine alone
}

func (x *external) serve(context.Context) (*embedded, error) {
	panic("BUG: bus: mode urls serves nothing")
}

func (x *external) dial(ctx context.Context, _ *embedded) (*nats.Conn, error) {
	b := x.bus
	opts := b.clientOptions()
	if b.cfg.User != "" {
		opts = append(opts, nats.UserInfo(b.cfg.User, b.cfg.Password.Reveal()))
	}
	if b.cfg.Credentials != "" {
		opts = append(opts, nats.UserCredentials(b.cfg.Credentials))
	}
	if b.cfg.CA != "" {
		opts = append(opts, nats.RootCAs(b.cfg.CA))
	}
	nc, err := connect(ctx, x.servers(), opts)
	if err != nil {
		// The library's error may quote a URL with its password: only the text goes on.
		return nil, fault.New(fault.Unavailable, "bus: connect: %s", b.redact(err.Error()))
	}
	x.last = nc
	return nc, nil
}

// servers are the configured ones and those of which the last connection has told, at most 16. A server that was
// told is asked with the user of the first configured URL that has one.
func (x *external) servers() []string {
	out := slices.Clone(x.bus.cfg.URLs)
	if x.last == nil {
		return out
	}
	var user *url.Userinfo
	for _, raw := range x.bus.cfg.URLs {
		if u, err := url.Parse(raw); err == nil && u.User != nil && user == nil {
			user = u.User
		}
	}
	for _, raw := range x.last.DiscoveredServers() {
		if u, err := url.Parse(raw); err == nil && len(out) < maxURLs {
			u.User = user
			out = append(out, u.String())
		}
	}
	return out
}

// connect is nats.Connect to the first of urls that takes us, ended by ctx.
func connect(ctx context.Context, urls []string, opts []nats.Option) (*nats.Conn, error) {
	d := &dialer{ctx: ctx}
	stop := context.AfterFunc(ctx, d.abort)
	defer stop()
	nc, err := nats.Connect(strings.Join(urls, ","), append(opts, nats.SetCustomDialer(d))...)
	if err == nil && ctx.Err() != nil {
		nc.Close()
		return nil, ctx.Err()
	}
	return nc, err
}

// dialer lets the end of a context break off a connect, handshake included.
type dialer struct {
	ctx context.Context // of one call of connect

	mu   sync.Mutex
	conn net.Conn
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: dialMax}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.conn = c
	d.mu.Unlock()
	return c, nil
}

func (d *dialer) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		d.conn.Close()
	}
}

// outcomeOf classes an error of serve or dial.
func outcomeOf(err error) outcome {
	switch {
	case errors.Is(err, errInUse):
		return outInUse
	case errors.Is(err, errForeign):
		return outForeign
	case errors.Is(err, errBroken):
		return outBroken
	}
	return outNoAnswer
}
