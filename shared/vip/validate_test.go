package vip

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/probe"
	"github.com/google/go-cmp/cmp"
)

// file is a daemon's configuration as far as it is ours.
type file struct {
	VIPs Config `yaml:"vips" doc:"Virtual addresses."`
}

func parse(text string) (Config, error) {
	var f file
	_, err := conf.Parse("c.yaml", []byte(text), &f, conf.Options{})
	return f.VIPs, err
}

// mustParse returns the configuration of one VIP a line: `web: {interface: eth0, …}`.
func mustParse(t testing.TB, lines ...string) Config {
	t.Helper()
	c, err := parse("vips:\n  " + strings.Join(lines, "\n  ") + "\n")
	if err != nil {
		t.Fatalf("configuration: %v", err)
	}
	return c
}

func TestConfigTags(t *testing.T) {
	if err := conf.CheckStruct(file{}); err != nil {
		t.Error(err)
	}
	if err := conf.CheckStruct(VIP{}); err != nil {
		t.Error(err)
	}
}

// TestValidate gives one VIP, or several, and the whole of what is wrong with them, without file and line.
func TestValidate(t *testing.T) {
	f := func(vips string, want ...string) {
		t.Helper()
		_, err := parse("vips:\n  " + strings.ReplaceAll(vips, "\n", "\n  ") + "\n")
		var got []string
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				_, line, _ = strings.Cut(line, ": ")
				got = append(got, strings.TrimPrefix(line, "vips."))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s\n-want +got:\n%s", vips, d)
		}
	}
	one := func(keys string, want ...string) {
		t.Helper()
		f("a: {interface: eth0, vrid: 51, "+keys+"}", want...)
	}
	one("addresses: [10.0.0.5/24, 10.0.0.6, '2001:db8::5/64', 'fe80::5']")
	one("addresses: []", `a.addresses: must not be empty`)
	f("a: {vrid: 51, addresses: [10.0.0.5]}", `a.interface: is required`)
	f("a: {interface: 'eth0:1', vrid: 51, addresses: [10.0.0.5]}", `a.interface: "eth0:1" cannot be the name of an interface`)
	f("a: {interface: eth0, vrid: 256, addresses: [10.0.0.5]}", `a.vrid: is 256, must be from 1 to 255`)

	// Addresses.
	one("addresses: [10.0.0.5/33]", `a.addresses[0]: "10.0.0.5/33" is not valid: it is no address such as 10.0.0.5/24, 10.0.0.5 or 2001:db8::5/64`)
	one("addresses: [www]", `a.addresses[0]: "www" is not valid: it is no address such as 10.0.0.5/24, 10.0.0.5 or 2001:db8::5/64`)
	one("addresses: ['fe80::1%eth0']", `a.addresses[0]: "fe80::1%eth0" is not valid: a zone does not belong to it: the interface says it`)
	one("addresses: [10.0.0.0/24, 10.0.0.255/24, 224.0.0.18, 127.0.0.1, 0.0.0.0, 10.0.0.4/31, 255.255.255.255]",
		`a.addresses[0]: 10.0.0.0/24 is the network's own address, not a host's`,
		`a.addresses[1]: 10.0.0.255/24 is a broadcast address`,
		`a.addresses[2]: 224.0.0.18/32 is not an address that can move between hosts`,
		`a.addresses[3]: 127.0.0.1/32 is not an address that can move between hosts`,
		`a.addresses[4]: 0.0.0.0/32 is not an address that can move between hosts`,
		`a.addresses[6]: 255.255.255.255/32 is a broadcast address`)
	one("addresses: ['2001:db8::/64', '::ffff:10.0.0.1', 10.0.0.5/0]",
		`a.addresses[0]: 2001:db8::/64 is the network's own address, not a host's`,
		`a.addresses[1]: ::ffff:10.0.0.1/128 is no plain IPv4 or IPv6 address`,
		`a.addresses[2]: 10.0.0.5/0 has a network of all addresses`)
	one("addresses: [10.0.0.5/24, 10.0.0.5]", `a.addresses[1]: 10.0.0.5 is listed twice`)
	many := make([]string, 64)
	ip := netip.MustParseAddr("2001:db8::1")
	for i := range many {
		many[i], ip = "'"+ip.String()+"'", ip.Next()
	}
	one("addresses: ["+strings.Join(many, ",")+"]",
		`a.addresses: with the link-local address that is put first, 65 IPv6 addresses are above 64 (list the link-local one, or one less)`)

	// Versions.
	one("addresses: [10.0.0.5], interval: 40s")
	one("addresses: [10.0.0.5], interval: 41s", `a.interval: is 41s: version 3 knows steps of 10ms, up to 40.95s`)
	one("addresses: [10.0.0.5], interval: 15ms", `a.interval: is 15ms: version 3 knows steps of 10ms, up to 40.95s`)
	one("addresses: [10.0.0.5], version: 2, interval: 41s, password: geheim")
	one("addresses: [10.0.0.5], version: 2", `a.interval: is 100ms: version 2 knows whole seconds, 1s to 255s (write interval: 1s, on all hosts)`)
	one("addresses: [10.0.0.5], version: 2, interval: 1500ms", `a.interval: is 1s500ms: version 2 knows whole seconds, 1s to 255s (write interval: 1s, on all hosts)`)
	one("addresses: ['2001:db8::5'], version: 2, interval: 1s", `a.version: VRRP version 2 has no IPv6 (remove version, or the IPv6 addresses)`)
	one("addresses: [10.0.0.5], password: geheim", `a.password: is for version 2 only (between everup's own hosts auth is safer)`)
	one(`addresses: [10.0.0.5], version: 2, interval: 1s, password: "\t"`, `a.password: holds something else than printable ASCII`)
	one("addresses: [10.0.0.5], checksum: pseudo")
	one("addresses: ['2001:db8::5'], checksum: pseudo", `a.checksum: is for version 3 over IPv4 only: there is no choice elsewhere`)

	// Election.
	one("addresses: [10.0.0.5], preempt: false, preempt_delay: 1s", `a.preempt_delay: has no meaning without preempt`)
	one("addresses: [10.0.0.5], priority: 255, preempt: false",
		`a.preempt: the owner of the addresses (priority 255) always takes them (give it a priority below 255)`)
	one("addresses: [10.0.0.5], lifeline: 100ms", `a.lifeline: is less than 200ms, in which a busy daemon may be silent (0 means never)`)
	one("addresses: [10.0.0.5], lifeline: 0")

	// Source and peers.
	one("addresses: [10.0.0.5], source: 10.0.0.1")
	one("addresses: [10.0.0.5], source: 'fe80::1'", `a.source: fe80::1 is of another family than all addresses`)
	one("addresses: ['2001:db8::5'], source: '2001:db8::1'",
		`a.source: 2001:db8::1 is not link-local, which the source of adverts is in IPv6 (RFC 9568 section 5.1.2.1) (leave it out, or write the interface's address of fe80::/64)`)
	one("addresses: [10.0.0.5], source: 10.0.0.5", `a.source: 10.0.0.5 is one of the addresses that move (write an address that stays on this host)`)
	one("addresses: [10.0.0.5], source: 10.0.0.5, priority: 255")
	one("addresses: ['fe80::5'], source: 'fe80::1%eth0'", `a.source: fe80::1%eth0 is not a plain address of a host`)
	one("addresses: [10.0.0.5, 'fe80::5'], peers: [10.0.0.2, 'fe80::2'], vmac: true, min_ttl: 253, auth: fleet")
	one("addresses: [10.0.0.5], min_ttl: 254", `a.min_ttl: less than 255 is for unicast: there are no peers`)
	one("addresses: [10.0.0.5], auth: fleet", `a.auth: fleet is for adverts by unicast: there are no peers (list peers, or write auth: auto)`)
	one("addresses: [10.0.0.5], source: 10.0.0.1, peers: [10.0.0.1, 10.0.0.5, 10.0.0.2, 10.0.0.2, 224.0.0.1, 'fe80::2']",
		`a.peers[0]: 10.0.0.1 is the source of our own adverts`,
		`a.peers[1]: 10.0.0.5 is one of the addresses that move, not a peer's own`,
		`a.peers[3]: 10.0.0.2 is listed twice`,
		`a.peers[4]: 224.0.0.1 is not a plain address of a host`,
		`a.peers[5]: fe80::2 is of another family than all addresses`)
	one("addresses: [10.0.0.5, '2001:db8::5'], peers: [10.0.0.2]",
		`a.peers: there is no IPv6 peer for the IPv6 addresses (list their link-local addresses, or make two VIPs)`)
	one("addresses: [10.0.0.5, '2001:db8::5'], peers: ['2001:db8::2']",
		`a.peers: there is no IPv4 peer for the IPv4 addresses`,
		`a.peers[0]: 2001:db8::2 is not link-local, which the source of adverts is in IPv6 (RFC 9568 section 5.1.2.1) (write the peer's address of fe80::/64)`)

	// Tracks.
	track := func(keys string, want ...string) {
		t.Helper()
		one("addresses: [10.0.0.5], track: ["+keys+"]", want...)
	}
	track("{interface: eth1}, {route: 0.0.0.0/0, weight: -20}, {file: /run/x, weight: 2}, {value: backends.web, min: 2}, {value: a, each: true, weight: 3}")
	track("{weight: 3}", `a.track[0]: is to have one of interface, route, file, probe and value; there is none`)
	track("{interface: eth1, file: /x}", `a.track[0]: is to have one of interface, route, file, probe and value; there are interface and file`)
	track("{interface: 'a/b'}", `a.track[0].interface: "a/b" cannot be the name of an interface`)
	track("{route: 10.0.0.1/8}", `a.track[0].route: 10.0.0.1/8 has bits set after the prefix (write 10.0.0.0/8)`)
	track("{file: x}", `a.track[0].file: "x" is not an absolute path`)
	track("{value: 'a b'}", `a.track[0].value: "a b" is not the name of a value, such as backends.web`)
	track("{value: a.}", `a.track[0].value: "a." is not the name of a value, such as backends.web`)
	track("{file: /x, each: true, weight: 1}", `a.track[0].each: is for value only`)
	track("{value: a, each: true}", `a.track[0].weight: is what each is multiplied with: it must not be 0`)
	track("{file: /x, min: 2}", `a.track[0].min: is for value without each only`)
	track("{value: a, each: true, weight: 1, min: 2}", `a.track[0].min: is for value without each only`)
	track("{value: a, weight: 254}", `a.track[0].weight: is 254, must be from -253 to 253`)
	one("addresses: [10.0.0.5], priority: 255, track: [{value: a, weight: 1}, {value: a}]",
		`a.track[0].weight: the priority of the addresses' owner (255) does not change (0 makes it a fault)`)
	track("{probe: {target: '10.0.0.1:80'}}, {probe: {target: 10.0.0.1, check: {type: icmp}}}, {probe: {target: gw, check: {port: 80}}}, {probe: {target: '::1', check: {type: icmp}}}")
	track("{probe: {target: 10.0.0.1}}", `a.track[0].probe.target: has no port (write 10.0.0.1:PORT)`)
	track("{probe: {target: ':80'}}", `a.track[0].probe.target: is not the address or name of a host with a port`)
	track("{probe: {target: 'gw:0'}}", `a.track[0].probe.target: is not the address or name of a host with a port`)
	track("{probe: {target: 'unix:/x'}}", `a.track[0].probe.target: is not the address or name of a host with a port`)
	one("addresses: [10.0.0.5], notify: [{command: [x]}]", `a.notify[0].command[0]: "x" is not an absolute path`)

	// Several.
	f("a: {interface: eth0, vrid: 51, addresses: [10.0.0.5]}\nb: {interface: eth0, vrid: 51, addresses: ['2001:db8::5']}\nc: {interface: eth1, vrid: 51, addresses: [10.0.1.5, 'fe80::5']}\nd: {interface: eth0, vrid: 52, addresses: ['fe80::5']}")
	f("a: {interface: eth0, vrid: 51, addresses: [10.0.0.5]}\nb: {interface: eth0, vrid: 51, addresses: [10.0.0.6, '2001:db8::5']}",
		`b.vrid: 51 is that of VIP a on eth0 too`)
	f("a: {interface: eth0, vrid: 51, addresses: [10.0.0.5]}\nb: {interface: eth1, vrid: 51, addresses: [10.0.0.5/24]}",
		`b.addresses[0]: 10.0.0.5 is an address of VIP a too`)
	f("a: {interface: eth0, vrid: 51, addresses: ['fe80::5']}\nb: {interface: eth0, vrid: 52, addresses: ['fe80::5']}",
		`b.addresses[0]: fe80::5 is an address of VIP a too`)
	f("a: {interface: eth0, vrid: 51, addresses: [10.0.0.5], lifeline: 1s}\nb: {interface: eth0, vrid: 52, addresses: [10.0.0.6]}",
		`b.lifeline: is 2s, but 1s for VIP a (the daemon is stuck as a whole)`)
	f("a: {interface: eth0, vrid: 51, addresses: [10.0.0.5]}\nb: {interface: eth0, vrid: 52, addresses: [10.0.0.6], group: a}",
		`b.group: "a" is the name of a VIP that is not of this group`)
	f("a: {interface: eth0, vrid: 51, addresses: [10.0.0.5], group: a}\nb: {interface: eth0, vrid: 52, addresses: [10.0.0.6], group: a}")
}

