package lbd

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
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
	return "dos: [{" + dos + "}]\ntrusted: [127.0.0.9]\n" + rest + `
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
