package nl

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
)

const waitTime = 5 * time.Second

// watcher reads a Watch of a host as a test likes it.
type watcher struct {
	*testing.T
	w       *Watch
	pending []Event
}

func watch(t *testing.T, h *labtest.Host, o WatchOptions) *watcher {
	t.Helper()
	var w *Watch
	err := h.In(func() (err error) {
		w, err = OpenWatch(o)
		return err
	})
	ok(t, err)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return &watcher{T: t, w: w}
}

// wait returns the next event that is, and what came before it.
func (w *watcher) wait(what string, is func(Event) bool) (e Event, before []Event) {
	w.Helper()
	deadline := time.Now().Add(waitTime)
	for {
		for len(w.pending) > 0 {
			e, w.pending = w.pending[0], w.pending[1:]
			if is(e) {
				return e, before
			}
			before = append(before, e)
		}
		left := time.Until(deadline)
		if left <= 0 {
			w.Fatalf("%s: only %+v", what, before)
		}
		fds := []unix.PollFd{{Fd: int32(w.w.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			w.Fatal(err)
		}
		ok(w.T, w.w.Read(func(e Event) { w.pending = append(w.pending, e) }))
	}
}

func TestWatchAddrs(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	eth := must[Link](t)(c.Link("eth0"))
	w := watch(t, h, WatchOptions{})
	f := func(prefix string) {
		t.Helper()
		p := netip.MustParsePrefix(prefix)
		ok(t, c.AddAddr(eth.Index, p))
		e, _ := w.wait("added", func(e Event) bool { return e.Kind == AddrAdded && e.Addr.Prefix == p })
		if diff := cmp.Diff(Addr{Index: eth.Index, Prefix: p}, e.Addr, compareNet); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		h.Run("ip", "addr", "del", prefix, "dev", "eth0")
		e, _ = w.wait("removed by another", func(e Event) bool { return e.Kind == AddrGone && e.Addr.Prefix == p })
		if e.Addr.Index != eth.Index {
			t.Errorf("it was of link %d", e.Addr.Index)
		}
		ok(t, c.AddAddr(eth.Index, p))
		w.wait("added again", func(e Event) bool { return e.Kind == AddrAdded && e.Addr.Prefix == p })
		ok(t, c.RemoveAddr(eth.Index, p))
		w.wait("removed", func(e Event) bool { return e.Kind == AddrGone && e.Addr.Prefix == p })
	}
	f("10.77.0.100/32")
	f("10.77.0.101/24")
	f("fd77::100/128")
}

func TestWatchLinks(t *testing.T) {
	lab := labtest.New(t)
	h := lab.Host("a")
	c := open(t, h)
	eth := must[Link](t)(c.Link("eth0"))
	w := watch(t, h, WatchOptions{})
	state := func(name string, up, carrier bool) func(Event) bool {
		return func(e Event) bool {
			return e.Kind == LinkChanged && e.Link.Name == name && e.Link.Up == up && e.Link.Carrier == carrier
		}
	}
	l := must[Link](t)(c.AddMacvlan(Macvlan{Name: "vrrp.51", Parent: eth.Index, MAC: MAC{0, 0, 0x5e, 0, 1, 51}}))
	e, _ := w.wait("the macvlan is there", state("vrrp.51", false, false))
	if e.Link.Index != l.Index || e.Link.Kind != "macvlan" || e.Link.MAC != l.MAC {
		t.Errorf("told of %+v", e.Link)
	}
	ok(t, c.SetUp(l.Index, true))
	w.wait("the macvlan is up", state("vrrp.51", true, true))

	lab.Unplug(h)
	w.wait("the cable is pulled", state("eth0", true, false))
	if l := must[Link](t)(c.Link("eth0")); l.Carrier || !l.Up {
		t.Errorf("without a cable it is %+v", l)
	}
	labtest.Eventually(t, waitTime, "the macvlan follows", func() error {
		if l := must[Link](t)(c.Link("vrrp.51")); l.Carrier {
			return fmt.Errorf("it is %+v", l)
		}
		return nil
	})
	lab.Plug(h)
	w.wait("the cable is back", state("eth0", true, true))

	h.Run("ip", "link", "set", "eth0", "down")
	w.wait("it is down", state("eth0", false, false))
	h.Run("ip", "link", "set", "eth0", "up")
	w.wait("it is up", state("eth0", true, true))

	h.Run("ip", "link", "del", "eth0")
	gone := func(index int) func(Event) bool {
		return func(e Event) bool { return e.Kind == LinkGone && e.Link.Index == index }
	}
	w.wait("the macvlan goes with its parent", gone(l.Index))
	w.wait("the parent is gone", gone(eth.Index))
}

// TestDormant shows that a port that waits for 802.1X has no carrier.
func TestDormant(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	w := watch(t, h, WatchOptions{})
	h.Run("ip", "link", "set", "eth0", "state", "dormant")
	w.wait("dormant", func(e Event) bool { return e.Kind == LinkChanged && e.Link.Up && !e.Link.Carrier })
	if l := must[Link](t)(c.Link("eth0")); l.Carrier {
		t.Errorf("it is %+v", l)
	}
	h.Run("ip", "link", "set", "eth0", "state", "up")
	w.wait("open", func(e Event) bool { return e.Kind == LinkChanged && e.Link.Carrier })
}

// TestWatchBridgePort: that a link leaves a bridge is told by a DELLINK of AF_BRIDGE, and the link is not gone.
func TestWatchBridgePort(t *testing.T) {
	h := labtest.New(t).Host("a")
	h.Run("ip", "link", "add", "br9", "type", "bridge")
	w := watch(t, h, WatchOptions{})
	h.Run("ip", "link", "set", "eth0", "master", "br9")
	h.Run("ip", "link", "set", "eth0", "nomaster")
	h.Run("ip", "link", "add", "last", "type", "bridge")
	_, before := w.wait("the last", func(e Event) bool { return e.Link.Name == "last" })
	for _, e := range before {
		if e.Kind == LinkGone {
			t.Errorf("%+v", e)
		}
	}
	if len(before) == 0 {
		t.Error("nothing was told of eth0")
	}
}

func TestWatchRoutes(t *testing.T) {
	h := labtest.New(t).Host("a")
	with, without := watch(t, h, WatchOptions{Routes: true}), watch(t, h, WatchOptions{})
	other := netip.MustParsePrefix("198.51.100.0/24")
	h.Run("ip", "route", "add", other.String(), "dev", "eth0", "table", "100")
	f := func(prefix string, args ...string) {
		t.Helper()
		for _, verb := range []string{"add", "del"} {
			h.Run("ip", append([]string{"route", verb}, args...)...)
			_, before := with.wait(verb, func(e Event) bool { return e.Kind == RouteChanged && e.Dst == netip.MustParsePrefix(prefix) })
			for _, e := range before {
				if e.Dst == other {
					t.Errorf("%s of %s: before it %+v", verb, prefix, e)
				}
			}
		}
	}
	f("192.0.2.0/24", "192.0.2.0/24", "dev", "eth0")
	f("0.0.0.0/0", "default", "via", "10.77.0.250")
	f("::/0", "default", "via", "fd77::250")
	h.Run("ip", "link", "add", "last", "type", "bridge")
	_, before := without.wait("the last", func(e Event) bool { return e.Link.Name == "last" })
	for _, e := range before {
		if e.Kind == RouteChanged {
			t.Errorf("without Routes: %+v", e)
		}
	}
}

// TestRoutesOfALinkThatGoes pins what WatchOptions says of the kernel: a link takes its IPv4 routes away without a word.
func TestRoutesOfALinkThatGoes(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	settled(t, c)
	route := netip.MustParsePrefix("192.0.2.0/24")
	h.Run("ip", "route", "add", route.String(), "dev", "eth0")
	w := watch(t, h, WatchOptions{Routes: true})
	h.Run("ip", "link", "set", "eth0", "down")
	if must[bool](t)(c.HasRoute(route)) {
		t.Error("the route is there still")
	}
	h.Run("ip", "link", "del", "eth0")
	_, before := w.wait("eth0 is gone", func(e Event) bool { return e.Kind == LinkGone && e.Link.Name == "eth0" })
	var addrs int
	for _, e := range before {
		if e.Kind == RouteChanged && e.Dst == route {
			t.Error("the kernel tells of the route: WatchOptions can say so")
		}
		if e.Kind == AddrGone {
			addrs++
		}
	}
	if addrs != 3 {
		t.Errorf("%d addresses went before the link, want those of both families and the link-local one: %+v", addrs, before)
	}
}

// TestOverrun fills the queue, then shows that Read says so once, throws the old away and goes on.
func TestOverrun(t *testing.T) {
	c, socket := bare(t, WatchOptions{ReceiveBuffer: 8 << 10})
	w := &watcher{T: t, w: socket}
	p := netip.MustParsePrefix("10.77.0.100/32")
	for range 100 {
		ok(t, c.AddAddr(1, p))
		ok(t, c.RemoveAddr(1, p))
	}
	_, before := w.wait("overrun", func(e Event) bool { return e.Kind == Overrun })
	if len(w.pending) > 0 {
		t.Errorf("after it: %+v", w.pending)
	}
	if len(before) > 20 {
		t.Errorf("%d events before it: the queue is not bounded as asked", len(before))
	}
	later := netip.MustParsePrefix("10.77.0.101/32")
	ok(t, c.AddAddr(1, later))
	if _, before := w.wait("added", func(e Event) bool { return e.Kind == AddrAdded && e.Addr.Prefix == later }); len(before) > 0 {
		t.Errorf("before it: %+v", before)
	}
}

// TestTurn shows that a Read takes a bounded number of events and leaves the rest.
func TestTurn(t *testing.T) {
	c, w := bare(t, WatchOptions{ReceiveBuffer: 16 << 20})
	p := netip.MustParsePrefix("10.77.0.100/32")
	for range watchTurn {
		ok(t, c.AddAddr(1, p))
		ok(t, c.RemoveAddr(1, p))
	}
	f := func(want int) {
		t.Helper()
		var got int
		ok(t, w.Read(func(Event) { got++ }))
		if got != want {
			t.Errorf("%d events, want %d", got, want)
		}
	}
	f(watchTurn)
	f(watchTurn)
	f(0)
}