// TestValidateBounds: what a plan cannot hold is refused before it is made.
func TestValidateBounds(t *testing.T) {
	f := func(n int, keys string, want string) {
		t.Helper()
		var b strings.Builder
		b.WriteString("vips:\n")
		for i := range n {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i), 5})
			b.WriteString("  v" + a.String()[5:len(a.String())-2] + ": {interface: eth0, vrid: " + vridOf(i) + ", addresses: [" + a.String() + ", '2001:db8::" + vridOf(i) + "']" + keys + "}\n")
		}
		_, err := parse(b.String())
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d VIPs: %q, want %q", n, got, want)
		}
	}
	f(64, "", "")
	f(64, ", group: g", "")
	f(65, ", group: g", "c.yaml:1:1: vips: 130 virtual routers, one for each family of a VIP, are above 128")
	f(65, "", "c.yaml:1:1: vips: 130 virtual routers, one for each family of a VIP, are above 128\nc.yaml:1:1: vips: 65 VIPs and groups of VIPs are above 64")
}

func vridOf(i int) string { return netip.AddrFrom4([4]byte{0, 0, 0, byte(i + 1)}).String()[6:] }

// TestFamilies: RFC 9568 has IPv6's first address link-local; RFC 2464 says how it follows from the virtual MAC.
func TestFamilies(t *testing.T) {
	f := func(addresses, four, six string) {
		t.Helper()
		v := mustParse(t, "a: {interface: eth0, vrid: 171, addresses: ["+addresses+"]}")["a"]
		gotFour, gotSix := v.families()
		text := func(all []netip.Prefix) string {
			s := make([]string, len(all))
			for i, p := range all {
				s[i] = p.String()
			}
			return strings.Join(s, " ")
		}
		if g4, g6 := text(gotFour), text(gotSix); g4 != four || g6 != six {
			t.Errorf("%s: %q and %q, want %q and %q", addresses, g4, g6, four, six)
		}
	}
	f("10.0.0.5, 10.0.0.6/24", "10.0.0.5/32 10.0.0.6/24", "")
	f("'2001:db8::5', '2001:db8::6/64'", "", "fe80::200:5eff:fe00:2ab/64 2001:db8::5/128 2001:db8::6/64")
	f("'2001:db8::5', 10.0.0.5, '2001:db8::6/64', 'fe80::1/64', 'fe80::2'", "10.0.0.5/32", "fe80::1/64 2001:db8::5/128 2001:db8::6/64 fe80::2/128")
	f("'fe80::1'", "", "fe80::1/128")
}

