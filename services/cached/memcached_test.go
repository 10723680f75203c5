package cached

import (
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/mcflags"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// understood is the configuration that memcached's options mean, without the parts of the floor.
func understood(t *testing.T, line string, env ...string) (Config, error) {
	t.Helper()
	getenv := func(name string) string {
		for i := 0; i+1 < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	}
	o, err := mcflags.Parse(strings.Fields(line), getenv)
	if err != nil {
		return Config{}, err
	}
	text, err := translate(o, "/nowhere")
	if err != nil {
		return Config{}, err
	}
	var c Config
	_, err = conf.Parse("command line", text, &c, conf.Options{})
	return c, err
}

// plain is what `cached -p 11211` means.
func plain(change func(*Config)) Config {
	c := Config{
		Listen: []config.Endpoint{{Addr: ":11211"}}, SocketMode: 0o700, Protocol: "auto", Threads: 4, Memory: 64 << 20, MaxItem: 1 << 20,
		Evict: true, CAS: true, Connections: 1024, Full: "refuse", Write: conf.Duration(30 * time.Second),
		Commands: config.Commands{Flush: true, Dump: true, Watch: true},
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestTranslate(t *testing.T) {
	f := func(line string, change func(*Config), env ...string) {
		t.Helper()
		got, err := understood(t, line, env...)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			return
		}
		if d := cmp.Diff(plain(change), got, cmpopts.IgnoreFields(Config{}, "Common"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(conf.Prefix{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
	f("-p 11211", nil)
	f("-p 0 -s /run/x.sock -a 0770", func(c *Config) {
		c.Listen, c.SocketMode = []config.Endpoint{{Addr: "unix:/run/x.sock"}}, 0o770
	})
	f("-p 1 -l 127.0.0.1,[::1]:2,tag[a]:10.0.0.1:3 -l proto[binary]:127.0.0.2", func(c *Config) {
		c.Listen = []config.Endpoint{{Addr: "127.0.0.1:1"}, {Addr: "[::1]:2"}, {Addr: "10.0.0.1:3", Tag: "a"}, {Addr: "127.0.0.2:1", Protocol: "binary"}}
	})
	f("-m 1000 -I 2m -M -C -c 20 -t 2 -o idle_timeout=30,no_maxconns_fast -e /dev/shm/x", func(c *Config) {
		c.Memory, c.MaxItem, c.Evict, c.CAS, c.Connections, c.Threads = 1000<<20, 2<<20, false, false, 20, 2
		c.Idle, c.Full, c.Warm = conf.Duration(30*time.Second), "wait", "/dev/shm/x"
	})
	f("-F -X -W -A", func(c *Config) { c.Commands = config.Commands{Shutdown: true} })
	f("-B binary", func(c *Config) { c.Protocol, c.Listen[0].Protocol = "binary", "binary" })
	f("-Y /etc/users", func(c *Config) {
		c.Protocol, c.Listen[0].Protocol = "text", "text"
		c.Auth = &config.Auth{Users: "/etc/users", Form: "lines", Text: true}
	})
	f("-S", func(c *Config) {
		c.Protocol, c.Listen[0].Protocol = "binary", "binary"
		c.Auth = &config.Auth{Users: "/etc/pw", Form: "database", SASL: true}
	}, "MEMCACHED_SASL_PWDB", "/etc/pw")
	f("-Z -o ssl_chain_cert=/c,ssl_key=/k,ssl_ca_cert=/a,ssl_verify_mode=2,ssl_min_version=3 -l notls:127.0.0.1:1,mtls:127.0.0.1:2,127.0.0.1:3", func(c *Config) {
		c.Listen = []config.Endpoint{{Addr: "127.0.0.1:1"}, {Addr: "127.0.0.1:2", TLS: true, Mutual: true}, {Addr: "127.0.0.1:3", TLS: true}}
		c.TLS = &config.TLS{Cert: "/c", Key: "/k", CA: "/a", Verify: "require", Version: "1.3"}
	})
	f("-Z -o ssl_chain_cert=/both", func(c *Config) {
		c.Listen[0].TLS, c.TLS = true, &config.TLS{Cert: "/both", Key: "/both", Verify: "none", Version: "1.2"}
	})
	f("-p 0 -U 11212", func(c *Config) {
		c.Listen = nil
		c.UDP = &config.UDP{Listen: []conf.Addr{":11212"}}
		conf.SetDefaults(c.UDP)
		c.UDP.Listen = []conf.Addr{":11212"}
	})
	f("-m 2 -I 512k", func(c *Config) { c.Memory, c.MaxItem = config.SmallestMemory, 512<<10 })
}

func TestTranslateRefusesWhatItCannotKeep(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		_, err := understood(t, line)
		if err == nil || !strings.Contains(err.Error(), want) || fault.Of(err) != fault.Unsupported {
			t.Errorf("%s: %v, want %q of class unsupported", line, err, want)
		}
	}
	f("-Z -o ssl_chain_cert=/c,ssl_ciphers=AES128-SHA", "ssl_ciphers")
	f("-Z -o ssl_chain_cert=/c,ssl_keyformat=2", "ssl_keyformat")
}

// The help of either command line tells of the other, and claims no letter that the other has.
func TestHelp(t *testing.T) {
	root := daemon.Command(Spec())
	var ours, theirs strings.Builder
	root.SetOut(&ours)
	root.SetArgs([]string{"--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	if got := ours.String(); !strings.Contains(got, "cached -h prints those options") || strings.Contains(got, "-h, --help") || strings.Contains(got, "-v, --version") {
		t.Error(got)
	}
	if code := Memcached([]string{"-h"}, func(string) string { return "" }, &theirs, &theirs); code != 0 {
		t.Errorf("-h exits with %d", code)
	}
	if got := theirs.String(); !strings.Contains(got, "--memory-limit=MB") || !strings.Contains(got, "see cached --help") {
		t.Error(got)
	}
}
