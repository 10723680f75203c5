package mcflags

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// options parses a command line of words between blanks.
func options(t *testing.T, line string) *Options {
	t.Helper()
	o, err := Parse(strings.Fields(line), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return o
}

func TestGetopt(t *testing.T) {
	f := func(line string, change func(o *Options)) {
		t.Helper()
		want := Defaults()
		change(want)
		if d := cmp.Diff(want, options(t, line), cmpopts.IgnoreUnexported(Options{}, Listener{}), cmpopts.IgnoreFields(Options{}, "Ignored")); d != "" {
			t.Errorf("%s (-want +got)\n%s", line, d)
		}
	}
	port := func(n Port) func(*Options) { return func(o *Options) { o.Port = n } }
	f("", func(*Options) {})
	f("-p 1234", port(1234))
	f("-p1234", port(1234))
	f("--port 1234", port(1234))
	f("--port=1234", port(1234))
	f("--por=1234", port(1234))
	f("-p -1", port(Ephemeral))
	f("-p-1", port(Ephemeral))
	f("-vvd", func(o *Options) { o.Verbosity, o.Daemonize = 2, true })
	f("-vvp1234", func(o *Options) { o.Verbosity, o.Port = 2, 1234 })
	f("-vvp 1234 -M", func(o *Options) { o.Verbosity, o.Port, o.NoEvict = 2, 1234, true })
	f("one -p 1234 two", port(1234))
	f("-p 1234 -- -p 5", port(1234))
	f("-- -p 1234", func(*Options) {})
	f("-p 1234 -", port(1234))
	f("-p 1 -p 2", port(2))
	f("--verbose=3 --verbose", func(o *Options) { o.Verbosity = 2 })
	f("--enable-sh", func(o *Options) { o.Shutdown = true })
	f("-P -v", func(o *Options) { o.PIDFile = "-v" })
	f("-h -t 0", func(o *Options) { o.Action = Help })
	f("-I 5 -V -t 0", func(o *Options) { o.Action, o.MaxItem = Version, 5 })
	f("-i", func(o *Options) { o.Action = License })
}

func TestPosixlyCorrect(t *testing.T) {
	o, err := Parse([]string{"-v", "word", "-v"}, func(k string) string { return map[string]string{"POSIXLY_CORRECT": "1"}[k] })
	if err != nil || o.Verbosity != 1 || len(o.Ignored) != 2 {
		t.Errorf("got %+v, %v; want one -v and two words", o, err)
	}
}

func TestValues(t *testing.T) {
	f := func(line string, change func(o *Options)) {
		t.Helper()
		want := Defaults()
		change(want)
		if d := cmp.Diff(want, options(t, line), cmp.AllowUnexported(Listener{}), cmpopts.IgnoreUnexported(Options{}), cmpopts.IgnoreFields(Options{}, "Ignored")); d != "" {
			t.Errorf("%s (-want +got)\n%s", line, d)
		}
	}
	f("-m 1024 -I 4m", func(o *Options) { o.Memory, o.MaxItem = 1<<30, 4<<20 })
	f("-I 600k", func(o *Options) { o.MaxItem = 600 << 10 })
	f("-m 2048 -I 1024M", func(o *Options) { o.Memory, o.MaxItem = 2<<30, 1<<30 })
	f("-U 1234", func(o *Options) { o.UDPPort, o.Port = 1234, 1234 })
	f("-U 1234 -p 0", func(o *Options) { o.UDPPort, o.Port = 1234, 0 })
	f("-U 0", func(*Options) {})
	f("-a 0666 -s /tmp/s", func(o *Options) { o.SocketMode, o.Socket = 0o666, "/tmp/s" })
	f("-D _x", func(o *Options) { o.Delimiter, o.Detail = '_', true })
	f("-Y /f", func(o *Options) { o.AuthFile, o.Protocol = "/f", Text })
	f("-o idle_timeout=90,no_maxconns_fast -o track_sizes", func(o *Options) {
		o.IdleTimeout, o.MaxConnsFast, o.TrackSizes = 90*time.Second, false, true
	})
	f("-Z -o ssl_chain_cert=/c,ssl_key=/k,ssl_verify_mode=2,ssl_ca_cert=/a,ssl_min_version=3,ssl_ciphers=A:B,ssl_keyformat=2", func(o *Options) {
		o.TLS = TLS{true, "/c", "/k", DER, VerifyRequire, "/a", "A:B", 0x0304}
	})
	f("-l 127.0.0.1 -l tag[a]:[::1]:5,*", func(o *Options) {
		o.Listen = []Listener{{Host: "127.0.0.1", Port: inherit}, {Host: "::1", Port: 5, Tag: "a"}, {Port: inherit}}
	})
}

func TestEnvironment(t *testing.T) {
	env := func(k string) string { return map[string]string{EnvPortFile: "/p", EnvSASLDatabase: "/db"}[k] }
	o, err := Parse([]string{"-S"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if o.PortFile != "/p" || o.SASLDatabase != "/db" || o.Protocol != Binary {
		t.Errorf("got port file %q, database %q, protocol %v", o.PortFile, o.SASLDatabase, o.Protocol)
	}
}

func TestListeners(t *testing.T) {
	f := func(line string, tcp, udp []Listener) {
		t.Helper()
		o := options(t, line)
		plain := cmpopts.IgnoreUnexported(Listener{})
		if d := cmp.Diff(tcp, o.TCP(), plain); d != "" {
			t.Errorf("%s: TCP (-want +got)\n%s", line, d)
		}
		if d := cmp.Diff(udp, o.UDP(), plain); d != "" {
			t.Errorf("%s: UDP (-want +got)\n%s", line, d)
		}
	}
	f("", []Listener{{Port: 11211}}, nil)
	f("-U 5", []Listener{{Port: 5}}, []Listener{{Port: 5}})
	f("-p 0", nil, nil)
	f("-p 0 -U 5", nil, []Listener{{Port: 5}})
	f("-p 0 -l 127.0.0.1:7", nil, nil)
	f("-s /tmp/s -p 5 -U 5", nil, nil)
	f("-p 5 -U 6 -l 127.0.0.1:7,localhost", []Listener{{Host: "127.0.0.1", Port: 7}, {Host: "localhost", Port: 5}},
		[]Listener{{Host: "127.0.0.1", Port: 7}, {Host: "localhost", Port: 6}})
	f("-l [::1]:0", []Listener{{Host: "::1", Port: Ephemeral}}, nil)
	f("-l fe80::1%eth0", []Listener{{Host: "fe80::1%eth0", Port: 11211}}, nil)
	f("-B binary -l a,proto[negotiating]:tag[x]:b:5", []Listener{{Host: "a", Port: 11211, Protocol: Binary}, {Host: "b", Port: 5, Tag: "x"}}, nil)
	f("-Z -o ssl_chain_cert=/c -l tag[x]:notls:a,mtls:b", []Listener{{Host: "a", Port: 11211, NoTLS: true, Tag: "x"}, {Host: "b", Port: 11211, MutualTLS: true}}, nil)
	f("-l 127.0.0.11 -l 127.0.0.1", []Listener{{Host: "127.0.0.11", Port: 11211}, {Host: "127.0.0.1", Port: 11211}}, nil)
}

func TestExposed(t *testing.T) {
	f := func(line string, want bool) {
		t.Helper()
		if got := options(t, line).Exposed(); got != want {
			t.Errorf("%s: exposed %v, want %v", line, got, want)
		}
	}
	f("", true)
	f("-s /tmp/s", false)
	f("-p 0", false)
	f("-p 0 -U 5", true)
	f("-l 127.0.0.1,localhost,::1,[::ffff:127.0.0.1]:5", false)
	f("-l 127.0.0.1,10.0.0.1", true)
	f("-l example.org", true)
	f("-l *", true)
}

func TestErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		_, err := Parse(strings.Split(line, " "), nil)
		if err == nil {
			t.Errorf("%s: accepted", line)
			return
		}
		if err.Error() != want {
			t.Errorf("%s\n got: %s\nwant: %s", line, err, want)
		}
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %T is no Error of class invalid", line, err)
		}
	}
	f("-x", `"-x": there is no such option`)
	f("-v\xff", `"-ÿ": there is no such option`)
	f("--nope=1", `"--nope": there is no such option`)
	f("-p", `-p (--port): its argument is missing`)
	f("--en", `"--en": could be any of --enable-largepages, --enable-shutdown, --enable-sasl, --enable-ssl, --enable-coredumps`)
	f("--disable-cas=1", `-C (--disable-cas): takes no argument`)
	f("-p abc", `-p (--port): "abc" is not a number`)
	f("-p 65536", `-p (--port): is not a port: 1 to 65535, 0 for none, -1 for any that is free`)
	f("-c /etc/x", `-c (--conn-limit): "/etc/x" is not a number of connections (a configuration file is given with --config, alone or behind a verb)`)
	f("-o foo=1", `-o "foo": there is no such sub-option`)
	f("-o idle_timeout", `-o idle_timeout: its value is missing`)
	f("-o proxy_config=routes.lua", `-o proxy_config: there is no proxy in this server: keys would be kept here instead of being routed`)
	f("-S", `-S (--enable-sasl): MEMCACHED_SASL_PWDB must name a file of user:password lines: the databases of Cyrus SASL are not read`)
	f("-l ::1:23125", `-l (--listen): "::1:23125" is not an address; an IPv6 address with a port is written [address]:port`)
	f("-l 127.0.0.1:70000", `-l (--listen): "70000" is not a port`)
	f("-Y /f -l proto[binary]:a", `-l (--listen): with -Y (--auth-file) a listener can only speak ascii`)
	f("-D "+strings.Repeat("x", 200)+" -B "+strings.Repeat("y", 200), `-B (--protocol): "`+strings.Repeat("y", 80)+`…" is not a protocol: auto, binary or ascii`)
}

