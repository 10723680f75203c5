package doctor

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pair is a host that offers a virtual address with nothing against it: lbd runs with its capabilities, networkd leaves addresses alone.
func pair() *fake {
	s := healthy()
	for name, text := range map[string]string{
		"/sys/class/net/lo/ifindex": "1\n", "/sys/class/net/eth0/ifindex": "2\n", "/sys/class/net/bond0.10/ifindex": "5\n",
		"/sys/class/net/bond0.10/lower_bond0/ifindex": "4\n",
		"/sys/class/net/bond0/bonding/mode":           "802.3ad 4\n", "/sys/class/net/bond0/bonding/miimon": "100\n",
		"/sys/class/net/bond0/bonding/arp_interval": "0\n", "/sys/class/net/bond0/bonding/num_grat_arp": "1\n",
		"/proc/sys/net/ipv4/conf/eth0/promote_secondaries": "1\n", "/proc/sys/net/ipv4/conf/all/promote_secondaries": "0\n",
		"/proc/sys/net/ipv4/conf/bond0.10/promote_secondaries": "1\n",
		"/proc/17/comm": "lbd\n", "/proc/17/status": "Name:\tlbd\nCapEff:\t0000000000807400\n",
		"/run/systemd/netif/links/2":           "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-eth0.network\n",
		"/etc/systemd/network/10-eth0.network": "[Network]\nKeepConfiguration=yes\nAddress=10.0.0.1/24\n",
	} {
		s.files[name] = text
	}
	return s
}

func TestVIPFindings(t *testing.T) {
	web := VIP{Daemon: "lbd", Name: "web", Interface: "eth0", VRID: 5, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}
	f := func(breakIt func(*fake), vs []VIP, want ...string) {
		t.Helper()
		s := pair()
		breakIt(s)
		got := []string{}
		for _, x := range Run(t.Context(), s, Subject{VIPs: vs}) {
			got = append(got, string(x.Level)+" "+x.ID)
			if x.What == "" || x.Why == "" || x.Mend == "" {
				t.Errorf("%s says too little: %+v", x.ID, x)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	with := func(v VIP, change func(*VIP)) VIP { change(&v); return v }
	file := func(name, text string) func(*fake) { return func(s *fake) { s.files[name] = text } }
	unit := func(text ...string) func(*fake) {
		return func(s *fake) {
			delete(s.files, "/proc/17/comm") // it does not run
			for i, d := range []string{"/usr/lib/systemd/system/lbd.service", "/etc/systemd/system/lbd.service.d/vip.conf"}[:len(text)] {
				s.files[d] = text[i]
			}
		}
	}
	nothing := func(*fake) {}
	one := []VIP{web}
	f(nothing, nil)
	f(nothing, one)
	f(file("/proc/17/status", "CapEff:\t0000000000001000\n"), one,
		"fail vip.capability.net_raw", "warn vip.capability.sys_nice", "notice vip.capability.ipc_lock")
	f(unit("[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"), one, "fail vip.capability.net_admin",
		"fail vip.capability.net_raw", "warn vip.capability.sys_nice", "notice vip.capability.ipc_lock")
	f(unit("[Service]\n", "[Service]\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_NICE CAP_IPC_LOCK\n"), one)
	f(unit(), one) // no unit, not running: nothing is known
	f(nothing, []VIP{with(web, func(v *VIP) { v.Interface = "eth9" })}, "fail vip.interface")
	dns := with(web, func(v *VIP) {
		v.Daemon, v.Name, v.Addresses = "dnsd", "dns", []netip.Addr{netip.MustParseAddr("10.0.0.6")}
	})
	f(nothing, []VIP{dns, web}, "fail vip.vrid")
	f(nothing, []VIP{with(dns, func(v *VIP) { v.VRID, v.Addresses = 6, web.Addresses }), web}, "fail vip.address")
	f(nothing, []VIP{with(dns, func(v *VIP) { v.VRID = 6 }), web})
	const network = "/etc/systemd/network/10-eth0.network"
	f(file(network, "[Network]\nAddress=10.0.0.1/24\n"), one, "warn vip.networkd")
	f(file(network, "[Network]\nKeepConfiguration=dhcp\n"), one, "warn vip.networkd")
	f(func(s *fake) {
		file(network, "[Network]\n")(s)
		file(network+".d/everup.conf", "[Network]\nKeepConfiguration=yes\n")(s)
	}, one)
	f(file("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "0\n"), one, "notice vip.promote_secondaries")
	f(func(s *fake) {
		file("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "0\n")(s)
		file("/proc/sys/net/ipv4/conf/all/promote_secondaries", "1\n")(s)
	}, one)
	vlan := []VIP{with(web, func(v *VIP) { v.Interface, v.Delayed = "bond0.10", true })}
	f(nothing, vlan)
	f(nothing, []VIP{with(vlan[0], func(v *VIP) { v.Delayed = false })}, "notice vip.bond.start")
	f(file("/sys/class/net/bond0/bonding/miimon", "0\n"), vlan, "warn vip.bond.monitor")
	f(func(s *fake) {
		file("/sys/class/net/bond0/bonding/miimon", "0\n")(s)
		file("/sys/class/net/bond0/bonding/arp_interval", "200\n")(s)
	}, vlan)
	f(file("/sys/class/net/bond0/bonding/num_grat_arp", "0\n"), vlan, "warn vip.bond.announce")
	f(file("/proc/sys/net/ipv4/conf/bond0.10/promote_secondaries", "0\n"), vlan, "notice vip.promote_secondaries")
}

func TestReadVIPs(t *testing.T) {
	dir := t.TempDir()
	text := `
vips:
  web: {interface: bond0.10, vrid: 5, addresses: [10.0.0.5/24, 10.0.0.6, 'fd00::5/64', nonsense], start_delay: 5s}
  mail: {interface: eth0, vrid: 6, addresses: [], start_delay: 0s}
  odd: 7
`
	if err := os.WriteFile(filepath.Join(dir, "lbd.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfigs(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []VIP{
		{Daemon: "lbd", Name: "mail", Interface: "eth0", VRID: 6},
		{Daemon: "lbd", Name: "web", Interface: "bond0.10", VRID: 5, Delayed: true, Addresses: []netip.Addr{
			netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("10.0.0.6"), netip.MustParseAddr("fd00::5"),
		}},
	}
	if d := cmp.Diff(want, got.VIPs, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
