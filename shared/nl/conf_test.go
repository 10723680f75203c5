package nl

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// proc reads a setting of a link in the host's namespace.
func proc(h *labtest.Host, family, link, name string) string {
	return strings.TrimSpace(h.Run("sysctl", "-n", "net/"+family+"/conf/"+link+"/"+name))
}

func TestMacvlan(t *testing.T) {
	lab := labtest.New(t)
	h := lab.Host("a")
	c := open(t, h)
	eth := must[Link](t)(c.Link("eth0"))
	h.Sysctl("net/ipv4/conf/default/rp_filter", "1")
	h.Sysctl("net/ipv4/conf/default/arp_filter", "1")
	m := Macvlan{Name: "vrrp.51", Parent: eth.Index, MAC: MAC{0, 0, 0x5e, 0, 1, 51}}
	l := must[Link](t)(c.AddMacvlan(m))
	wantLink := Link{Index: l.Index, Name: "vrrp.51", Kind: "macvlan", Parent: eth.Index, MAC: m.MAC, MTU: eth.MTU}
	if l != wantLink {
		t.Errorf("it is %+v, want %+v", l, wantLink)
	}
	if out := h.Run("ip", "-d", "link", "show", "vrrp.51"); !strings.Contains(out, "macvlan mode private") || !strings.Contains(out, "addrgenmode none") {
		t.Errorf("ip shows\n%s", out)
	}
	got := map[string]string{}
	for _, name := range []string{"arp_ignore", "arp_filter", "accept_local", "rp_filter"} {
		got[name] = proc(h, "ipv4", "vrrp.51", name)
	}
	if diff := cmp.Diff(map[string]string{"arp_ignore": "1", "arp_filter": "0", "accept_local": "1", "rp_filter": "0"}, got); diff != "" {
		t.Errorf("settings: -want +got:\n%s", diff)
	}
	if got := proc(h, "ipv6", "vrrp.51", "addr_gen_mode"); got != "1" {
		t.Errorf("addr_gen_mode is %s", got)
	}
	_, err := c.AddMacvlan(m)
	want(t, err, fault.Conflict, "vrrp.51")

	ok(t, c.SetUp(l.Index, true))
	if l := must[Link](t)(c.LinkByIndex(l.Index)); !l.Up || !l.Carrier {
		t.Errorf("up it is %+v", l)
	}
	if a := must[[]Addr](t)(c.Addrs(l.Index)); len(a) > 0 {
		t.Errorf("it has addresses of its own: %v", a)
	}
	ok(t, c.RemoveLink(l.Index))
	_, err = c.Link("vrrp.51")
	want(t, err, fault.NotFound)
}

// TestMacvlanWithoutIPv6: on a link of less than 1280 bytes the kernel runs no IPv6.
func TestMacvlanWithoutIPv6(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	h.Run("ip", "link", "set", "eth0", "mtu", "1000")
	eth := must[Link](t)(c.Link("eth0"))
	l := must[Link](t)(c.AddMacvlan(Macvlan{Name: "vrrp.51", Parent: eth.Index, MAC: MAC{0, 0, 0x5e, 0, 1, 51}}))
	if got := proc(h, "ipv4", "vrrp.51", "arp_ignore"); got != "1" || l.MTU != 1000 {
		t.Errorf("arp_ignore is %s, the link %+v", got, l)
	}
	want(t, c.AddAddr(l.Index, netip.MustParsePrefix("fd77::100/128")), fault.Invalid, "fd77::100/128")
}

func TestMacvlanOnParentThatIsDown(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	eth := must[Link](t)(c.Link("eth0"))
	l := must[Link](t)(c.AddMacvlan(Macvlan{Name: "vrrp.51", Parent: eth.Index, MAC: MAC{0, 0, 0x5e, 0, 1, 51}}))
	ok(t, c.SetUp(l.Index, true))
	ok(t, c.SetUp(eth.Index, false))
	if l := must[Link](t)(c.LinkByIndex(l.Index)); l.Carrier {
		t.Errorf("it is %+v", l)
	}
}

func TestIPv4Conf(t *testing.T) {
	h := labtest.New(t).Host("a")
	c := open(t, h)
	eth := must[Link](t)(c.Link("eth0"))
	h.Sysctl("net/ipv4/conf/eth0/arp_ignore", "0")
	before := must[map[int]int](t)(c.IPv4Conf(eth.Index))
	names := map[int]string{
		RPFilter: "rp_filter", ARPFilter: "arp_filter", ARPAnnounce: "arp_announce", ARPIgnore: "arp_ignore",
		PromoteSecondary: "promote_secondaries", AcceptLocal: "accept_local",
	}
	conf := map[int]int{}
	for number, name := range names {
		if now := proc(h, "ipv4", "eth0", name); now != fmt.Sprint(before[number]) {
			t.Errorf("%s is %s, read %d", name, now, before[number])
		}
		conf[number] = 1 - before[number]&1
	}
	ok(t, c.SetIPv4Conf(eth.Index, conf))
	for number, name := range names {
		if now := proc(h, "ipv4", "eth0", name); now != fmt.Sprint(conf[number]) {
			t.Errorf("%s is %s, set to %d", name, now, conf[number])
		}
	}
	want(t, c.SetIPv4Conf(eth.Index, map[int]int{ARPIgnore: 0, 63: 1}), fault.Invalid)
	if now := proc(h, "ipv4", "eth0", "arp_ignore"); now != "1" {
		t.Errorf("a request that was refused set arp_ignore to %s", now)
	}
	ok(t, c.SetIPv4Conf(eth.Index, before))
	if diff := cmp.Diff(before, must[map[int]int](t)(c.IPv4Conf(eth.Index))); diff != "" {
		t.Errorf("put back: -before +after:\n%s", diff)
	}
}