func TestIgnored(t *testing.T) {
	f := func(line string, want ...Note) {
		t.Helper()
		if d := cmp.Diff(want, options(t, line).Ignored); d != "" {
			t.Errorf("%s (-want +got)\n%s", line, d)
		}
	}
	f("-p 11211 -m 64 -c 1024 -v -C -o idle_timeout=5")
	f("-f 1.5 -f 1.6", Note{"-f (--slab-growth-factor)", "there are no slabs: an item takes what it needs"})
	f("-m 100m", Note{"-m (--memory-limit)", `only the number at the beginning of "100m" counts, as with memcached`})
	f("x -p 5", Note{`"x"`, "is no option; memcached ignores such words, too"})
	f("-o ext_path=/f:64m", Note{"-o ext_path", "there is no storage on flash: values that do not fit into memory (-m) are evicted, and nothing is written to this file"})
	f("-o ssl_key=/k", Note{"-o ssl_*", "does nothing without -Z (--enable-ssl): connections are not encrypted"})
	f("-L", Note{"-L (--enable-largepages)", "the memory for items asks for large pages always; the kernel's transparent_hugepage decides"})
	f("-Y /f -o no_lru_crawler", Note{"-o no_lru_crawler", crawlerCommands})
}

func TestCheckUser(t *testing.T) {
	if err := options(t, "-p 5").CheckUser(0); !errors.Is(err, fault.Denied) {
		t.Errorf("root without -u: %v", err)
	}
	if err := errors.Join(options(t, "-u root").CheckUser(0), options(t, "-p 5").CheckUser(1000)); err != nil {
		t.Error(err)
	}
}

