package lbd

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
)

const maintained = `maintenance: {exempt: 192.0.2.0/24, retry_after: 2m, page: {html: "back in {{retry_after}} s"}}
trusted: [127.0.0.0/8]
routes:
  - {name: fixed, path: /fixed, answer: {body: "fixed"}}
  - {name: shop, path: /shop, pool: web}
  - {name: both, path: /both, maintenance: true, pool: web}
  - {path: /deny, deny: true}
  - {pool: web}
pools:
  web: {members: [{addr: '%'}]}
  both: {from: {service: nobody}}
`

// TestMaintenance: what is switched by the configuration and by command, seen from outside.
func TestMaintenance(t *testing.T) {
	web := backend(t, "web")
	yaml := strings.ReplaceAll(maintained, "%", web.addr)
	b := start(t, yaml)
	var client1 = client(t)
	f := func(path string, status int, forwarded string) http.Header {
		t.Helper()
		req, _ := http.NewRequest("GET", b.url(path), nil)
		req.Header.Set("Accept", "text/html")
		req.Header.Set("X-Forwarded-For", forwarded)
		res, err := client1.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body := make([]byte, 100)
		n, _ := res.Body.Read(body)
		if res.StatusCode != status || status == 503 && string(body[:n]) != "back in "+res.Header.Get("Retry-After")+" s" {
			t.Errorf("%s: %d %q", path, res.StatusCode, body[:n])
		}
		return res.Header
	}
	run := func(code int, want string, args ...string) {
		t.Helper()
		var out, errs strings.Builder
		got := cli.Execute(t.Context(), daemon.Command(Spec()), append([]string{"maintenance", "--socket", socketOf(b)}, args...), &out, &errs)
		if got != code || !strings.Contains(out.String()+errs.String(), want) {
			t.Errorf("%v: %d %q %q", args, got, out.String(), errs.String())
		}
	}
	const other = "198.51.100.1"
	f("/both", 503, other)
	f("/both", 200, "192.0.2.7") // exempt
	f("/shop", 200, other)
	run(0, "route/both  on")

	run(0, "route/shop  on", "on", "shop", "--reason", "new shelves", "--for", "1h")
	if after := f("/shop", 503, other).Get("Retry-After"); !within(after, 3500, 3600) {
		t.Errorf("Retry-After %s", after)
	}
	f("/", 200, other)
	run(0, "route/both  on", "off", "shop")
	f("/shop", 200, other)

	run(0, "pool/web", "on", "pool/web")
	if after := f("/shop", 503, other).Get("Retry-After"); after != "120" {
		t.Errorf("Retry-After %s", after)
	}
	f("/", 503, other)
	f("/fixed", 200, other)
	f("/deny", 403, other)
	run(0, "route/both  on", "off", "web")

	run(0, "site", "on")
	f("/fixed", 503, other)
	f("/deny", 403, other)
	run(0, "", "off")
	f("/fixed", 200, other)

	run(3, "no route and no pool", "on", "nothing")
	run(2, "is a route and a pool", "on", "both")
	run(3, "is not under maintenance", "off", "fixed")
	run(2, "is no time", "on", "fixed", "--until", "noon")

	run(0, "route/both  off", "off", "route/both") // over the configuration
	f("/both", 200, other)
	b.reload(yaml)
	f("/both", 200, other)
	run(0, "route/both  on", "on", "route/both")
	f("/both", 503, other)
}

// TestMaintenanceLasts: a switch outlives the daemon, until it expires.
func TestMaintenanceLasts(t *testing.T) {
	web := backend(t, "web")
	dir := t.TempDir()
	b := startIn(t, dir, strings.ReplaceAll(maintained, "%", web.addr))
	if _, err := b.service().maintain(MaintenanceChange{Object: "shop", On: true, Until: time.Now().Add(time.Hour)}, "test"); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b = startIn(t, dir, strings.ReplaceAll(maintained, "%", web.addr))
	c := client(t)
	if status, _ := get(t, c, b.url("/shop")); status != 503 {
		t.Errorf("after a restart: %d", status)
	}
	b.service().refreshMaintenance(time.Now().Add(2 * time.Hour))
	if status, _ := get(t, c, b.url("/shop")); status != 200 {
		t.Errorf("after the end: %d", status)
	}
	if _, err := b.service().maintain(MaintenanceChange{On: true, Until: time.Now().Add(-time.Hour)}, "test"); err == nil {
		t.Error("an end in the past is taken")
	}
}

func within(s string, low, high int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= low && n <= high
}

// TestEndOf: what --until and --for mean.
func TestEndOf(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 30, 0, 0, time.FixedZone("x", 3600))
	f := func(until string, lasts time.Duration, want string) {
		t.Helper()
		got, err := endOf(now, until, lasts)
		text := ""
		if err == nil && !got.IsZero() {
			text = got.Format(time.RFC3339)
		}
		if text != want {
			t.Errorf("%q %v: %s, %v", until, lasts, text, err)
		}
	}
	f("", 0, "")
	f("", time.Hour, "2026-11-23T10:30:00+01:00")
	f("10:00", 0, "2026-11-23T10:00:00+01:00")
	f("09:30", 0, "2026-11-24T09:30:00+01:00")
	f("2026-12-01T08:00", 0, "2026-12-01T08:00:00+01:00")
	f("2026-12-01T08:00:00Z", 0, "2026-12-01T08:00:00Z")
	f("noon", 0, "")
	f("", -1, "")
}
