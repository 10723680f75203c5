package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/conf"
)

// makeConfig returns what a configuration file with the given text makes.
func makeConfig(t testing.TB, text string) Config {
	t.Helper()
	cfg, err := readConfig(text)
	if err != nil {
		t.Fatalf("configuration:\n%s\n%v", text, err)
	}
	return cfg
}

func readConfig(text string) (Config, error) {
	var cfg Config
	_, err := conf.Parse("check.yaml", []byte(text), &cfg, conf.Options{})
	return cfg, err
}

func TestDefaults(t *testing.T) {
	cfg := makeConfig(t, "type: http\n")
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.fast() != cfg.Interval.Std()/4 || cfg.down() != cfg.Interval.Std() {
		t.Errorf("fast %v, down %v of interval %v", cfg.fast(), cfg.down(), cfg.Interval.Std())
	}
	if cfg.Rise != 2 || cfg.Fall != 3 || cfg.Jitter != 10 || cfg.Start != Unknown || cfg.Flap != nil {
		t.Errorf("defaults are %+v", cfg)
	}
}

func TestConfigTags(t *testing.T) {
	if err := conf.CheckStruct(Config{}); err != nil {
		t.Error(err)
	}
}

// TestPatience: a check takes a second at most, and never longer than the time between two, unless it is told.
func TestPatience(t *testing.T) {
	f := func(text string, want time.Duration) {
		t.Helper()
		c, err := readConfig(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := c.Patience(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	f("interval: 2s", time.Second)
	f("interval: 250ms", 250*time.Millisecond)
	f("interval: 250ms\ntimeout: 100ms", 100*time.Millisecond)
	f("interval: 10s\ntimeout: 5s", 5*time.Second)
}

func TestConfigErrors(t *testing.T) {
	f := func(text string, wants ...string) {
		t.Helper()
		_, err := readConfig(text)
		if err == nil {
			t.Errorf("no error for:\n%s", text)
			return
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error of\n%s\n is\n%v\n, want %q", text, err, want)
			}
		}
	}
	f("type: htpp", "http")
	f("timeout: 5s", "timeout", "longer than interval")
	f("interval: 1s\nfast_interval: 2s", "fast_interval")
	f("source: localhost", "source")
	f("type: tcp\nredis: {}", "redis: does not belong to type tcp, which takes: tcp")
	f("type: dns", "dns: is required for type dns")
	f("type: exec\nexec: {command: [check_http]}", "command[0]", "absolute")
	f("type: exec\nexec: {command: []}", "command")
	f("type: http\nhttp: {status: 200-99}", "status", "neither a status")
	f("type: http\nhttp: {path: healthz}", "does not begin with /")
	f("type: http\nhttp: {method: 'GET /'}", "makes no request")
	f("type: http\nhttp: {regex: '('}", "regex")
	f("type: tcp\ntcp: {expect: '['}", "expect")
	f("type: dns\ndns: {name: a., qtype: AAAAA, rcode: [NOPE]}", "qtype", "rcode[0]")
	f("type: dns\ndns: {name: a.}\ntls: {}", "tls: has no meaning for dns over udp")
	f("type: mysql\nmysql: {user: u, role: primary, max_lag: 3s}", "max_lag")
	f("type: smtp\nsmtp: {helo: 'a b'}", "helo")
	f("type: https\ntls: {ca_file: ca.pem}", "ca_file")
	f("flap: {suppress: 2000, reuse: 2000}", "reuse")
}

func TestStatusesFromNumber(t *testing.T) {
	cfg := makeConfig(t, "type: http\nhttp: {status: 204}\n")
	if !cfg.HTTP.Status.Contain(204) || cfg.HTTP.Status.Contain(200) {
		t.Errorf("status 204 was read as %v", cfg.HTTP.Status)
	}
}
