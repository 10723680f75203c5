package lbd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/labtest"
)

// clientAt returns a client that comes from an address of loopback.
func clientAt(t testing.TB, addr string) *http.Client {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true} // nothing is tried again behind our back
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// typed answers with image/png for paths that end so, else with text/html.
func typed(t testing.TB) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".png") && r.URL.Query().Has("again"):
			w.WriteHeader(http.StatusNotModified)
		case strings.HasSuffix(r.URL.Path, ".png"):
			w.Header().Set("Content-Type", "image/png")
		default:
			w.Header().Set("Content-Type", "text/html")
		}
	})
}

// answers asks for a URL so many times and returns the answers' statuses, one of several that are equal; 0: there was none.
func answers(t testing.TB, c *http.Client, url string, times int, fields ...string) string {
	t.Helper()
	var out []string
	for range times {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Set(name, value)
		}
		status := "0"
		if res, err := c.Do(req); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			status = fmt.Sprint(res.StatusCode)
		}
		if !slices.Contains(out, status) {
			out = append(out, status)
		}
	}
	return strings.Join(out, " ")
}

func dosYAML(t testing.TB, dos, rest string) string {
	return "dos: {" + dos + "}\ntrusted: [127.0.0.9]\n" + rest + `
routes:
- {dos: hard, drop: true}
- {dos: suspect, answer: {status: 429}}
- {pool: web}
pools: {web: {members: [{addr: '` + typed(t) + `'}]}}
`
}

func TestDoSLevels(t *testing.T) {
	b := start(t, dosYAML(t, "threshold: 5, hard_threshold: 10, period: 1h, ban: 1h, ignore: image/*, exempt: 127.0.0.7", ""))
	f := func(from, path string, times int, want string, fields ...string) {
		t.Helper()
		if got := answers(t, clientAt(t, from), b.url(path), times, fields...); got != want {
			t.Errorf("%d times %s from %s: %s, want %s", times, path, from, got, want)
		}
	}
	f("127.0.0.2", "/a.png", 40, "200") // what does not count
	f("127.0.0.2", "/a.png?again", 40, "304")
	f("127.0.0.2", "/", 5, "200")
	f("127.0.0.2", "/", 1, "429")
	f("127.0.0.3", "/", 1, "200") // another one
	f("127.0.0.2", "/", 4, "429")
	f("127.0.0.2", "/", 1, "0")
	f("127.0.0.2", "/a.png", 1, "0")
	f("127.0.0.7", "/", 50, "200") // exempt

	// Behind a proxy that is trusted it is the client that counts.
	f("127.0.0.9", "/", 6, "200 429", "X-Forwarded-For: 192.0.2.1")
	f("127.0.0.9", "/", 1, "200", "X-Forwarded-For: 192.0.2.2")
	f("127.0.0.3", "/", 4, "200", "X-Forwarded-For: 192.0.2.1") // this one is not believed
	f("127.0.0.3", "/", 1, "429", "X-Forwarded-For: 192.0.2.3")

	// A reload that leaves keys what they are forgets nobody; without the section all are as good as others.
	b.reload(dosYAML(t, "threshold: 5, hard_threshold: 100, period: 1h, ban: 1h, table: 2048", ""))
	f("127.0.0.2", "/", 1, "0")
	f("127.0.0.3", "/", 1, "429")
	b.reload("routes: [{pool: web}]\npools: {web: {members: [{addr: '" + typed(t) + "'}]}}\n")
	f("127.0.0.2", "/", 1, "200")
}

// Many images at once, whose answers have not come yet, make nobody suspect for good.
func TestDoSImagesAtOnce(t *testing.T) {
	const n = 20
	var all sync.WaitGroup
	all.Add(n)
	images := serve(t, func(w http.ResponseWriter, r *http.Request) {
		all.Done()
		all.Wait() // no answer before all were asked for
		w.Header().Set("Content-Type", "image/png")
	})
	b := start(t, "dos: {threshold: 5, period: 1h, ban: 1h, ignore: image/*}\nroutes: [{pool: web}]\npools: {web: {members: [{addr: '"+images+"'}]}}\n")
	c := clientAt(t, "127.0.0.2")
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if got := answers(t, c, b.url("/a.png"), 1); got != "200" {
				t.Errorf("an image: %s", got)
			}
		})
	}
	wg.Wait()
	if st := b.service().DoS(); len(st.Clients) != 0 {
		t.Errorf("held are %+v", st.Clients)
	}
}

