package lbd

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// lines waits until a file has n lines.
func lines(t *testing.T, path string, n int) []string {
	t.Helper()
	var out []string
	labtest.Eventually(t, patience, path+" is written", func() error {
		b, err := os.ReadFile(path)
		if out = strings.SplitAfter(string(b), "\n"); len(out) != n+1 {
			return errors.Join(errors.New(string(b)), err)
		}
		return nil
	})
	return out[:n]
}

// Logs change with a reload: a second one begins, in another format; a file that was moved is left behind.
func TestAccessLogChangesWithAReload(t *testing.T) {
	a := backend(t, "a")
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	log := func(text string) string {
		return "trusted: [127.0.0.0/8]\naccess_log: " + text + "\n" + poolYAML("", a.addr)
	}
	b := start(t, log("{file: "+first+"}"))
	c := client(t)
	get(t, c, b.url("/1"))
	want := `^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /1 HTTP/1\.1" 200 1 "-" "Go-http-client/1\.1" host="127\.0\.0\.1:\d+" pool=web member=` +
		regexp.QuoteMeta(a.addr) + ` retries=0 received=0 head=0\.\d{6} duration=0\.\d{6} reason=- route="routes\[0\]" id=\S+ handshake=0.000000 read=0\.\d{6} gather=0\.\d{6} queue=0.000000 connect=0\.\d{6} send=0\.\d{6} delay=0.000000` + "\n$"
	if got := lines(t, first, 1)[0]; !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("%q, want %s", got, want)
	}
	os.Rename(first, first+".1")
	b.reload(log("[{file: " + first + "}, {file: " + second + ", format: json, fields: [client, peer, path, status, header.X-Shop], sample: {2xx: 2}, slow: 0}]"))
	req, err := http.NewRequest("GET", b.url("/2"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.9")
	req.Header.Set("X-Shop", `a"b`)
	for range 3 {
		if res, err := c.Do(req); err != nil {
			t.Fatal(err)
		} else {
			res.Body.Close()
		}
	}
	if got := lines(t, first, 3)[0]; !strings.HasPrefix(got, "192.0.2.9 - - [") {
		t.Errorf("%q", got)
	}
	if got := lines(t, second, 2)[1]; got != `{"client":"192.0.2.9","peer":"127.0.0.1","path":"/2","status":200,"header.X-Shop":"a\"b"}`+"\n" {
		t.Errorf("%q", got)
	}
	lines(t, first+".1", 1)

	b.set(log("{file: /nowhere/there.log}"))
	if _, err := b.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "/nowhere/there.log: no such file") {
		t.Errorf("a log that cannot be opened: %v", err)
	}
	b.reload(poolYAML("", a.addr))
	if b.service().log.On() {
		t.Error("the log is on without a log")
	}
}

// What passes is counted by route, pool and member; counters of all survive that a route goes.
func TestTrafficIsCounted(t *testing.T) {
	a := backend(t, "a")
	yaml := "routes: [{name: deny, path: /no, deny: true}, {name: shop, path: /shop, pool: web}, {name: dead, path: /dead, pool: dead}]\n" +
		"pools:\n  web: {members: [{addr: '" + a.addr + "'}]}\n  dead: {from: {service: none}}\n"
	b := start(t, yaml)
	c := client(t)
	for _, path := range []string{"/no", "/shop", "/shop/x", "/dead", "/elsewhere"} {
		get(t, c, b.url(path))
	}
	raw(t, b.addr, "nonsense\r\n\r\n")
	raw(t, b.addr, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n")
	f := func(want ...string) {
		t.Helper()
		labtest.Eventually(t, patience, "counted", func() error {
			m := metrics(t, b)
			for _, w := range want {
				if !strings.Contains(m, "everup_lbd_"+w+"\n") {
					return errors.New("no " + w)
				}
			}
			return nil
		})
	}
	f(`route_requests_total{route="deny",class="4xx"} 1`, `route_requests_total{route="shop",class="2xx"} 2`, `route_requests_total{route="dead",class="5xx"} 1`,
		`route_requests_total{route="none",class="4xx"} 3`, `route_requests_in_flight{route="shop"} 0`, `route_requests_in_flight{route="none"} 0`,
		`requests_total{pool="web",class="2xx"} 2`, `requests_total{pool="dead",class="5xx"} 1`, `requests_total{pool="none",class="4xx"} 4`,
		`member_requests_total{pool="web",member="`+a.addr+`",class="2xx"} 2`, `member_requests_total{pool="dead",member="none",class="5xx"} 1`,
		`member_request_seconds_count{pool="web",member="`+a.addr+`"} 2`, `route_request_seconds_bucket{route="shop",le="+Inf"} 2`, `request_seconds_count{pool="none"} 4`,
		`member_requests_in_flight{pool="web",member="`+a.addr+`"} 0`, `own_answers_total{reason="no-route"} 1`, `own_answers_total{reason="no-member"} 1`, `own_answers_total{reason="deny"} 1`,
		`own_answers_total{reason="connect"} 1`)
	sent := regexp.MustCompile(`everup_lbd_sent_bytes_total \d+\n`).FindString(metrics(t, b))
	b.reload(poolYAML("", a.addr))
	if m := metrics(t, b); !strings.Contains(m, sent) || strings.Contains(m, `route="shop"`) || strings.Contains(m, `pool="dead"`) || !strings.Contains(m, `requests_total{pool="web",class="2xx"} 2`) {
		t.Errorf("%q, after the routes are gone:\n%s", sent, m)
	}
}

func TestEveryLineIsJSON(t *testing.T) {
	a := backend(t, "a")
	path := filepath.Join(t.TempDir(), "a.log")
	b := start(t, "access_log: {file: "+path+", format: json}\n"+poolYAML("", a.addr))
	raw(t, b.addr, "GET /\" HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\x80\"\\ é\r\nConnection: close\r\n\r\n")
	raw(t, b.addr, "G\x00T /\r\n\r\n")
	raw(t, b.addr, "GET / HTTP/1.1\r\nX: \x01\r\n\r\n")
	for _, l := range lines(t, path, 3) {
		var v map[string]any
		if err := json.Unmarshal([]byte(l), &v); err != nil || v["client"] != "127.0.0.1" || v["status"] == nil || v["duration"] == nil {
			t.Errorf("%q: %v", l, err)
		}
	}
}
