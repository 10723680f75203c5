// Command vipd is the smallest daemon with virtual addresses: a data plane that sends back what comes over UDP, and vip's
// Manager with its VRRP child. The tests and the bench of virtual addresses run it on their hosts.
//
//	vipd run FILE      the daemon; it reads verbs (switch-over, take-over, release, resume) from its input, one a line
//	vipd echo ADDRESS  the data plane alone, for hosts whose addresses another program moves
//	vipd vrrp          the VRRP child, which the daemon starts itself
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
	"github.com/everup/everup/shared/vip"
)

// config is the file of `vipd run`.
type config struct {
	Node   string      `yaml:"node" required:"true" doc:"Name of the host."`
	Secret conf.Secret `yaml:"secret" doc:"Secret of the fleet; without it adverts by unicast are not authenticated."`
	Echo   conf.Addr   `yaml:"echo" required:"true" doc:"Virtual address and port of the data plane."`
	VIPs   vip.Config  `yaml:"vips" doc:"Virtual addresses."`
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vipd:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "vrrp":
		return vip.Child()
	case len(args) == 2 && args[0] == "echo":
		plane, err := listen(args[1])
		if err != nil {
			return err
		}
		fmt.Println("ready")
		return echo(plane)
	case len(args) == 2 && args[0] == "run":
		return run(args[1])
	}
	return errors.New("usage: vipd run FILE | echo ADDRESS | vrrp")
}

// leaveLimit is how long the addresses may take to go to a peer at the end.
const leaveLimit = 5 * time.Second

// run is the life of the daemon.
func run(file string) error {
	var c config
	if _, err := conf.Load(file, &c, conf.Options{}); err != nil {
		return err
	}
	// Signals come to be heard before anything is held.
	stop, end := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer end()
	m, err := manager(&c)
	if err != nil {
		return err
	}
	plane, err := listen(string(c.Echo))
	if err != nil {
		return err
	}
	defer plane.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 2)
	go func() { ended <- m.Run(ctx) }()
	go func() { ended <- echo(plane) }()
	// The input has no owner who waits: it ends with the process.
	go obey(ctx, m)
	m.Ready()
	fmt.Println("ready")
	select {
	case err := <-ended:
		return err
	case <-stop.Done():
	}
	leaving, done := context.WithTimeout(context.Background(), leaveLimit)
	defer done()
	err = m.Leave(leaving)
	cancel()
	return errors.Join(err, <-ended)
}

// manager makes the virtual addresses' Manager with no more floor than it needs.
func manager(c *config) (*vip.Manager, error) {
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	reg, items := metric.NewRegistry("vipd"), health.NewRegistry()
	dir, err := state.Open(os.Getenv("STATE_DIRECTORY"))
	if err != nil {
		return nil, err
	}
	env := vip.Env{
		Service: "vipd", Node: c.Node, Log: log, Metrics: reg, Health: items, Bus: events{log},
		Admin: admin.New("vipd", reg, items, log), State: dir,
	}
	if c.Secret != "" {
		if env.Keys, err = pki.New("vipd", string(c.Secret)); err != nil {
			return nil, err
		}
	}
	return vip.New(c.VIPs, env)
}

// events writes events to the log.
type events struct{ log zerolog.Logger }

// Emit implements vip.Emitter.
func (e events) Emit(kind, object string, data any) {
	e.log.Info().Str("object", object).Interface("data", data).Msg("event " + kind)
}

// obey does what the input says and answers each line by "done VERB" and, after a colon, why it was not done.
func obey(ctx context.Context, m *vip.Manager) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		do := map[string]func(context.Context, string) error{
			"switch-over": m.SwitchOver, "take-over": m.TakeOver, "release": m.Release, "resume": m.Resume,
		}[lines.Text()]
		err := error(fault.New(fault.Invalid, "there is no such verb"))
		if do != nil {
			err = do(ctx, "vip")
		}
		if err != nil {
			fmt.Printf("done %s: %v\n", lines.Text(), err)
			continue
		}
		fmt.Printf("done %s\n", lines.Text())
	}
}

// listen opens the data plane on an address that need not be here yet.
func listen(addr string) (net.PacketConn, error) {
	free := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctl := c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1))
		})
		return errors.Join(ctl, err)
	}}
	return free.ListenPacket(context.Background(), "udp", addr)
}

// echo sends back what comes until the socket is closed.
func echo(plane net.PacketConn) error {
	buf := make([]byte, 2048)
	for {
		n, from, err := plane.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		// An answer that cannot be sent, as when the address has gone, is one that is lost.
		_, _ = plane.WriteTo(buf[:n], from)
	}
}
