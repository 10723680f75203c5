package member

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member/memnet"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

const testSecret = "correct horse battery staple"

// rig is a fleet in memory and in virtual time.
type rig struct {
	t     *testing.T
	net   *memnet.Net
	nodes []*node
}

// node is one member of a rig.
type node struct {
	*Fleet
	rig    *rig
	cfg    Config
	env    Env
	host   netip.Addr
	port   uint16
	ep     *memnet.Endpoint
	cancel context.CancelFunc
	done   chan error
}

// inBubble runs f in virtual time; afterwards the rig is stopped and memberlist's timers, which nobody can wait for,
// run out.
func inBubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, net: memnet.New(1)}
		defer time.Sleep(time.Minute)
		defer r.stop()
		f(r)
	})
}

func hostAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }

// config is that of a node of the rig's fleet, which joins by the first two.
func config(timing string) Config {
	return Config{Fleet: "test", Timing: timing, Join: []string{"10.0.0.0:7941", "10.0.0.1:7941"}}
}

func mustKeys(t *testing.T, fleet string, secrets ...string) *pki.Keys {
	t.Helper()
	k, err := pki.New(fleet, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// add makes and starts a node; change may alter it before.
func (r *rig) add(cfg Config, change ...func(n *node)) *node {
	r.t.Helper()
	i := len(r.nodes)
	n := &node{rig: r, cfg: cfg, host: hostAddr(i), port: 7941}
	n.env = Env{Node: fmt.Sprintf("n%02d", i), Service: "lbd", Version: "1.0", Log: testLog(r.t)}
	n.env.Log = n.env.Log.With().Str("n", n.env.Node).Logger()
	n.env.Keys = mustKeys(r.t, string(cfg.Fleet), testSecret)
	for _, f := range change {
		f(n)
	}
	r.nodes = append(r.nodes, n)
	n.start()
	return n
}

func testLog(t *testing.T) zerolog.Logger {
	if os.Getenv("MEMBER_TEST_LOG") == "" {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.NewTestWriter(t)).With().Timestamp().Logger().Level(zerolog.DebugLevel)
}

func (n *node) start() {
	t := n.rig.t
	t.Helper()
	n.env.Health, n.env.Metrics = health.NewRegistry(), metric.NewRegistry("everup_test")
	var err error
	if n.ep, err = n.rig.net.Listen(netip.AddrPortFrom(n.host, n.port)); err != nil {
		t.Fatal(err)
	}
	n.env.Transport = n.ep
	if n.Fleet, err = New(&n.cfg, n.env); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	n.done = make(chan error, 1)
	go func() { n.done <- n.Run(ctx) }()
}

// kill ends the process without a word.
func (n *node) kill() {
	if n.cancel == nil {
		return
	}
	n.cancel()
	n.cancel = nil
	if err := <-n.done; err != nil {
		n.rig.t.Errorf("%s: run: %v", n.env.Node, err)
	}
}

func (r *rig) stop() {
	for _, n := range r.nodes {
		n.kill()
	}
}

// start makes n nodes and waits until they agree.
func (r *rig) start(n int, cfg Config) {
	r.t.Helper()
	for range n {
		r.add(cfg)
	}
	r.agree(30*time.Second, r.nodes...)
}

// agree waits until exactly the given nodes hold exactly each other for alive, and returns how long that took.
func (r *rig) agree(within time.Duration, nodes ...*node) time.Duration {
	r.t.Helper()
	begin := time.Now()
	for {
		err := agreement(nodes)
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			r.t.Fatalf("no agreement after %v: %v", within, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func agreement(nodes []*node) error {
	for _, a := range nodes {
		if got := len(a.View().Alive("")); got != len(nodes) {
			return fmt.Errorf("%s sees %d of %d alive", a.self, got, len(nodes))
		}
		for _, b := range nodes {
			if s := a.stateOf(b.self); s != Alive {
				return fmt.Errorf("%s holds %s for %v", a.self, b.self, s)
			}
		}
	}
	return nil
}

func (n *node) stateOf(id ID) State {
	for _, m := range n.View().Members {
		if m.ID == id {
			return m.State
		}
	}
	return 0
}

// until waits in virtual time for a condition and returns how long that took.
func (r *rig) until(within time.Duration, what string, cond func() bool) time.Duration {
	r.t.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > within {
			r.t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

// item returns a health item of the node.
func (n *node) item(id string) health.Status {
	for _, s := range n.env.Health.Snapshot() {
		if s.ID == id {
			return s
		}
	}
	return health.Status{}
}

func stateDir(t *testing.T) *state.Dir {
	t.Helper()
	d, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func hosts(nodes []*node) []netip.Addr {
	var out []netip.Addr
	for _, n := range nodes {
		out = append(out, n.host)
	}
	return out
}

func secretsOf(ss ...string) (out []conf.Secret) {
	for _, s := range ss {
		out = append(out, conf.Secret(s))
	}
	return out
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