func TestHolds(t *testing.T) {
	c := mustParse(t, "a: {interface: eth0, vrid: 51, addresses: [10.0.0.5/24, '2001:db8::5']}", "b: {interface: eth0, vrid: 52, addresses: [10.0.0.6]}")
	f := func(addr string, want bool) {
		t.Helper()
		if got := c.Holds(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	f("10.0.0.5", true)
	f("::ffff:10.0.0.6", true)
	f("2001:db8::5", true)
	f("fe80::200:5eff:fe00:233%eth0", true)
	f("10.0.0.7", false)
	if (Config)(nil).Holds(netip.MustParseAddr("10.0.0.5")) {
		t.Error("an empty configuration holds an address")
	}
}

// FuzzAddress: what is read is an address, and is read again from what it prints.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"10.0.0.5", "10.0.0.5/24", "2001:db8::5/64", "fe80::1%eth0", "::ffff:1.2.3.4", "1.2.3.4/33", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var a, again Address
		if a.UnmarshalText([]byte(s)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(a.String())); err != nil || again != a || !a.IsValid() {
			t.Errorf("%q: %v, then %v, %v", s, a, again, err)
		}
		_ = a.unfit()
	})
}

// FuzzTarget: any text of a probe's target is refused or gives a target that a check can be made of.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"10.0.0.1:80", "gw", "[::1]:80", "::1", ":80", "unix:/x", "a:b", "gw:0"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, icmp bool) {
		p := Probe{Target: s}
		conf.SetDefaults(&p.Check)
		if icmp {
			p.Check.Type = probe.ICMP
		}
		got, err := p.target()
		if err == nil && (!got.Addr.Addr().IsValid() && got.Host == "" || !icmp && got.Addr.Port() == 0) {
			t.Errorf("%q: %+v", s, got)
		}
	})
}
