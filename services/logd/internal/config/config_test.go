package config

import (
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
)

func TestConfig(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("logd.yaml", []byte(src), &c, conf.Options{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	f("node: n1\n", "")
	f("zone: Europe/Berlin\nkeep: 0\n", "")
	f("zone: Mars/Olympus\n", "logd.yaml:1:7: zone:")
	f("keep: 5m\n", "keep:")
	f("sync: sometimes\n", "sync:")
	f("listen: {udp: [], tcp: [], unix: []}\n", "listen:")
	f("message: {max: 2GiB}\n", "message.max:")
	f("message: {mx: 2}\n", "did you mean")
}

func TestDefaultsStayOnLoopback(t *testing.T) {
	var c Config
	conf.SetDefaults(&c)
	for _, a := range append(c.Listen.UDP, c.Listen.TCP...) {
		if !a.Loopback() {
			t.Errorf("listens on %s without being told", a)
		}
	}
}
