package nl

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// open returns a Conn in the host's namespace.
func open(t *testing.T, h *labtest.Host) *Conn {
	t.Helper()
	var c *Conn
	err := h.In(func() (err error) {
		c, err = Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// bare returns sockets of a namespace of their own, in which nothing happens but what the test does to lo, link 1.
func bare(t *testing.T, o WatchOptions) (c *Conn, w *Watch) {
	t.Helper()
	labtest.Needs(t, labtest.Root, labtest.NetNS)
	inFreshThread(t, func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if c, err = Open(); err != nil {
			return err
		}
		w, err = OpenWatch(o)
		return err
	})
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), w.Close()); err != nil {
			t.Error(err)
		}
	})
	return c, w
}

// settled waits until the kernel has given a new host its last address, and returns eth0.
func settled(t *testing.T, c *Conn) Link {
	t.Helper()
	eth := must[Link](t)(c.Link("eth0"))
	labtest.Eventually(t, waitTime, "eth0 has its link-local address", func() error {
		there, err := c.Addrs(eth.Index)
		if err == nil && !slices.ContainsFunc(there, func(a Addr) bool { return a.LinkLocal && !a.Tentative }) {
			err = fmt.Errorf("it has %v", there)
		}
		return err
	})
	return eth
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t *testing.T, err error, class fault.Class, words ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%v: class %v, want %v", err, fault.Of(err), class)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not name %q", err, w)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinks(t *testing.T) {
	lab := labtest.New(t)
	h := lab.Host("a")
	c := open(t, h)
	h.Run("ip", "link", "set", "eth0", "mtu", "1400", "address", "02:00:00:00:00:0a")
	h.Run("ip", "link", "add", "link", "eth0", "name", "child", "type", "macvlan", "mode", "bridge")
	h.Run("ip", "link", "property", "add", "dev", "child", "altname", "a-name-longer-than-fifteen")

	eth := must[Link](t)(c.Link("eth0"))
	if eth.Index <= 0 || eth.Name != "eth0" || eth.Kind != "veth" || eth.Parent != 0 || eth.MTU != 1400 ||
		eth.MAC.String() != "02:00:00:00:00:0a" || !eth.Up || !eth.Carrier || eth.Loopback {
		t.Errorf("eth0 is %+v", eth)
	}
	if again := must[Link](t)(c.LinkByIndex(eth.Index)); again != eth {
		t.Errorf("by its index it is %+v", again)
	}
	child := must[Link](t)(c.Link("a-name-longer-than-fifteen"))
	if child.Name != "child" || child.Kind != "macvlan" || child.Parent != eth.Index || child.Up || child.Carrier {
		t.Errorf("child is %+v", child)
	}
	lo := must[Link](t)(c.Link("lo"))
	if !lo.Loopback || !lo.Up || lo.MAC != (MAC{}) {
		t.Errorf("lo is %+v", lo)
	}
	if diff := cmp.Diff([]Link{lo, eth, child}, must[[]Link](t)(c.Links()), cmpopts.SortSlices(byIndex)); diff != "" {
		t.Errorf("-links one by one +all:\n%s", diff)
	}

	ok(t, c.SetUp(child.Index, true))
	if l := must[Link](t)(c.LinkByIndex(child.Index)); !l.Up || !l.Carrier {
		t.Errorf("set up: %+v", l)
	}
	ok(t, c.SetUp(child.Index, false))
	if l := must[Link](t)(c.LinkByIndex(child.Index)); l.Up || l.Carrier {
		t.Errorf("set down: %+v", l)
	}
	ok(t, c.RemoveLink(child.Index))
	ok(t, c.RemoveLink(child.Index))
}

func byIndex(a, b Link) bool { return a.Index < b.Index }

func TestMissing(t *testing.T) {
	c := open(t, labtest.New(t).Host("a"))
	p := netip.MustParsePrefix("10.77.0.100/32")
	_, err := c.Link("nosuch0")
	want(t, err, fault.NotFound, "link nosuch0")
	_, err = c.Link("a-name-longer-than-fifteen")
	want(t, err, fault.NotFound)
	_, err = c.LinkByIndex(999)
	want(t, err, fault.NotFound, "link 999")
	want(t, c.AddAddr(999, p), fault.NotFound, "10.77.0.100/32", "link 999")
	want(t, c.AddAddr(999, netip.MustParsePrefix("fd77::100/128")), fault.NotFound, "fd77::100/128")
	ok(t, c.RemoveAddr(999, p))
	ok(t, c.RemoveAddr(999, netip.MustParsePrefix("fd77::100/128")))
	want(t, c.SetUp(999, true), fault.NotFound)
	want(t, c.SetIPv4Conf(999, map[int]int{ARPIgnore: 1}), fault.NotFound, "link 999")
	_, err = c.IPv4Conf(999)
	want(t, err, fault.NotFound)
	_, err = c.AddMacvlan(Macvlan{Name: "vrrp.51", Parent: 999, MAC: MAC{0, 0, 0x5e, 0, 1, 51}})
	want(t, err, fault.NotFound, "vrrp.51", "link 999")
	if a, err := c.Addrs(999); len(a) > 0 || err != nil && !errors.Is(err, fault.NotFound) {
		t.Errorf("addresses of a missing link: %v, %v", a, err)
	}
}

