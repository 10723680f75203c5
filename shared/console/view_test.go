package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/member"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// daemonOf makes a member that is well.
func daemonOf(node, service string, ports ...string) member.Member {
	m := member.Member{
		ID: member.ID(node + "/" + service), Node: node, Service: service, Zone: "rack-1", Version: "v0.1.0",
		State: member.Alive, Since: ago(26 * time.Hour),
	}
	m.Weight, m.Load = 100, member.Load{CPU: 23, IOWait: 1, Mem: 48, Disk: 61}
	for _, p := range ports {
		m.Endpoints = append(m.Endpoints, member.Endpoint{Name: service, Proto: "tcp", Addr: netip.MustParseAddrPort(p)})
	}
	return m
}

// answer prints what a daemon answers; more holds further fields as JSON, which may replace those before it.
func answer(node, service, more string) json.RawMessage {
	since, _ := json.Marshal(ago(26 * time.Hour))
	return json.RawMessage(fmt.Sprintf(`{"node":%q,"service":%q,"version":{"version":"v0.1.0"},"since":%s,"ready":true,"worst":"ok","bus":"client"%s}`,
		node, service, since, more))
}

func calm() Fleet {
	return Fleet{
		Fleet: "shop", Asked: "web1/lbd",
		Members: []member.Member{daemonOf("db1", "cached", "10.0.0.11:11211"), daemonOf("web1", "lbd", "10.0.0.1:80", "10.0.0.1:443")},
		Daemons: []json.RawMessage{
			answer("db1", "cached", `,"detail":{"summary":[{"name":"hit ratio","value":"93.1 % in 1m"},{"name":"","value":"\u003cb\u003e"}]}`),
			answer("web1", "lbd", `,"detail":{"pools":[{"name":"web","balance":"least","members":[
				{"addr":"10.0.0.21:8080","state":"up","weight":100,"active":3},{"addr":"10.0.0.22:8080","state":"up","weight":50,"active":1}]}]}`),
		},
	}
}

// trouble is a fleet with one of each kind of trouble, some of it hostile.
func trouble() Fleet {
	f := calm()
	dead := daemonOf("web2", "lbd", "10.0.0.2:80")
	dead.State, dead.Since = member.Dead, ago(12*time.Minute)
	left := daemonOf("web3", "dnsd")
	left.State, left.Since = member.Left, ago(3*time.Hour)
	quiet := daemonOf("db2", "logd", "[fd77::2]:514")
	quiet.Load = member.Load{}
	busy := daemonOf("db2", "storaged", "10.0.0.12:8081")
	busy.Load = member.Load{CPU: 97, IOWait: 55, Mem: 91, Disk: 99}
	busy.Health = health.Fail
	drains := daemonOf("web1", "cached")
	drains.Draining, drains.Weight = true, 10
	evil := daemonOf("web1", "dnsd")
	evil.Zone, evil.Version = "<script>alert(1)</script>", "v\u202e1\x1b[31m"
	f.Members = append(f.Members, dead, left, quiet, busy, drains, evil)
	f.Silent = []member.ID{"db2/logd"}
	f.Daemons = []json.RawMessage{
		answer("db1", "cached", ""),
		answer("web1", "lbd", `,"worst":"warn","health":[
			{"id":"lbd.pool.few","title":"a pool has few members left","level":"warn","detail":"web: 1 of 4","hint":"see why the members are down","since":"2026-11-22T11:55:00Z","count":2},
			{"id":"config.rejected","level":"ok"}],
			"detail":{"pools":[{"pool":"web","balance":"hash","members":[
				{"member":"10.0.0.21:8080","state":"up","weight":100,"active":3},
				{"member":"10.0.0.22:8080","state":"down","weight":100,"active":0,"detail":"<b>refused</b>"},
				{"member":"[fd77::23]:8080","state":"up","weight":100,"drained":true},
				{"member":"10.0.0.24:8080","state":"unknown"}]}]}`),
		answer("db2", "storaged", `,"ready":false,"worst":"fail","reasons":["the disk is full"],"health":[
			{"id":"storaged.disk.full","title":"no space is left","level":"fail","detail":"/var/lib/everup/storaged: 99 % used","hint":"delete objects or add a disk","since":"2026-11-22T09:40:00Z","gates":true}]`),
		answer("web1", "cached", ""),
		answer("web1", "dnsd", `,"ready":false,"reasons":["<img src=x onerror=alert(1)>"],"version":{"version":"v\u202e1\u001b[31m"}`),
		answer("stray", "logd", `,"worst":"unheard-of"`),
		json.RawMessage(`{"node":3}`),
		json.RawMessage(`not JSON`),
	}
	return f
}

func someEvents() []bus.Event {
	e := func(n int, node, service, kind, object, data string) bus.Event {
		return bus.Event{
			ID: fmt.Sprintf("x-%d", n), Node: node, Service: service, Kind: kind, Object: object,
			Time: ago(time.Hour).Add(time.Duration(n) * time.Minute), Data: json.RawMessage(data),
		}
	}
	return []bus.Event{
		e(1, "web1", "lbd", "daemon-ready", "", `{"after_ms":12}`),
		e(2, "web1", "lbd", "pool-member-down", "pool/web/10.0.0.22:8080", `{"detail":"<b>refused</b> `+strings.Repeat("x", 600)+`"}`),
		e(3, "web1", "dnsd", "zone-changed", "zone/\u202egro.elpmaxe", "null"),
	}
}