func TestDoSByHeader(t *testing.T) {
	b := start(t, dosYAML(t, "threshold: 2, period: 1h, header: X-Api-Key", ""))
	c := clientAt(t, "127.0.0.2")
	for _, key := range []string{"X-Api-Key: a", "X-Api-Key: b", "X-None: c"} {
		if got := answers(t, c, b.url("/"), 2, key); got != "200" {
			t.Errorf("%s: %s", key, got)
		}
	}
	if got := answers(t, c, b.url("/"), 1, "X-Api-Key: a"); got != "429" {
		t.Errorf("the third: %s", got)
	}
	st := b.service().DoS()
	if len(st.Clients) != 1 || st.Clients[0].Client.String() != "value:ca978112ca1bbdcafac231b39a23dc4d" {
		t.Errorf("held are %+v", st.Clients)
	}
}

// dosCommand runs a command of the program, in this process.
func dosCommand(t *testing.T, socket string, args ...string) (code int, out string) {
	var stdout, stderr strings.Builder
	code = cli.Execute(t.Context(), daemon.Command(Spec()), append(args, "--socket", socket), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

func TestDoSCommands(t *testing.T) {
	b := start(t, dosYAML(t, "threshold: 5, period: 1h, exempt: 127.0.0.7", ""))
	f := func(want string, code int, args ...string) {
		t.Helper()
		got, out := dosCommand(t, socketOf(b), append([]string{"dos"}, args...)...)
		if got != code || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("dos %v: code %d, %s", args, got, out)
		}
	}
	f("127.0.0.2 hard 10m 0 manual default", 0, "ban", "127.0.0.2", "--for", "10m", "--reason", "test")
	f("2001:db8::/64 suspect 5m 0 manual", 0, "ban", "2001:db8::1", "--level", "suspect")
	if got := answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 1); got != "0" {
		t.Errorf("one who is held by hand: %s", got)
	}
	f(`"client": "127.0.0.2", "level": "hard", "left": "10m", "requests": 1, "by": "manual", "detector": "default"`, 0, "list", "-o", "json")
	f("127.0.0.7 is exempt", 2, "ban", "127.0.0.7")
	f("is no address", 2, "ban", "x")
	f("neither suspect nor hard", 2, "ban", "127.0.0.2", "--level", "x")
	f("must be from 1s to 24h", 2, "ban", "127.0.0.2", "--for", "25h")
	f("2001:db8::/64", 0, "unban", "127.0.0.2")
	f("is held for nothing", 3, "unban", "127.0.0.2")
	if got := answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 1); got != "200" {
		t.Errorf("one who was let go: %s", got)
	}
	b.reload("routes: [{answer: {status: 200}}]\n")
	f("no section dos", 0, "list")
	f("no section dos", 1, "ban", "127.0.0.2")
}