func TestInvalid(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	c := must[*Conn](t)(Open()) // nothing reaches the kernel
	defer c.Close()
	mac := MAC{0, 0, 0x5e, 0, 1, 51}
	_, err := c.Link("")
	want(t, err, fault.Invalid)
	_, err = c.Link("lo\x00x")
	want(t, err, fault.Invalid)
	want(t, c.RemoveLink(0), fault.Invalid)
	want(t, c.SetUp(-1, true), fault.Invalid)
	want(t, c.AddAddr(1, netip.Prefix{}), fault.Invalid)
	want(t, c.AddAddr(1, netip.MustParsePrefix("224.0.0.18/32")), fault.Invalid)
	want(t, c.RemoveAddr(0, netip.MustParsePrefix("10.0.0.1/32")), fault.Invalid)
	want(t, c.SetIPv4Conf(1, map[int]int{0: 1}), fault.Invalid)
	_, err = c.HasRoute(netip.Prefix{})
	want(t, err, fault.Invalid)
	for _, m := range []Macvlan{{"", 1, mac}, {"a-name-of-sixteen", 1, mac}, {"a/b", 1, mac}, {"m%d", 1, mac}, {"m", 0, mac}, {"m", 1, MAC{}}, {"m", 1, MAC{1}}} {
		_, err := c.AddMacvlan(m)
		want(t, err, fault.Invalid)
	}
}

func TestHasRoute(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	f := func(prefix string, expect bool) {
		t.Helper()
		if got := must[bool](t)(c.HasRoute(netip.MustParsePrefix(prefix))); got != expect {
			t.Errorf("%s: %v, want %v", prefix, got, expect)
		}
	}
	f("10.77.0.0/24", true)
	f("10.77.0.9/24", true) // host bits are of no meaning
	f("fd77::/64", true)
	f("10.77.0.0/25", false)
	f("10.77.0.0/16", false)
	f("0.0.0.0/0", false)
	f("::/0", false)
	h.Run("ip", "route", "add", "default", "via", "10.77.0.250")
	h.Run("ip", "-6", "route", "add", "default", "via", "fd77::250")
	f("0.0.0.0/0", true)
	f("::/0", true)
	h.Run("ip", "route", "add", "192.0.2.0/24", "dev", "eth0", "table", "100")
	f("192.0.2.0/24", false)
	h.Run("ip", "route", "add", "blackhole", "198.51.100.0/24")
	f("198.51.100.0/24", false)
	h.Run("ip", "route", "add", "203.0.113.0/24", "nexthop", "via", "10.77.0.250", "nexthop", "via", "10.77.0.251")
	f("203.0.113.0/24", true)
}

func TestNoRouteTable(t *testing.T) {
	c, _ := bare(t, WatchOptions{})
	for _, p := range []string{"0.0.0.0/0", "::/0"} {
		if found, err := c.HasRoute(netip.MustParsePrefix(p)); found || err != nil {
			t.Errorf("%s: %v, %v", p, found, err)
		}
	}
}

// inFreshThread runs f on a thread that ends with it.
func inFreshThread(t *testing.T, f func() error) {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		result <- f()
	}()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func TestNoCapability(t *testing.T) {
	h := labtest.New(t).Host("a")
	var errs []error
	inFreshThread(t, func() error {
		return h.In(func() error {
			c, err := Open()
			if err != nil {
				return err
			}
			defer c.Close()
			eth, err := c.Link("eth0")
			if err != nil {
				return err
			}
			restore, err := withoutCapability(unix.CAP_NET_ADMIN)
			if err != nil {
				return err
			}
			_, macvlan := c.AddMacvlan(Macvlan{Name: "vrrp.51", Parent: eth.Index, MAC: MAC{0, 0, 0x5e, 0, 1, 51}})
			errs = []error{
				c.AddAddr(eth.Index, netip.MustParsePrefix("10.77.0.100/32")),
				c.AddAddr(eth.Index, netip.MustParsePrefix("fd77::100/128")),
				c.RemoveAddr(eth.Index, netip.MustParsePrefix("10.77.0.100/32")),
				macvlan, c.SetUp(eth.Index, false), c.RemoveLink(eth.Index), c.SetIPv4Conf(eth.Index, map[int]int{ARPIgnore: 1}),
			}
			if _, err := c.Addrs(eth.Index); err != nil {
				t.Error("looking takes no capability:", err)
			}
			return restore()
		})
	})
	for _, err := range errs {
		want(t, err, fault.Denied)
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("%v does not hold EPERM", err)
		}
	}
}

// withoutCapability takes an effective capability from the calling thread. (h.In runs in a goroutine of its own.)
func withoutCapability(number int) (restore func() error, err error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var full, less [2]unix.CapUserData
	if err := unix.Capget(&head, &full[0]); err != nil {
		return nil, err
	}
	less = full
	less[number/32].Effective &^= 1 << (number % 32)
	if err := unix.Capset(&head, &less[0]); err != nil {
		return nil, err
	}
	return func() error { return unix.Capset(&head, &full[0]) }, nil
}