func TestLooks(t *testing.T) {
	f := func(line string, want bool) {
		t.Helper()
		if got := Looks(strings.Fields(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
	for _, everup := range []string{"", "run", "check -c x", "status", "help", "version", "--help", "--version", "--config x", "--config=x", "--socket x",
		"--strict", "-c /etc/everup/cached.yaml", "-c/etc/x", "-c cached.yaml", "-c", "-c=x", "-", "--", "-x", "-z -p 1", "run -p 5", "foo -p 5"} {
		f(everup, false)
	}
	for _, memcached := range []string{"-p 11211", "-p11211", "-vvd", "-m 64 -c /etc/x", "-c 1024", "-c1024", "-c -1", "-d -m 64", "-h", "-V", "-i",
		"--port=5", "--por 5", "--conn-limit=5", "--con 5", "--en", "-u memcache", "-o modern", "-l 127.0.0.1"} {
		f(memcached, true)
	}
}

// TestUsage: whatever can be given is in the text, by its letter or word.
func TestUsage(t *testing.T) {
	var b strings.Builder
	if err := Usage(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, o := range table() {
		if !strings.Contains(text, "  -"+string(o.letter)) || !strings.Contains(text, o.long) {
			t.Errorf("-%c (--%s) is missing", o.letter, o.long)
		}
	}
	for _, s := range suboptions() {
		name := strings.TrimPrefix(s.name, "no_")
		if !strings.Contains(text, name) && !strings.HasPrefix(name, "ext_") && !strings.HasPrefix(name, "proxy_") {
			t.Errorf("-o %s is missing", s.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(strings.Join(v.args, "\n"))
	}
	f.Add("-l\ntag[a]:proto[ascii]:[::1%x]:5\n-o\next_path=a:1m:compact,=,")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		Looks(args)
		o, err := Parse(args, nil)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Option == "" || e.Msg == "" {
				t.Fatalf("%#v is not an error with an option", err)
			}
			return
		}
		if o.Action != Serve {
			return
		}
		if o.MaxItem < minItem || o.MaxItem > maxItem || o.MaxItem > o.Memory/2 || o.Threads < 1 || o.Threads > maxThreads || o.MaxConns < 1 ||
			o.Port < Ephemeral || o.Port > 65535 || o.UDPPort < Ephemeral || o.UDPPort > 65535 || o.IdleTimeout < 0 || o.SocketMode > 0o777 {
			t.Fatalf("out of range: %+v", o)
		}
		if len(o.Listen) > maxListeners || len(o.Ignored) > len(table())+len(suboptions())+maxWords+2 {
			t.Fatalf("%d listeners, %d notes", len(o.Listen), len(o.Ignored))
		}
		for _, l := range append(o.TCP(), o.UDP()...) {
			if l.Port < Ephemeral || l.Port == Off || l.Port > 65535 || strings.ContainsAny(l.Host, spaces+"\x00") {
				t.Fatalf("listener %+v", l)
			}
		}
		if n := len(o.Settings(Live{})); n != 76 {
			t.Fatalf("%d settings", n)
		}
	})
}