// Several detectors, each with its own conditions and keys.
func TestSeveralDetectors(t *testing.T) {
	routes := `
routes:
- {path: /login, dos: {login: suspect}, answer: {status: 403}}
- {dos: {keys: suspect}, answer: {status: 402}}
- {dos: suspect, answer: {status: 429}}
- {pool: web}
pools: {web: {members: [{addr: '` + typed(t) + `'}]}}
`
	detectors := `dos:
- {threshold: 10, period: 1h, ban: 1h, ignore: image/*, ipv4: 24, not: {path: /login}}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login, method: [GET, POST]}}
- {name: keys, threshold: 3, period: 1h, ban: 1h, header: X-Api-Key, when: {header: {X-Api-Key: "*"}}, ignore: image/*}
`
	b := start(t, detectors+routes)
	f := func(from, path string, times int, want string, fields ...string) {
		t.Helper()
		if got := answers(t, clientAt(t, from), b.url(path), times, fields...); got != want {
			t.Errorf("%d times %s from %s: %s, want %s", times, path, from, got, want)
		}
	}
	f("127.0.0.2", "/login", 2, "200")
	f("127.0.0.2", "/", 5, "200") // does not count for login
	f("127.0.0.2", "/login", 1, "403")
	f("127.0.0.2", "/", 1, "429") // whoever is suspect to one is so for all that does not say of whom
	f("127.0.0.3", "/login", 1, "200")
	f("127.0.0.3", "/", 4, "200") // the tenth of the network: login's 429 has counted
	f("127.0.0.4", "/", 1, "429")
	f("127.0.0.4", "/login", 1, "429")

	f("127.0.1.2", "/a.png", 19, "200", "X-Api-Key: a") // taken back by both
	f("127.0.1.2", "/", 3, "200", "X-Api-Key: a")
	f("127.0.1.2", "/", 1, "402", "X-Api-Key: a")
	f("127.0.2.2", "/", 1, "402", "X-Api-Key: a") // the key is the same
	f("127.0.2.2", "/", 1, "200", "X-Api-Key: b")

	var rows []string
	for _, o := range b.service().DoS().Clients {
		rows = append(rows, o.Client.String()+" "+o.Detector)
	}
	slices.Sort(rows)
	if want := []string{"127.0.0.0/24 default", "127.0.0.2 login", "value:ca978112ca1bbdcafac231b39a23dc4d keys"}; !slices.Equal(rows, want) {
		t.Errorf("held are %q", rows)
	}
	text := metrics(t, b)
	for _, want := range []string{
		`everup_lbd_dos_suspects{detector="default"} 1`, `everup_lbd_dos_suspects{detector="login"} 1`, `everup_lbd_dos_suspects_total{detector="keys"} 1`,
		`everup_lbd_dos_room{detector="keys"} 65536`, `everup_lbd_dos_tracked{detector="keys"} 2`, `everup_lbd_dos_hard{detector="keys"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no metric %s in\n%s", want, linesWith(text, "_dos_"))
		}
	}

	// By hand: where nothing else is said by the default one; let go by all.
	f2 := func(want string, code int, args ...string) {
		t.Helper()
		got, out := dosCommand(t, socketOf(b), append([]string{"dos"}, args...)...)
		if got != code || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("dos %v: code %d, %s", args, got, out)
		}
	}
	f2("127.0.9.0/24 hard 1h 0 manual default", 0, "ban", "127.0.9.1")
	f2("127.0.9.1 hard 1h 0 manual login", 0, "ban", "127.0.9.1", "--detector", "login")
	f2("no detector \"x\", but default, login, keys", 3, "ban", "127.0.9.1", "--detector", "x")
	f2("127.0.9.0/24 hard", 0, "unban", "127.0.9.1", "--detector", "login")
	f2("held for nothing", 3, "unban", "127.0.9.1", "--detector", "login")
	f2("127.0.0.2 suspect", 0, "unban", "127.0.9.1")

	// A reload that takes one out, and turns the others round, leaves those what they hold.
	b.reload(`dos:
- {name: keys, threshold: 3, period: 1h, ban: 1h, header: X-Api-Key, when: {header: {X-Api-Key: "*"}}}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login}}
` + routes)
	f("127.0.0.3", "/", 1, "200")
	f("127.0.2.2", "/", 1, "402", "X-Api-Key: a")
	f("127.0.0.2", "/login", 1, "403")
	f2("which detector is meant: keys, login?", 2, "ban", "127.0.9.1")
}

func TestLimits(t *testing.T) {
	yaml := func(requests int) string {
		return fmt.Sprintf(`
