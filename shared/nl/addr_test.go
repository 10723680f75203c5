package nl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

func TestAddrs(t *testing.T) {
	lab := labtest.New(t)
	h := lab.Host("a")
	c := open(t, h)
	eth := settled(t, c)
	h.Sysctl("net/ipv6/conf/eth0/accept_dad", "1") // which labs do without
	before, beforeRoutes := must[[]Addr](t)(c.Addrs(eth.Index)), routes(h)
	f := func(prefix string, others ...string) {
		t.Helper()
		p := netip.MustParsePrefix(prefix)
		ok(t, c.AddAddr(eth.Index, p))
		there := must[[]Addr](t)(c.Addrs(eth.Index))
		i := slices.IndexFunc(there, func(a Addr) bool { return a.Prefix == p })
		if i < 0 {
			t.Fatalf("%s is not among %v", p, there)
		}
		if diff := cmp.Diff(Addr{Index: eth.Index, Prefix: p, LinkLocal: p.Addr().IsLinkLocalUnicast()}, there[i], compareNet); diff != "" {
			t.Errorf("%s: -want +got:\n%s", p, diff) // tentative above all: no duplicate address detection
		}
		if out := h.Run("ip", "-o", "addr", "show", "dev", "eth0"); !strings.Contains(out, prefix+" scope") || strings.Contains(out, prefix+" brd") {
			t.Errorf("ip shows\n%s", out)
		}
		if now := routes(h); now != beforeRoutes {
			t.Errorf("%s brought a route: now\n%s, before\n%s", p, now, beforeRoutes)
		}
		ok(t, c.AddAddr(eth.Index, p))
		for _, o := range others {
			want(t, c.AddAddr(eth.Index, netip.MustParsePrefix(o)), fault.Conflict, o, prefix)
			ok(t, c.RemoveAddr(eth.Index, netip.MustParsePrefix(o)))
			if now := must[[]Addr](t)(c.Addrs(eth.Index)); len(now) != len(there) {
				t.Errorf("the removal of %s left %v", o, now)
			}
		}
		ok(t, c.RemoveAddr(eth.Index, p))
		ok(t, c.RemoveAddr(eth.Index, p))
		if diff := cmp.Diff(before, must[[]Addr](t)(c.Addrs(eth.Index)), compareNet); diff != "" {
			t.Errorf("%s left something behind: -before +after:\n%s", p, diff)
		}
	}
	f("10.77.0.100/32")
	f("10.77.0.101/24")
	f("192.0.2.1/24")
	f("169.254.3.3/32")
	f("fd77::100/128", "fd77::100/64")
	f("fd77::101/64", "fd77::101/128")
	f("fe80::100/64")

	all := must[[]Addr](t)(c.Addrs(0))
	for _, a := range append(before, Addr{Index: 1, Prefix: netip.MustParsePrefix("127.0.0.1/8")}) {
		if !slices.Contains(all, a) {
			t.Errorf("%v is not among all addresses %v", a, all)
		}
	}
	kept := []Addr{{Index: 77}}
	got := must[[]Addr](t)(c.AppendAddrs(kept, eth.Index))
	if len(got) != 1+len(before) || got[0].Index != 77 {
		t.Errorf("appended: %v", got)
	}
}

// routes returns the host's main tables.
func routes(h *labtest.Host) string { return h.Run("ip", "route") + h.Run("ip", "-6", "route") }

// compareNet compares addresses by ==.
var compareNet = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestAddrFlags(t *testing.T) {
	lab := labtest.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	c := open(t, a)
	eth := must[Link](t)(c.Link("eth0"))
	find := func(addr string) (Addr, error) {
		for _, got := range must[[]Addr](t)(c.Addrs(eth.Index)) {
			if got.Prefix.Addr() == netip.MustParseAddr(addr) {
				return got, nil
			}
		}
		return Addr{}, fmt.Errorf("%s is not there", addr)
	}
	a.Sysctl("net/ipv6/conf/eth0/accept_dad", "1")
	b.Run("ip", "addr", "add", "fd77::5/64", "dev", "eth0", "nodad")
	a.Run("ip", "addr", "add", "fd77::5/64", "dev", "eth0")
	labtest.Eventually(t, waitTime, "the duplicate address is found", func() error {
		got, err := find("fd77::5")
		if err == nil && !got.Failed {
			err = fmt.Errorf("it is %+v", got)
		}
		return err
	})
	a.Run("ip", "addr", "add", "fd77::6/64", "dev", "eth0", "preferred_lft", "0", "nodad")
	if got, err := find("fd77::6"); err != nil || !got.Deprecated || got.Tentative {
		t.Errorf("it is %+v, %v", got, err)
	}
	a.Run("ip", "addr", "add", "10.1.1.1", "peer", "10.1.2.0/24", "dev", "eth0")
	if got, err := find("10.1.1.1"); err != nil || got.Prefix.Bits() != 24 {
		t.Errorf("it is %+v, %v", got, err)
	}
	a.Sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
	want(t, c.AddAddr(eth.Index, netip.MustParsePrefix("fd77::100/128")), fault.Unsupported, "IPv6", "fd77::100/128")
}
