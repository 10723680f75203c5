package lbd

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

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
	log := filepath.Join(t.TempDir(), "log")
	routes := "\naccess_log: {file: " + log + `, format: template, template: "$path $status $delay"}
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
	got, want := lines(t, log, 4), []string{`/much 200 0\.000000`, `/much 200 (0\.[3-9]|[1-9])`, `/slow 403 0\.000000`, `/slow 403 (0\.[3-9]|[1-9])`}
	slices.Sort(got) // a line is written behind its answer, by each loop in its own time
	for i := range want {
		if !regexp.MustCompile("^" + want[i]).MatchString(got[i]) {
			t.Errorf("%s, want %s", got[i], want[i])
		}
	}
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