routes:
- {path: /dry, limit: {name: dry, requests: 1, per: 1h, dry_run: true}, answer: {status: 200}}
- {path: /drop, limit: {requests: 1, per: 1h, action: drop}, answer: {status: 200}}
- {path: /tag, limit: {requests: 1, per: 1h, action: tag, tag: much}}
- {tagged: much, answer: {status: 503}}
- {name: api, path: /api, limit: {requests: %d, per: 1h, key: $(header.X-Key), tell: true}, answer: {status: 200}}
- {limit: {requests: 2, per: 1h}, answer: {status: 200}}
`, requests)
	}
	b := start(t, yaml(2))
	f := func(from, path string, times int, want string, fields ...string) {
		t.Helper()
		if got := answers(t, clientAt(t, from), b.url(path), times, fields...); got != want {
			t.Errorf("%d times %s from %s: %s, want %s", times, path, from, got, want)
		}
	}
	f("127.0.0.2", "/dry", 5, "200")
	f("127.0.0.2", "/drop", 2, "200 0")
	f("127.0.0.2", "/tag", 1, "200") // by the last route
	f("127.0.0.2", "/tag", 1, "503")
	f("127.0.0.2", "/", 2, "200 429")
	f("127.0.0.3", "/", 3, "200 429")
	f("127.0.0.3", "/api", 9, "200")
	f("127.0.0.3", "/api", 3, "200 429", "X-Key: a")
	f("127.0.0.4", "/api", 1, "429", "X-Key: a")
	f("127.0.0.4", "/api", 1, "200", "X-Key: b")
	f("127.0.0.4", "/api", 1, "200", "X-Key: c")
	req, _ := http.NewRequest("GET", b.url("/api"), nil)
	req.Header.Set("X-Key", "a")
	res, err := clientAt(t, "127.0.0.2").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for name, want := range map[string]string{"Retry-After": "1800", "RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Policy": "2;w=3600"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// What was counted outlives a reload that changes the rate.
	b.reload(yaml(4))
	f("127.0.0.2", "/api", 2, "200", "X-Key: c") // half of the new four are left
	f("127.0.0.2", "/api", 1, "429", "X-Key: c")
	f("127.0.0.2", "/", 1, "429")
	for _, want := range []string{
		`everup_lbd_limited_total{limit="dry",action="dry-run"} 4`, `everup_lbd_limited_total{limit="routes[1].limit[0]",action="drop"} 1`,
		`everup_lbd_limited_total{limit="routes[2].limit[0]",action="tag"} 1`, `everup_lbd_limited_total{limit="api.limit[0]",action="refuse"} 4`,
	} {
		if text := metrics(t, b); !strings.Contains(text, want) {
			t.Errorf("no metric %s in\n%s", want, linesWith(text, "limited_total"))
		}
	}
}

func linesWith(text, part string) string {
	var out []string
	for l := range strings.Lines(text) {
		if strings.Contains(l, part) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "")
}

func TestTarpit(t *testing.T) {
	const pause = 300 * time.Millisecond
	routes := `
