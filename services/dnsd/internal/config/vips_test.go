package config

import (
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip"
	"github.com/google/go-cmp/cmp"
)

func TestTracked(t *testing.T) {
	answers, upstreams := vip.Track{Value: "answers", Min: 1}, vip.Track{Value: "upstreams", Min: 1, Weight: -100}
	f := func(track, more string, want ...vip.Track) {
		t.Helper()
		var c Config
		yaml := "vips:\n  dns:\n    interface: eth0\n    vrid: 5\n    addresses: [10.0.0.5/24, 'fd00::5/64']\n    track: [" + track + "]\n" + more
		if _, err := conf.Parse("dnsd.yaml", []byte(yaml), &c, conf.Options{}); err != nil {
			t.Fatal(err)
		}
		same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if d := cmp.Diff(want, c.Tracked()["dns"].Track, same); d != "" {
			t.Errorf("[%s] %s: -want +got\n%s", track, more, d)
		}
		if n := len(c.VIPs["dns"].Track); n > 0 != (track != "") {
			t.Errorf("the configuration itself was changed: %v", c.VIPs["dns"].Track)
		}
	}
	const forward = "forward: {upstreams: ['192.0.2.53:53']}\n"
	f("", "", answers)
	f("", forward, answers, upstreams)
	f("", "    priority: 255\n"+forward, answers)
	f("{value: answers, weight: -10}", "", vip.Track{Value: "answers", Min: 1, Weight: -10})
	f("{value: upstreams}", forward, vip.Track{Value: "upstreams", Min: 1}, answers)
	f("{file: /run/x, weight: 1}", "", vip.Track{File: "/run/x", Weight: 1, Min: 1}, answers)
}

func TestVirtual(t *testing.T) {
	var c Config
	yaml := "vips: {dns: {interface: eth0, vrid: 5, addresses: [10.0.0.5/24, 'fd00::5/64']}}\n"
	if _, err := conf.Parse("dnsd.yaml", []byte(yaml), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[conf.Addr]bool{
		"10.0.0.5:53": true, "10.0.0.6:53": false, "[fd00::5]:53": true, "[fd00::6]:53": false, ":53": false, "0.0.0.0:53": false, "localhost:53": false,
	} {
		if got := c.Virtual(addr); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
