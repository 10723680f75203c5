package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/pki"
	natsserver "github.com/nats-io/nats-server/v2/server"
)

const (
	userDaemon    = "daemon"
	userOperator  = "operator"
	userAnonymous = "anonymous"

	startMax = 5 * time.Second
	// handOverMax is how long a server that ends waits for its clients to leave by themselves.
	handOverMax = 150 * time.Millisecond
)

var (
	// errInUse says that another process has the client port: nothing is wrong.
	errInUse = errors.New("the port is in use")
	// errRoutesInUse says that the client port is free and the route port is not: for a moment while another daemon starts or
	// ends the server, else a stranger has it.
	errRoutesInUse = errors.New("the route port is in use")
	// errBroken says that the port cannot be had, and why is in the configuration or the host.
	errBroken = errors.New("cannot serve")
)

// embedded is the host's server, run by this process.
type embedded struct {
	srv    *natsserver.Server
	opts   *natsserver.Options // as given at the start
	client string              // address for clients
	routes netip.AddrPort      // address for other hosts' servers
	peers  []netip.AddrPort    // other hosts' servers it is to connect to; used by stay's goroutine alone
}

// startServer binds both ports and runs the host's server. errInUse: another process has the client port.
func startServer(ctx context.Context, opts *natsserver.Options, log *serverLog) (*embedded, error) {
	unlock, err := lockStart(opts)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := probePorts(opts); err != nil {
		return nil, err
	}
	srv, err := natsserver.NewServer(opts.Clone())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "bus: make the server")
	}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	e := &embedded{srv: srv, opts: opts}
	if err := e.awaitPorts(ctx, log); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// lockStart lets one process of the host at a time try to serve: between the probe and the server's own bind the port is free,
// and two that start at once would each find the other's half. The lock is an abstract unix socket (unix(7)): like the
// port it belongs to the network namespace and ends with its process. Held by another it means what a port in use means.
func lockStart(opts *natsserver.Options) (unlock func(), err error) {
	if opts.DontListen {
		return func() {}, nil
	}
	name := "@everup/bus/" + net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, errInUse
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", errBroken, err), "bus: lock the port")
	}
	return func() { l.Close() }, nil
}