routes:
- {path: /slow, tarpit: 300ms, deny: true}
- {path: /much, limit: {requests: 1, per: 1h, action: tarpit, delay: 300ms}, answer: {status: 200}}
`
	b := start(t, routes)
	f := func(path, want string, least, most time.Duration) {
		t.Helper()
		began := time.Now()
		if got := answers(t, clientAt(t, "127.0.0.2"), b.url(path), 1); got != want {
			t.Errorf("%s: %s", path, got)
		}
		if took := time.Since(began); took < least || took > most {
			t.Errorf("%s took %v", path, took)
		}
	}
	f("/slow", "403", pause, patience)
	f("/much", "200", 0, patience)
	f("/much", "200", pause, patience)
	b.reload("tarpits: 0\n" + strings.ReplaceAll(routes, "300ms", "1m"))
	f("/slow", "403", 0, patience) // nobody waits
	text := metrics(t, b)
	for _, want := range []string{"everup_lbd_tarpit_total 2\n", "everup_lbd_tarpit_full_total 1\n", "everup_lbd_tarpit_waiting 0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, linesWith(text, "tarpit"))
		}
	}
}

func TestSourcesConnections(t *testing.T) {
	b := start(t, "trusted: [127.0.0.9]\nsources: {connections: 2, exempt: 127.0.0.7}\nroutes: [{answer: {status: 204}}]\n")
	open := func(from string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
		c, err := d.Dial("tcp", b.addr)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		_, err = c.Read(make([]byte, 100))
		return c, err
	}
	var mine []net.Conn
	for i, from := range []string{"127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.7", "127.0.0.7", "127.0.0.7", "127.0.0.9", "127.0.0.9", "127.0.0.9"} {
		c, err := open(from)
		if err != nil {
			t.Fatalf("connection %d, from %s: %v", i, from, err)
		}
		mine = append(mine, c)
	}
	if _, err := open("127.0.0.2"); err == nil {
		t.Error("a third connection is let in")
	}
	if n := b.service().guards.connections.Refused(); n != 1 {
		t.Errorf("%d refused", n)
	}
	mine[0].Close()
	labtest.Eventually(t, patience, "there is room again", func() error {
		c, err := open("127.0.0.2")
		if err == nil {
			c.Close()
		}
		return err
	})
}

func TestSourcesRequests(t *testing.T) {
	begun, end := make(chan struct{}, 10), make(chan struct{})
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-end
	})
	release := sync.OnceFunc(func() { close(end) })
	t.Cleanup(release) // before the server ends
	b := start(t, "trusted: [127.0.0.9]\nsources: {requests: 2}\nroutes: [{pool: web}]\npools: {web: {members: [{addr: '"+slow+"'}]}}\n")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if got := answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 1); got != "200" {
				t.Errorf("a request: %s", got)
			}
		})
		<-begun
	}
	if got := answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 2); got != "429" {
		t.Errorf("a third request: %s", got)
	}
	if got := answers(t, clientAt(t, "127.0.0.9"), b.url("/"), 1, "X-Forwarded-For: 127.0.0.2"); got != "429" {
		t.Errorf("a third request by a proxy: %s", got)
	}
	release()
	wg.Wait()
	none := func() {
		t.Helper()
		labtest.Eventually(t, patience, "no request is open", func() error { // a request is over after its answer has come
			if n := b.service().guards.requests.Keys(); n != 0 {
				return fmt.Errorf("%d sources have requests open", n)
			}
			return nil
		})
	}
	none()
	if got := answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 1); got != "200" {
		t.Errorf("later: %s", got)
	}
	none()
}

// TestDoSEvents: one event for a level that rises, and not more of one client than a few a minute.
func TestDoSEvents(t *testing.T) {
	b := start(t, dosYAML(t, "threshold: 1, hard_threshold: 2, period: 1h", ""))
	events := make(chan bus.Event, 100)
	cancel, err := b.Env().Bus.Subscribe("lbd", kindSuspect, func(e bus.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	next := func(object, level string) {
		t.Helper()
		select {
		case e := <-events:
			var s struct{ Client, Level, By string }
			if err := json.Unmarshal(e.Data, &s); err != nil || e.Object != object || e.Object != "client/"+s.Client || s.Level != level || s.By != "counted" {
				t.Errorf("event %s %s", e.Object, e.Data)
			}
		case <-time.After(patience):
			t.Fatal("no event")
		}
	}
	answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 3)
	next("client/127.0.0.2", "suspect")
	next("client/127.0.0.2", "hard")
	for range 5 {
		b.service().unban(Ban{Client: "127.0.0.2"}, "test")
		answers(t, clientAt(t, "127.0.0.2"), b.url("/"), 3)
	}
	answers(t, clientAt(t, "127.0.0.3"), b.url("/"), 2)
	next("client/127.0.0.3", "suspect")
}

// TestDoSInAFleet runs two programs of a fleet: who is suspect to one is so to the other, as far as that one does not exempt it.
func TestDoSInAFleet(t *testing.T) {
	program := labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd")
	gossip := labtest.FreeAddr(t)
	a := startNode(t, program, "n1", gossip, gossip, "127.0.0.200")
	z := startNode(t, program, "n2", labtest.FreeAddr(t), gossip, "127.0.0.7")
	f := func(p *node, from string, times int, want string) {
		t.Helper()
		if got := answers(t, clientAt(t, from), p.url, times); got != want {
			t.Errorf("%s from %s: %s, want %s", p.name, from, got, want)
		}
	}
	// Hold somebody again and again until the other has heard of one: then the buses have met.
	i := 0
	labtest.Eventually(t, patience, "the buses to meet", func() error {
		i++
		if code, out := dosCommand(t, a.socket, "dos", "ban", fmt.Sprintf("192.0.2.%d", i%250), "--for", "1h"); code != 0 {
			return fmt.Errorf("ban: %s", out)
		}
		if _, out := dosCommand(t, z.socket, "dos", "list"); !strings.Contains(out, "192.0.2.") {
			return fmt.Errorf("n2 holds\n%s", out)
		}
		return nil
	})
	f(z, "127.0.0.2", 1, "200")
	f(a, "127.0.0.2", 6, "200 429")
	f(a, "127.0.0.7", 6, "200 429")
	holds := func(p *node, want ...string) {
		t.Helper()
		labtest.Eventually(t, patience, p.name+" holds "+strings.Join(want, ", "), func() error {
			_, out := dosCommand(t, p.socket, "dos", "list")
			var have []string
			for l := range strings.Lines(out) {
				if w := strings.Fields(l); len(w) == 6 && strings.HasPrefix(w[0], "127.") {
					have = append(have, w[0]+" "+w[1]+" "+w[4]+" "+w[5])
				}
			}
			slices.Sort(have)
			if !slices.Equal(have, want) {
				return fmt.Errorf("it holds\n%s", out)
			}
			return nil
		})
	}
	holds(a, "127.0.0.2 suspect counted default", "127.0.0.7 suspect counted default")
	holds(z, "127.0.0.2 suspect shared default")
	f(z, "127.0.0.2", 1, "429")
	f(z, "127.0.0.7", 3, "200") // exempt there
	// A detector is told by its name.
	login := clientAt(t, "127.0.0.3")
	if got := answers(t, login, a.url+"login", 3); got != "200 403" {
		t.Errorf("logins: %s", got)
	}
	holds(z, "127.0.0.2 suspect shared default", "127.0.0.3 suspect shared login")
	if got := answers(t, login, z.url, 1) + " " + answers(t, login, z.url+"login", 1); got != "429 403" {
		t.Errorf("one who has logged in too often elsewhere: %s", got)
	}
	if code, out := dosCommand(t, a.socket, "dos", "unban", "127.0.0.3"); code != 0 {
		t.Errorf("unban: %s", out)
	}
	holds(z, "127.0.0.2 suspect shared default")
	if code, out := dosCommand(t, z.socket, "dos", "unban", "127.0.0.2"); code != 0 {
		t.Errorf("unban: %s", out)
	}
	holds(a, "127.0.0.7 suspect counted default")
	f(a, "127.0.0.2", 3, "200")
}

// node is an lbd in a process of its own.
type node struct{ name, socket, url string }

func startNode(t *testing.T, program, name, gossip, join, exempt string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "lbd") // short, for the socket's sake
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen := labtest.FreeAddr(t)
	p := &node{name, filepath.Join(dir, "sock"), "http://" + listen + "/"}
	file := filepath.Join(dir, "lbd.yaml")
	text := fmt.Sprintf(`node: %s
state: %s/state
admin: {socket: %s}
cluster: {fleet: demo, listen: '%s', join: ['%s'], secrets: ['0123456789abcdef0123'], timing: fast}
bus: {listen: '%s', routes: '%s'}
listen: ['%s']
dos:
- {threshold: 5, hard_threshold: 100, period: 1h, ban: 1h, exempt: %s, not: {path: /login}}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login}}
routes:
- {path: /login, dos: {login: suspect}, deny: true}
- {dos: [suspect, hard], answer: {status: 429}}
- {answer: {status: 200}}
`, name, dir, p.socket, gossip, join, labtest.FreeAddr(t), labtest.FreeAddr(t), listen, exempt)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runDaemon(t, program, "run", "-c", file)
	labtest.Eventually(t, patience, name+" is ready", func() error {
		res, err := clientAt(t, "127.0.0.99").Get(p.url)
		if err == nil {
			res.Body.Close()
		}
		return err
	})
	return p
}

// runDaemon runs a program until the test ends.
func runDaemon(t *testing.T, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(args, " "), out.Bytes())
		}
	})
}