// hashes are those in the names of assets.
var hashes = regexp.MustCompile(`\.[0-9a-f]{12}\.`)

// pageOf renders the page as it would be served at noon.
func pageOf(t *testing.T, f Fleet, err error, events []bus.Event) string {
	t.Helper()
	var b bytes.Buffer
	if err := parsePages(loadAssets()).write(&b, Build(noon, f, err), events, "/run/everup/lbd.sock", "test.0.0"); err != nil {
		t.Fatal(err)
	}
	return hashes.ReplaceAllString(b.String(), ".HASH.")
}

func TestPage(t *testing.T) {
	labtest.Golden(t, "calm.html", pageOf(t, calm(), nil, nil))
	labtest.Golden(t, "trouble.html", pageOf(t, trouble(), nil, someEvents()))
	labtest.Golden(t, "unknown.html", pageOf(t, Fleet{}, fault.New(fault.Timeout, "the bus\x1b[31m does not answer"), nil))
}

// TestHostileText looks for what a text from elsewhere must never become.
func TestHostileText(t *testing.T) {
	got := pageOf(t, trouble(), nil, someEvents())
	for _, bad := range []string{"<script>alert", "<img", "<b>refused", "\x1b", "\u202e"} {
		if strings.Contains(got, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func TestViewOrder(t *testing.T) {
	v := Build(noon, trouble(), nil)
	var got []string
	for _, f := range v.Findings {
		got = append(got, f.Level+" "+f.Anchor)
	}
	want := []string{
		"fail wrong/web2/lbd/dead", "fail wrong/db2/storaged/storaged.disk.full", "fail wrong/web1/dnsd/not-ready",
		"warn wrong/web1/lbd/lbd.pool.few", "warn wrong/answers", "warn wrong/db2/logd/silent",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("findings:\n%s\nwant:\n%s", g, w)
	}
	if v.Level != "fail" || v.Alive != 7 || v.Left != 1 {
		t.Errorf("level %s, %d alive, %d left", v.Level, v.Alive, v.Left)
	}
}

// What a member tells by gossip stands in for what it does not answer.
func TestFiguresOfASilentMember(t *testing.T) {
	f := calm()
	f.Members[0].Figures = []member.Figure{{Name: "hit_ratio\x1b", PerMille: 931}}
	facts := func() string { return fmt.Sprint(Build(noon, f, nil).Rows[0].Facts) }
	if got := facts(); !strings.Contains(got, "{hit ratio 93.1 % in 1m}") || strings.Contains(got, "hit_ratio") {
		t.Errorf("of a member that answers: %s", got)
	}
	f.Daemons, f.Silent = f.Daemons[1:], []member.ID{"db1/cached"}
	if got := facts(); got != "[{hit_ratio· 93.1 %}]" {
		t.Errorf("of a silent member: %s", got)
	}
	f.Members[0].State = member.Dead
	if got := facts(); got != "[]" {
		t.Errorf("of a dead member: %s", got)
	}
}

func TestBounds(t *testing.T) {
	f := Fleet{Fleet: "big"}
	item := `{"id":"x%d","level":"warn"},`
	backends := strings.Repeat(`{"addr":"a"},`, 30)
	for n := range maxMembers + 7 {
		node := fmt.Sprintf("n%04d", n)
		f.Members = append(f.Members, daemonOf(node, "lbd"))
		f.Daemons = append(f.Daemons, answer(node, "lbd", `,"health":[`+fmt.Sprintf(item, n)+`{"id":"y","level":"ok"}],
			"detail":{"pools":[{"name":"p","members":[`+backends+`{"addr":"b"}]}]}`))
	}
	v := Build(noon, f, nil)
	n := 0
	for _, p := range v.Pools {
		n += len(p.Members)
	}
	if len(v.Rows) != maxMembers || len(v.Findings) != maxFindings || len(v.Pools) != maxPools || n != maxBackends || len(v.Omitted) != 4 {
		t.Errorf("%d rows, %d findings, %d pools, %d pool members, %q", len(v.Rows), len(v.Findings), len(v.Pools), n, v.Omitted)
	}
}

func TestAge(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
	f(-time.Second, "now")
	f(59*time.Second, "now")
	f(time.Minute, "1 min")
	f(59*time.Minute, "59 min")
	f(time.Hour, "1 h 0 min")
	f(24*time.Hour, "1 d 0 h")
	f(50*time.Hour+30*time.Minute, "2 d 2 h")
	if s := stamp(noon, time.Time{}); s != (Stamp{}) {
		t.Errorf("no time gives %+v", s)
	}
}

// FuzzAnswer feeds what a peer may answer.
func FuzzAnswer(f *testing.F) {
	for _, raw := range trouble().Daemons {
		f.Add([]byte(raw))
	}
	p := parsePages(loadAssets())
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := Build(noon, Fleet{Daemons: []json.RawMessage{raw}}, nil)
		s, err := p.sections(v)
		if err != nil {
			t.Fatal(err)
		}
		if all := s.Wrong + s.Members + s.Pools; strings.ContainsAny(all, "\x00\x1b\u202e") || strings.Contains(all, "<script") {
			t.Errorf("%q became %q", raw, all)
		}
	})
}
