package bus

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/pki"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

func none(int64) int64 { return 0 }

func TestRole(t *testing.T) {
	start := time.Unix(0, 0)
	f := func(name string, canServe bool, script ...any) {
		t.Helper()
		r := role{canServe: canServe, jitter: none}
		now := start
		for i := 0; i < len(script); i += 2 {
			in, want := script[i].(outcome), script[i+1].(step)
			if got := r.step(now, in); got != want {
				t.Errorf("%s, line %d: outcome %d: got %+v, want %+v", name, i/2, in, got, want)
			}
			if in == outConnected {
				now = now.Add(steady)
			}
		}
	}
	const ms = time.Millisecond
	f("serves", true, outStart, step{0, actServe}, outServing, step{0, actDial}, outConnected, step{0, actHold},
		// The own connection was lost, not the server.
		outLost, step{0, actDial})
	f("client, then takes over at once", true, outStart, step{0, actServe}, outInUse, step{0, actDial}, outConnected, step{0, actHold},
		outLost, step{0, actServe}, outServing, step{0, actDial})
	f("loses the race", true, outStart, step{0, actServe}, outInUse, step{0, actDial},
		outNoAnswer, step{10 * ms, actServe}, outInUse, step{0, actDial}, outNoAnswer, step{10 * ms, actServe})
	f("a stranger is asked ever less", true, outStart, step{0, actServe}, outInUse, step{0, actDial},
		outForeign, step{125 * ms, actServe}, outInUse, step{0, actDial}, outForeign, step{250 * ms, actServe},
		outForeign, step{500 * ms, actServe}, outForeign, step{1000 * ms, actServe}, outForeign, step{1000 * ms, actServe})
	f("external", false, outStart, step{0, actDial}, outNoAnswer, step{10 * ms, actDial}, outConnected, step{0, actHold}, outLost, step{0, actDial})
}

// A connection that breaks at once does not make the daemon spin.
func TestRoleFlapping(t *testing.T) {
	r := role{canServe: true, jitter: none}
	r.step(time.Unix(0, 0), outStart)
	var waited time.Duration
	for range 200 {
		r.step(time.Unix(0, 0), outConnected)
		waited += r.step(time.Unix(0, 0), outLost).wait
	}
	if waited < 80*time.Second {
		t.Errorf("200 short connections take %s of pauses", waited)
	}
}

func TestRouteSet(t *testing.T) {
	addr := netip.MustParseAddrPort
	a, b, c := addr("10.0.0.1:6222"), addr("10.0.0.2:6222"), addr("10.0.0.3:6222")
	var r routeSet
	now := time.Unix(100, 0)
	f := func(after time.Duration, named, want []netip.AddrPort, wantAgain time.Duration) {
		t.Helper()
		now = now.Add(after)
		got, again := r.update(now, named)
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if wantAgain == 0 && !again.IsZero() || wantAgain != 0 && !again.Equal(now.Add(wantAgain)) {
			t.Errorf("again at %v, want in %s", again.Sub(now), wantAgain)
		}
	}
	type l = []netip.AddrPort
	f(0, l{b, a, b, {}}, l{a, b}, 0)
	f(time.Second, l{a}, l{a, b}, routeGrace-time.Second)
	f(time.Second, l{c, a}, l{a, b, c}, routeGrace-2*time.Second)
	f(routeGrace-time.Second, l{a}, l{a, c}, time.Second)
	f(time.Second, l{a}, l{a}, 0)
}

func TestRouteSetBound(t *testing.T) {
	var many []netip.AddrPort
	for i := range 40 {
		many = append(many, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 6222))
	}
	var r routeSet
	for now := range 5 {
		got, _ := r.update(time.Unix(int64(now), 0), many[now:])
		if len(got) != maxRoutes || !slices.Contains(got, many[now]) {
			t.Errorf("%d routes: %v", len(got), got)
		}
	}
}

func TestRingBytes(t *testing.T) {
	var r ring
	for range 200 {
		r.add(Event{Data: make(json.RawMessage, MaxData)})
	}
	if n := len(r.last(1 << 20)); n != ringBytes/MaxData {
		t.Errorf("the ring holds %d events of 64 KiB", n)
	}
}

func TestCheckRefuses(t *testing.T) {
	keys, err := pki.New("demo", "correct-horse-battery-staple")
	if err != nil {
		t.Fatal(err)
	}
	good := Env{Fleet: "demo", Node: "n", Service: "lbd"}
	withKeys := good
	withKeys.Keys = keys
	f := func(cfg Config, env Env, want string) {
		t.Helper()
		_, err := New(cfg, env)
		if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v, want a configuration error with %q", cfg, err, want)
		}
	}
	f(Config{Mode: "on"}, good, "none of")
	f(Config{Mode: "auto"}, Env{Node: "n", Service: "lbd"}, "fleet name")
	f(Config{Mode: "auto"}, Env{Fleet: "demo", Node: "N.x", Service: "lbd"}, "node name")
	f(Config{Mode: "auto", Listen: "0.0.0.0:4222"}, good, "fleet secret")
	f(Config{Mode: "auto", Listen: ":4222"}, good, "fleet secret")
	f(Config{Mode: "auto", Routes: "10.0.0.1:6222"}, good, "fleet secret")
	f(Config{Mode: "auto", Listen: "10.0.0.1:4222", Anonymous: "events"}, withKeys, "loopback")
	f(Config{Mode: "auto", Listen: "4222"}, good, "host:port")
	f(Config{Mode: "auto", Listen: "127.0.0.1:70000"}, good, "port")
	f(Config{Mode: "urls"}, good, "1 to 16")
	f(Config{Mode: "urls", URLs: []string{"http://u:hunter2@x"}}, good, "urls[0]")
	f(Config{Mode: "urls", URLs: []string{"nats://ok:4222", "nats://u:hunter2@bad host"}}, good, "urls[1]")
	for _, cfg := range []Config{{}, {Mode: "off"}, {Mode: "auto", Listen: "[::1]:4222"}, {Mode: "auto", Listen: "localhost:4222"}} {
		if _, err := New(cfg, good); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if b, err := New(Config{}, Env{Node: "n", Service: "lbd"}); err != nil || b.State() != Off {
		t.Errorf("without a cluster: %v", err)
	}
	if _, err := New(Config{Mode: "auto", Listen: ":4222"}, withKeys); err != nil {
		t.Errorf("beyond loopback with a secret: %v", err)
	}
}

