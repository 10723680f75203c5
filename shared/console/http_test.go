package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

// fake is a source whose fleet and events a test sets.
type fake struct {
	mu     sync.Mutex
	fleet  Fleet
	err    error
	recent []bus.Event
	see    func(bus.Event)
	asked  atomic.Int32
}

func (f *fake) set(fl Fleet, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fleet, f.err = fl, err
}

func (f *fake) emit(events ...bus.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		if f.see != nil {
			f.see(e)
		}
	}
}

func (f *fake) source() Source {
	return Source{
		Fleet: func(context.Context) (Fleet, error) {
			f.asked.Add(1)
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.fleet, f.err
		},
		Subscribe: func(see func(bus.Event)) (func(), error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.see = see
			return func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.see = nil
			}, nil
		},
		Recent: func(n int) []bus.Event { return f.recent[max(0, len(f.recent)-n):] },
		Socket: "/run/everup/lbd.sock",
	}
}

func newConsole(f *fake) *Console { return New(f.source(), zerolog.Nop(), metric.NewRegistry("t")) }

// ask answers one request in process.
func ask(c *Console, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestHeaders(t *testing.T) {
	c := newConsole(&fake{fleet: calm()})
	css := c.assets.path("console.css")
	f := func(path string, status int, contentType, cache string) {
		t.Helper()
		w := ask(c, path)
		h := w.Header()
		if w.Code != status || h.Get("Content-Type") != contentType || h.Get("Cache-Control") != cache {
			t.Errorf("%s: %d %q %q", path, w.Code, h.Get("Content-Type"), h.Get("Cache-Control"))
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:;") ||
			strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
	const json, text, forever = "application/json", "text/plain; charset=utf-8", "public, max-age=31536000, immutable"
	f("/", 200, "text/html; charset=utf-8", "no-store")
	f("/api/fleet", 200, json, "no-store")
	f("/api/fleet?member=web1/lbd", 200, json, "no-store")
	f("/api/fleet?member=web9/lbd", 404, text, "no-store")
	f("/api/events", 200, json, "no-store")
	f("/api/events?n=x", 400, text, "no-store")
	f("/api/events?id=nobody", 404, text, "no-store")
	f(css, 200, "text/css; charset=utf-8", forever)
	f("/assets/console.css", 404, text, "no-store")
	f("/assets/page.html", 404, text, "no-store")
	f("/other", 404, text, "no-store")
}

// TestNothingFromOutside looks at every address the page and its files name.
func TestNothingFromOutside(t *testing.T) {
	c := newConsole(&fake{fleet: trouble(), recent: someEvents()})
	c.feed.add(someEvents()...)
	all := ask(c, "/").Body.String()
	for _, a := range c.assets.byName {
		all += string(a.body)
	}
	all = strings.ReplaceAll(all, `xmlns="http://www.w3.org/2000/svg"`, "")
	all = strings.ReplaceAll(all, "&#39;http://everup/v1/events", "") // a command on the page
	if found := regexp.MustCompile(`.{0,30}(https?:)?//[a-z].{0,30}|.{0,30}\bstyle=.{0,30}|.{0,20} on[a-z]+=".{0,20}`).FindAllString(all, -1); found != nil {
		t.Errorf("the page names other hosts or has inline code: %q", found)
	}
}

func TestRawData(t *testing.T) {
	c := newConsole(&fake{fleet: trouble()})
	c.feed.add(someEvents()...)
	var fl Fleet
	if err := json.Unmarshal(ask(c, "/api/fleet?member=db2/logd").Body.Bytes(), &fl); err != nil || len(fl.Members) != 1 || len(fl.Silent) != 1 {
		t.Errorf("one member: %v, %+v", err, fl)
	}
	var events []bus.Event
	if err := json.Unmarshal(ask(c, "/api/events?n=2").Body.Bytes(), &events); err != nil || len(events) != 2 || events[1].ID != "x-3" {
		t.Errorf("two events: %v, %+v", err, events)
	}
	var e bus.Event
	if err := json.Unmarshal(ask(c, "/api/events?id=web1/lbd/x-1").Body.Bytes(), &e); err != nil || e.Kind != "daemon-ready" {
		t.Errorf("one event: %v, %+v", err, e)
	}
}

// TestPageWithoutFleet shows a page that says why it shows nothing, not an error of the server.
func TestPageWithoutFleet(t *testing.T) {
	c := newConsole(&fake{err: fault.New(fault.Timeout, "nobody answers")})
	w := ask(c, "/")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "nobody answers") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(c, "/api/fleet"); w.Code != http.StatusGatewayTimeout {
		t.Errorf("/api/fleet: %d", w.Code)
	}
}

// TestOneQuestion has many viewers ask at once, again within the second, and later.
func TestOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		release := make(chan struct{})
		c := cache{gather: func(ctx context.Context) (Fleet, error) {
			asked.Add(1)
			<-release
			return calm(), ctx.Err()
		}}
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for n := range 50 {
			ctx := t.Context()
			if n == 0 {
				ctx = first
			}
			wg.Go(func() {
				if f, err := c.get(ctx); n > 0 && (err != nil || f.Fleet != "shop") {
					t.Errorf("viewer %d: %v %v", n, f.Fleet, err)
				}
			})
			synctest.Wait() // the first is the one that asks
		}
		cancel() // he goes; the others still get their answer
		synctest.Wait()
		close(release)
		wg.Wait()
		c.get(t.Context())
		if n := asked.Load(); n != 1 {
			t.Errorf("%d questions, want 1", n)
		}
		waitInBubble(2 * fleetFresh)
		c.get(t.Context())
		if n := asked.Load(); n != 2 {
			t.Errorf("%d questions after a while, want 2", n)
		}
	})
}

// TestQuestionPanics shows that a panic leaves nobody waiting.
func TestQuestionPanics(t *testing.T) {
	c := cache{gather: func(context.Context) (Fleet, error) { panic("no") }}
	func() {
		defer func() { recover() }()
		c.get(t.Context())
	}()
	if _, err := c.get(t.Context()); fault.Of(err) != fault.Internal {
		t.Errorf("%v", err)
	}
}

func TestAssetNames(t *testing.T) {
	c := newConsole(&fake{})
	for _, name := range []string{"console.css", "console.js", "icon.svg"} {
		want, err := os.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(c, c.assets.path(name)).Body.String(); got != string(want) {
			t.Errorf("%s is served changed", name)
		}
	}
}
