package config

import (
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func parse(t *testing.T, yaml string) *Config {
	t.Helper()
	var c Config
	if _, err := conf.Parse("lbd.yaml", []byte(yaml), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestTracked(t *testing.T) {
	f := func(track, more string, want ...vip.Track) {
		t.Helper()
		c := parse(t, "vips:\n  web:\n    interface: eth0\n    vrid: 5\n    addresses: [10.0.0.5/24]\n    track: ["+track+"]\n"+more)
		same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if d := cmp.Diff(want, c.Tracked()["web"].Track, same, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("[%s] %s: -want +got\n%s", track, more, d)
		}
		if n := len(c.VIPs["web"].Track); n > 0 != (track != "") {
			t.Errorf("the configuration itself was changed: %v", c.VIPs["web"].Track)
		}
	}
	backends := vip.Track{Value: "backends", Min: 1, Weight: -100}
	const pools = "pools: {web: {members: [{addr: 'h:80'}]}}\n"
	f("", pools, backends)
	f("", "") // nothing but answers of its own
	f("", "    priority: 255\n"+pools)
	f("{value: backends.web, min: 2}", pools, vip.Track{Value: "backends.web", Min: 2})
	f("{interface: eth1}", pools, vip.Track{Interface: "eth1", Min: 1}, backends)
}

func TestVirtual(t *testing.T) {
	c := parse(t, "vips: {web: {interface: eth0, vrid: 5, addresses: [10.0.0.5/24, 'fd00::5/64']}}\n")
	for addr, want := range map[conf.Addr]bool{
		"10.0.0.5:80": true, "10.0.0.6:80": false, "[fd00::5]:80": true, "[fd00::6]:80": false, ":80": false, "localhost:80": false,
	} {
		if got := c.Virtual(addr); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
