package bus_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/bus/bustest"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/pki"
)

// gossip stands in for membership: it knows which host's server has which route address.
type gossip struct {
	mu      sync.Mutex
	at      map[string]netip.AddrPort // by host
	waiting []chan struct{}
}

// connect makes e a member of g on a host.
func (g *gossip) connect(e *bus.Env, host string) {
	changed := make(chan struct{}, 1)
	e.RoutesChanged = changed
	e.Routes = func() []netip.AddrPort { return g.others(host) }
	e.Serving = func(a netip.AddrPort) { g.tell(host, a) }
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, changed)
}

func (g *gossip) others(host string) []netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []netip.AddrPort
	for h, a := range g.at {
		if h != host {
			out = append(out, a)
		}
	}
	return out
}

func (g *gossip) tell(host string, a netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at == nil {
		g.at = map[string]netip.AddrPort{}
	}
	delete(g.at, host)
	if a.IsValid() {
		g.at[host] = a
	}
	for _, c := range g.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// twoHosts is a fleet whose daemons alternate between two hosts, which are two loopback addresses.
func twoHosts(k *pki.Keys) bustest.Fleet {
	return func(t *testing.T, n int) []*bus.Bus {
		labtest.LeakCheck(t)
		var cfgs []bus.Config
		for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
			cfgs = append(cfgs, bus.Config{Mode: "auto", Listen: freeAddr(t, ip), Routes: freeAddr(t, ip)})
		}
		var g gossip
		var fleet []*bus.Bus
		for i := range n {
			e := env(i)
			e.Keys = k
			g.connect(&e, fmt.Sprint(i%2))
			fleet = append(fleet, start(t, cfgs[i%2], e))
		}
		return fleet
	}
}

func TestAutoTwoHosts(t *testing.T) {
	t.Run("clear", func(t *testing.T) { bustest.Run(t, 3, twoHosts(nil)) })
	t.Run("secret", func(t *testing.T) { bustest.Run(t, 3, twoHosts(keys(t, secretA))) })
}

// The server of one host moves to another daemon; the hosts find each other again.
func TestRoutesAfterHandOver(t *testing.T) {
	fleet := twoHosts(keys(t, secretA))(t, 3) // 0 and 2 on one host, 1 on the other
	bustest.Meet(t, fleet)
	if err := fleet[0].Close(within(t)); err != nil {
		t.Fatal(err)
	}
	heard := make(chan bus.Event, 1000)
	cancel, err := fleet[1].Subscribe("cached", "after", func(e bus.Event) { heard <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	repeat(t, func() { fleet[2].Emit("after", "", nil) }, heard)
	if fleet[2].State() != bus.Server {
		t.Errorf("the other daemon of the host is %s", fleet[2].State())
	}
}
