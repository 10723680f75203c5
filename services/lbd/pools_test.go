package lbd

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// browser is a client with a cookie jar.
func browser(t *testing.T) *http.Client {
	c := client(t)
	c.Jar, _ = cookiejar.New(nil)
	return c
}

// A client stays at its member by a cookie that tells no address, also through a drain, a reload and a restart; when the member is gone it gets
// another, and a cookie that says so.
func TestSessionsStick(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	yaml := poolYAML("    sticky: {cookie: lb, same_site: strict}\n", a.addr, z.addr)
	b := start(t, yaml)
	b.waitMember(a.addr, "up")
	b.waitMember(z.addr, "up")
	c := browser(t)
	res, err := c.Get(b.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	mine, set := string(body), res.Header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "lb=") || !strings.HasSuffix(set, "; Path=/; HttpOnly; SameSite=Strict") || strings.Contains(set, "127") {
		t.Errorf("Set-Cookie %q", set)
	}
	stays := func(when, want string) {
		t.Helper()
		for range 6 {
			res, err := c.Get(b.url("/"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != want || res.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: answered by %s, Set-Cookie %q", when, body, res.Header.Get("Set-Cookie"))
			}
		}
	}
	stays("at first", mine)
	addr, other := a.addr, "z"
	if mine == "z" {
		addr, other = z.addr, "a"
	}
	b.reload(yaml)
	stays("after a reload", mine)
	b.stop()
	b = startIn(t, b.dir, yaml)
	stays("after a restart", mine)
	if out := command(b, "pool", "drain", "web", addr); !strings.Contains(out, "drained but for its sessions") {
		t.Errorf("drain printed %q", out)
	}
	stays("drained", mine)
	for range 4 {
		if _, body := get(t, client(t), b.url("/")); body != other {
			t.Errorf("a new client is at the drained %s", body)
		}
	}
	command(b, "pool", "drain", "web", addr, "--force")
	res, err = c.Get(b.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if next := res.Header.Get("Set-Cookie"); next == "" || next == set {
		t.Errorf("Set-Cookie %q at another member", next)
	}
	stays("moved", other)
	command(b, "pool", "undrain", "web", addr)
	stays("after all", other)
}

// Requests of one key go to one member, as long as it serves.
func TestHashByHeader(t *testing.T) {
	a, z, y := backend(t, "a"), backend(t, "z"), backend(t, "y")
	b := start(t, poolYAML("    balance: hash\n    hash: {key: header X-User, load_factor: 0}\n", a.addr, z.addr, y.addr))
	for _, m := range []*named{a, z, y} {
		b.waitMember(m.addr, "up")
	}
	c := client(t)
	ask := func(user int) string {
		req, _ := http.NewRequest("GET", b.url("/"), nil)
		req.Header.Set("X-User", fmt.Sprint(user))
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return string(body)
	}
	at := map[int]string{}
	seen := map[string]bool{}
	for user := range 30 {
		at[user] = ask(user)
		seen[at[user]] = true
	}
	if len(seen) != 3 {
		t.Errorf("30 users are at %v", seen)
	}
	a.Close()
	b.waitMember(a.addr, "down")
	for user, was := range at {
		if now := ask(user); was != "a" && now != was || now == "a" {
			t.Errorf("user %d went from %s to %s", user, was, now)
		}
	}
}

// What exceeds a member's room waits, by priority; what exceeds the queue, and what waits too long, is answered 503 with a reason.
func TestRequestsWaitForRoom(t *testing.T) {
	entered, finish := make(chan string, 10), make(chan struct{})
	m := serve(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- r.URL.Path
		<-finish
		io.WriteString(w, "done")
	})
	b := start(t, `reason_header: true
routes: [{path: /vip, priority: 0, pool: web}, {path: /slow, pool: web}]
pools:
  web:
    members: [{addr: "`+m+`", max_requests: 1}]
    queue: {length: 2, timeout: 20s}
`)
	b.waitMember(m, "up")
	var wg sync.WaitGroup
	c := client(t)
	ask := func(path string) {
		wg.Go(func() {
			if why := tryGet(c, b.url(path)); why != "" {
				t.Errorf("%s: %s", path, why)
			}
		})
	}
	queued := func(n int) {
		t.Helper()
		labtest.Eventually(t, patience, fmt.Sprint(n, " wait"), func() error {
			if p := b.service().poolStatus()[0]; p.Queued != n {
				return fmt.Errorf("%d wait", p.Queued)
			}
			return nil
		})
	}
	ask("/slow/1")
	if got := <-entered; got != "/slow/1" {
		t.Fatal(got)
	}
	ask("/slow/2")
	queued(1)
	ask("/vip/3")
	queued(2)
	res, err := c.Get(b.url("/vip/4"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("X-Everup-Reason") != "queue-full" {
		t.Errorf("beyond the queue: %d %s", res.StatusCode, res.Header.Get("X-Everup-Reason"))
	}
	if out := metrics(t, b); !strings.Contains(out, `everup_lbd_pool_queued{pool="web"} 2`) || !strings.Contains(out, `everup_lbd_member_requests_in_flight{pool="web",member="`+m+`"} 1`) {
		t.Errorf("metrics:\n%s", out)
	}
	finish <- struct{}{}
	if got := <-entered; got != "/vip/3" {
		t.Errorf("%s went first", got)
	}
	finish <- struct{}{}
	if got := <-entered; got != "/slow/2" {
		t.Error(got)
	}
	finish <- struct{}{}
	wg.Wait()
	queued(0)
	b.wantEvents("pool-queue-full")
	// A wait that is too long, and a client that goes away.
	b.reload(strings.Replace(b.yaml, "20s", "100ms", 1))
	ask("/slow/5")
	<-entered
	res, err = c.Get(b.url("/slow/6"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("X-Everup-Reason") != "queue-timeout" {
		t.Errorf("waited too long: %d %s", res.StatusCode, res.Header.Get("X-Everup-Reason"))
	}
	finish <- struct{}{}
	wg.Wait()
}

// wantEvents waits until events of the kinds were told.
func (b *balancer) wantEvents(kinds ...string) {
	b.t.Helper()
	labtest.Eventually(b.t, patience, fmt.Sprint("events ", kinds), func() error {
		var seen []string
		for _, e := range b.Env().Bus.Recent(1000) {
			seen = append(seen, e.Kind)
		}
		for _, k := range kinds {
			if !slices.Contains(seen, k) {
				return fmt.Errorf("%v", seen)
			}
		}
		return nil
	})
}

// The primary's death moves everybody to the backup, and its return back.
func TestBackupsServeMeanwhile(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	b := start(t, `routes: [{pool: web}]
pools:
  web:
    check: {interval: 200ms, timeout: 200ms}
    members: [{addr: "`+a.addr+`"}, {addr: "`+z.addr+`", backup: true}]
`)
	b.waitMember(a.addr, "up")
	b.waitMember(z.addr, "up")
	c := client(t)
	for range 4 {
		if _, body := get(t, c, b.url("/")); body != "a" {
			t.Errorf("answered by %s", body)
		}
	}
	a.Close()
	for range 4 {
		if code, body := get(t, c, b.url("/")); code != 200 || body != "z" {
			t.Errorf("answered %d by %s", code, body)
		}
	}
	b.waitMember(a.addr, "down")
	b.wantEvents("pool-failover")
	if out := command(b, "pool", "list"); !strings.Contains(out, "on backups") {
		t.Errorf("list printed %s", out)
	}
}

// A member that fails too much is ejected though its check passes, and shown so.
func TestAnOutlierIsEjected(t *testing.T) {
	a := backend(t, "a")
	bad := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	b := start(t, poolYAML("    failures: '500'\n    outliers: {consecutive: 3, ejection: 1m}\n", a.addr, bad))
	b.waitMember(a.addr, "up")
	b.waitMember(bad, "up")
	c := client(t)
	failed := 0
	for range 40 {
		if code, _ := get(t, c, b.url("/")); code != 200 {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("%d failed", failed)
	}
	b.wantEvents("pool-member-ejected")
	if out := command(b, "pool", "list"); !strings.Contains(out, "up, ejected") {
		t.Errorf("list printed %s", out)
	}
	if !strings.Contains(metrics(t, b), `everup_lbd_member_ejected{pool="web",member="`+bad+`"} 1`) {
		t.Error("metrics do not tell")
	}
}

// An open circuit turns requests away at once, and says why.
func TestAnOpenCircuit(t *testing.T) {
	bad := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	b := start(t, "reason_header: true\n"+poolYAML("    failures: '500'\n    breaker: {min_requests: 5, open: 1h}\n", bad))
	b.waitMember(bad, "up")
	c := client(t)
	for range 5 {
		if code, _ := get(t, c, b.url("/")); code != 500 {
			t.Errorf("status %d", code)
		}
	}
	res, err := c.Get(b.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("X-Everup-Reason") != "breaker-open" {
		t.Errorf("%d %s", res.StatusCode, res.Header.Get("X-Everup-Reason"))
	}
	b.wantEvents("pool-breaker-open", "pool-empty")
}
