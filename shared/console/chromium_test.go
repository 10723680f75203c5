package console

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/labtest"
)

// chromium loads a page and returns the document after the scripts ran, and what the browser logged.
func chromium(t *testing.T, args ...string) (dom, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(), "--enable-logging=stderr", "--v=0",
	}, args...)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "chromium", args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 10*time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	return out.String(), errs.String()
}

// TestChromium loads the page of a fleet in trouble in a real browser: its script runs, the stream is taken, and neither the
// script nor the policy has a complaint.
func TestChromium(t *testing.T) {
	labtest.Needs(t, "chromium")
	f := &fake{fleet: calm()}
	c := newConsole(f)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	opened := make(chan struct{}, 100) // a token for each stream asked for
	page := c.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			opened <- struct{}{}
		}
		page.ServeHTTP(w, r)
	}))
	defer srv.Close()
	defer stop()
	// The page is of a calm fleet; trouble and the events come by the stream. While the stream is open the browser's virtual
	// time stands still, so that the document is printed after the stream's end and before the page asks for another.
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-opened:
		}
		f.set(trouble(), nil)
		f.emit(someEvents()...)
		late := bus.Event{ID: "late", Node: "web1", Service: "lbd", Kind: "vip-active", Time: time.Now()}
		c.feed.add(late)
		c.fleet.mu.Lock()
		c.fleet.at = time.Time{} // not to wait for the second to pass
		c.fleet.mu.Unlock()
		c.update(ctx)
		stop()
	}()
	dom, log := chromium(t, "--virtual-time-budget=2000", "--dump-dom", srv.URL+"/")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`id="member/db1/cached"`, `id="member/web2/lbd"`, "the daemon is dead", "no space is left", "pool-member-down", `id="event/web1/lbd/late"`,
		`<span id="live" role="status" class="warn">reconnecting</span>`, "<title>6 findings – shop – everup</title>",
	} {
		if !strings.Contains(dom, want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	if found := regexp.MustCompile(`(?m)^.*(CONSOLE|Content.Security.Policy|Uncaught).*$`).FindAllString(log, -1); found != nil {
		t.Errorf("the browser complains: %q", found)
	}
	if t.Failed() {
		t.Log(dom)
	}
}

// TestScreenshots keeps pictures of the page under -artifacts, for people to look at.
func TestScreenshots(t *testing.T) {
	labtest.Needs(t, "chromium")
	c := newConsole(&fake{fleet: trouble()})
	c.feed.add(someEvents()...)
	srv := httptest.NewServer(c.Handler())
	defer srv.Close()
	defer close(c.done) // nothing runs it: ends the stream
	for _, theme := range []string{"light", "dark"} {
		for _, size := range []string{"1280,1900", "390,3400"} {
			width, _, _ := strings.Cut(size, ",")
			name := filepath.Join(t.ArtifactDir(), theme+"-"+width+".png")
			args := []string{"--timeout=2500", "--window-size=" + size, "--screenshot=" + name, srv.URL + "/"}
			if theme == "dark" {
				args = append([]string{"--blink-settings=preferredColorScheme=0"}, args...)
			}
			if _, log := chromium(t, args...); !strings.Contains(log, "bytes written to file") {
				t.Errorf("%s: no picture:\n%s", name, log)
			}
		}
	}
}