func TestRedact(t *testing.T) {
	b := &Bus{cfg: settings{Config: Config{Password: "hunter2", URLs: []string{"nats://u:pa55@h:4222"}}}}
	got := b.redact(`dial "nats://u:pa55@h:4222": hunter2 and pa55 refused by nats://h2:4222`)
	want := `dial "nats://[redacted]@h:4222": [redacted] and [redacted] refused by nats://h2:4222`
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestSemver(t *testing.T) {
	for in, want := range map[string]string{"v1.2.3": "1.2.3", "1.2.3-rc1+x": "1.2.3", "": "0.0.0", "dev": "0.0.0", "v01.2.3": "0.0.0"} {
		if got := semver(in); got != want {
			t.Errorf("semver(%q) = %s, want %s", in, got, want)
		}
	}
}

func sample() Event {
	return Event{
		ID: "k3-1", Service: "lbd", Kind: "vip-active", Node: "a", Object: "vip/x",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Data: json.RawMessage(`{"n":1}`),
	}
}

func TestEventRoundTrip(t *testing.T) {
	bare := sample()
	bare.Object, bare.Data = "", nil
	for _, e := range []Event{sample(), bare} {
		got, err := decodeEvent(encodeEvent("demo", e))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e, got); d != "" {
			t.Error(d)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	f := func(what string, change func(*nats.Msg)) {
		t.Helper()
		m := encodeEvent("demo", sample())
		change(m)
		if e, err := decodeEvent(m); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	set := func(name, value string) func(*nats.Msg) {
		return func(m *nats.Msg) { m.Header.Set(name, value) }
	}
	f("no headers", func(m *nats.Msg) { m.Header = nil })
	f("another version", set(headerSpec, "0.3"))
	f("no id", set(headerID, ""))
	f("a long id", set(headerID, strings.Repeat("x", 129)))
	f("another type", set(headerType, "everup.lbd.other"))
	f("another fleet's source", set(headerSource, "/everup/other/a/lbd"))
	f("another service's source", set(headerSource, "/everup/demo/a/dnsd"))
	f("a node that is no name", set(headerSource, "/everup/demo/A B/lbd"))
	f("no time", set(headerTime, "yesterday"))
	f("a long object", set(headerSubject, strings.Repeat("x", 513)))
	f("no JSON", func(m *nats.Msg) { m.Data = []byte("{") })
	f("too large", func(m *nats.Msg) { m.Data = []byte(`"` + strings.Repeat("x", MaxData) + `"`) })
	f("another subject", func(m *nats.Msg) { m.Subject = "everup.demo.do.lbd.a.x" })
}

func FuzzDecodeEvent(f *testing.F) {
	m := encodeEvent("demo", sample())
	f.Add(m.Subject, m.Header.Get(headerType), m.Header.Get(headerSource), m.Header.Get(headerTime), "x", []byte(`{}`))
	f.Add("everup.a.event.b.c", "everup.b.c", "/everup/a/n/b", "2026-01-02T03:04:05Z", "", []byte(nil))
	f.Fuzz(func(t *testing.T, subject, typ, source, at, object string, data []byte) {
		m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
			headerSpec: {"1.0"}, headerID: {"1"}, headerType: {typ}, headerSource: {source}, headerTime: {at}, headerSubject: {object},
		}}
		e, err := decodeEvent(m)
		if err != nil {
			return
		}
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("%+v does not marshal: %v", e, err)
		}
		fleet := strings.Split(subject, ".")[1]
		again, err := decodeEvent(encodeEvent(fleet, e))
		if err != nil || !again.Time.Equal(e.Time) || again.Node != e.Node || again.Kind != e.Kind {
			t.Errorf("%+v came back as %+v, %v", e, again, err)
		}
	})
}

func FuzzStranger(f *testing.F) {
	f.Add(`INFO {"server_name":"x","cluster":"demo"}`)
	f.Add("220 smtp")
	f.Add("INFO {")
	b := &Bus{env: Env{Fleet: "demo"}}
	f.Fuzz(func(t *testing.T, line string) {
		if s := b.stranger(line, errors.New("x")); strings.ContainsAny(s, "\r\n\x00") {
			t.Errorf("%q", s)
		}
	})
}