// probePorts binds and frees the ports. The server itself says a failed bind only in its log, and starting one to see
// whether the port is free costs more than a bind. A stranger may bind in between: awaitPorts sees that.
func probePorts(opts *natsserver.Options) error {
	if opts.DontListen {
		return nil
	}
	client, err := net.Listen("tcp", net.JoinHostPort(opts.Host, port(opts.Port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return errInUse
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", errBroken, err), "bus: listen")
	}
	defer client.Close()
	addr := net.JoinHostPort(opts.Cluster.Host, port(opts.Cluster.Port))
	routes, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(fault.Conflict, errRoutesInUse, "bus: listen for routes on %s%s", addr, process(addr))
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", errBroken, err), "bus: listen for routes")
	}
	return routes.Close()
}

// port writes a port as net.Listen takes it: the server's -1 for any is 0 there.
func port(p int) string { return strconv.Itoa(max(p, 0)) }

// awaitPorts waits until both listeners stand.
func (e *embedded) awaitPorts(ctx context.Context, log *serverLog) error {
	if e.opts.DontListen {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	for {
		client, routes := e.srv.Addr(), e.srv.ClusterAddr()
		if client != nil && routes != nil {
			e.client = client.String()
			e.routes = unmap(routes.AddrPort())
			return nil
		}
		select {
		case <-log.fatal: // its listen failed: somebody was faster
			return errInUse
		default:
		}
		if !sleep(ctx, time.Millisecond) {
			return fault.New(fault.Timeout, "bus: the server did not start in %s", startMax)
		}
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// stop hands over and ends the server: it frees the client port at once, tells the clients, and gives them a moment to take what
// was sent and leave, since a connection closed under data in flight is reset and loses it. Clients that stay are cut off.
func (e *embedded) stop() {
	var wg sync.WaitGroup
	wg.Go(e.srv.LameDuckShutdown)
	ctx, cancel := context.WithTimeout(context.Background(), handOverMax)
	defer cancel()
	for e.srv.NumClients() > 0 && sleep(ctx, time.Millisecond) {
	}
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
	wg.Wait()
}

// serverOptions are the options of the embedded server. Each that differs from NATS's default says why.
func serverOptions(s settings, env Env) *natsserver.Options {
	o := &natsserver.Options{
		// Unique among the servers of the fleet, also while a dead one of the same node lingers at a peer: a second
		// server of the same name would be refused.
		ServerName: env.Node + "-" + env.Service + "-" + strconv.FormatInt(time.Now().UnixNano(), 36),
		Host:       hostOrAll(s.listen.host),
		Port:       portOrAny(s.listen.port),

		// The default handler of signals ends the process by os.Exit.
		NoSigs: true,
		// Our own logger is set by SetLoggerV2; without this the server would also write to stderr.
		NoLog: true,
		// The system account serves JetStream, monitoring and multi-tenancy, none of which is used here; it costs a
		// connection of its own to each other server.
		NoSystemAccount: true,
		JetStream:       false,

		// Default 2 min, twice: a host that vanished would be held connected for minutes.
		PingInterval: 2 * time.Second,
		MaxPingsOut:  2,
		// Default 10 s: a client that does not read is cut off before its buffer hurts.
		WriteDeadline: 2 * time.Second,
		// Default 64 MiB for each client.
		MaxPending: 8 << 20,
		// By default a publisher is slowed down for a subscriber that is behind: one slow subscriber would slow all.
		NoFastProducerStall: true,
		// Defaults 64 Ki and no limit: the daemons of one host and an operator's tools need tens.
		MaxConn: 256,
		MaxSubs: 4096,
		// Default 10 000 records of connections that are gone, for a monitoring that is not opened.
		MaxClosedClients: 64,
		// There are no clients over slow links to spread: whoever hands over leaves at once. (Defaults 2 min and 10 s.)
		LameDuckDuration:    time.Second,
		LameDuckGracePeriod: 100 * time.Millisecond,
		// HTTPPort stays 0: the monitoring port asks for no password; Varz is read in process.

		Cluster: natsserver.ClusterOpts{
			// Servers and clients of another fleet see by the name that this is not theirs.
			Name: env.Fleet,
			Host: hostOrAll(s.routes.host),
			Port: portOrAny(s.routes.port),
			// One connection for each pair of servers; the default is 3 and one for the system account.
			PoolSize: -1,
			// Clients connect to their own host's server only and need not learn of others.
			NoAdvertise: true,
			// Events are small and links are local.
			Compression: natsserver.CompressionOpts{Mode: natsserver.CompressionOff},
			// A route to a dead host is noticed as fast as gossip notices the death. (Default as for clients, at most 30 s.)
			PingInterval:  time.Second,
			MaxPingsOut:   2,
			WriteDeadline: 2 * time.Second,
		},
	}
	o.Cluster.AuthTimeout, o.AuthTimeout = 2, 2
	o.Cluster.TLSTimeout, o.TLSTimeout = 2, 2
	if env.Keys != nil {
		secure(o, s, env)
	}
	return o
}

// secure adds TLS and users.
func secure(o *natsserver.Options, s settings, env Env) {
	o.TLS, o.TLSVerify = true, true
	o.TLSConfig = env.Keys.Server(env.Node)
	o.Cluster.TLSConfig = bothEnds(env.Keys, env.Node)
	o.Users = []*natsserver.User{
		{Username: userDaemon, Password: env.Keys.Password(userDaemon)},
		{Username: userOperator, Password: env.Keys.Password(userOperator), Permissions: operatorMay(env.Fleet)},
	}
	if s.anonymous {
		o.AllowNonTLS = true
		o.NoAuthUser = userAnonymous
		o.Users = append(o.Users, &natsserver.User{Username: userAnonymous, Permissions: anonymousMay()})
	}
}

func operatorMay(fleet string) *natsserver.Permissions {
	return &natsserver.Permissions{
		Publish: &natsserver.SubjectPermission{Allow: []string{subject.Requests(fleet), "$SRV.>"}},
		// The daemons' own answers go to inboxes of another prefix, so that an operator reads only those meant for him.
		Subscribe: &natsserver.SubjectPermission{Allow: []string{subject.Events(fleet), "_INBOX.>"}},
	}
}

func anonymousMay() *natsserver.Permissions {
	return &natsserver.Permissions{
		Publish:   &natsserver.SubjectPermission{Deny: []string{">"}},
		Subscribe: &natsserver.SubjectPermission{Allow: []string{subject.AnyEvents()}},
	}
}

// bothEnds is one TLS configuration for the two roles of a route: the server uses the same for routes it accepts and
// for those it opens.
func bothEnds(k *pki.Keys, node string) *tls.Config {
	c, s := k.Client(node), k.Server(node)
	c.GetCertificate = s.GetCertificate
	c.ClientAuth = s.ClientAuth
	c.SessionTicketsDisabled = s.SessionTicketsDisabled
	return c
}

func hostOrAll(host string) string {
	if host == "" {
		return natsserver.DEFAULT_HOST
	}
	return host
}

func portOrAny(p int) int {
	if p == 0 {
		return natsserver.RANDOM_PORT
	}
	return p
}
