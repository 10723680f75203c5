package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/bus"
)

func waitInBubble(d time.Duration) { time.Sleep(d) }

// pipes is a listener without a network, for virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// rig is a console behind a real HTTP server with the time-outs of the admin API, in virtual time.
type rig struct {
	*fake
	c    *Console
	http *http.Client
	stop context.CancelFunc // ends Run
}

// startInBubble runs a console until the bubble ends.
func startInBubble(t *testing.T, f *fake) *rig {
	c := newConsole(f)
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: c.Handler(), ReadTimeout: 60 * time.Second, ReadHeaderTimeout: 5 * time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	tr := &http.Transport{DialContext: l.dial}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		tr.CloseIdleConnections()
		srv.Close()
		wg.Wait()
	})
	synctest.Wait() // it has subscribed
	return &rig{f, c, &http.Client{Transport: tr}, cancel}
}

// viewer is a page that listens.
type viewer struct {
	t    *testing.T
	resp *http.Response
	news chan message // read by listen; closed when the stream ends

	beats atomic.Int32
}

func (r *rig) open(t *testing.T, at, lastID string) *viewer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://everup/stream?at="+at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &viewer{t: t, resp: resp, news: make(chan message, 1000)}
}

// listen reads the stream, as a page does all the time, until it ends.
func (v *viewer) listen() *viewer {
	go func() { // ends with the body, which open closes; the bubble waits for it
		defer close(v.news)
		lines := bufio.NewScanner(v.resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "":
				v.beats.Add(1)
			case "data":
				var m message
				if err := json.Unmarshal([]byte(value), &m); err != nil {
					v.t.Error(err)
				}
				v.news <- m
			}
		}
	}()
	return v
}

// position returns where the served page is.
func (r *rig) position(t *testing.T) string {
	t.Helper()
	page := ask(r.c, "/").Body.String()
	_, rest, ok := strings.Cut(page, `data-at="`)
	at, _, _ := strings.Cut(rest, `"`)
	if !ok || at == "" {
		t.Fatal("the page tells no position")
	}
	return at
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startInBubble(t, &fake{fleet: calm(), recent: someEvents()[:1]})
		at := r.position(t)
		v := r.open(t, at, "").listen()
		if ct := v.resp.Header.Get("Content-Type"); ct != "text/event-stream" {
			t.Errorf("type %q", ct)
		}
		waitInBubble(10 * time.Minute) // far beyond the server's time-out for reading; ages changed nothing yet
		r.set(trouble(), nil)
		for {
			m, ok := <-v.news
			if !ok {
				t.Fatal("the stream ended")
			}
			if m.All || len(m.Rows) > 0 {
				t.Fatalf("events were sent again: %+v", m)
			}
			if strings.Contains(m.Sections.Wrong, "the daemon is dead") {
				break
			}
		}
		if v.beats.Load() < 30 {
			t.Errorf("%d heartbeats in 10 minutes", v.beats.Load())
		}
		r.emit(someEvents()[:2]...) // the first is known
		m, ok := <-v.news
		for ok && m.Sections != nil && len(m.Rows) == 0 {
			m, ok = <-v.news
		}
		if !ok || !strings.Contains(m.Rows[0], "pool-member-down") {
			t.Fatalf("the second event: %v %+v", ok, m)
		}
		v.resp.Body.Close()
		synctest.Wait()
		if n := r.c.streams.Load(); n != 0 {
			t.Errorf("%d streams are counted after the viewer left", n)
		}
		asked := r.asked.Load()
		waitInBubble(time.Hour)
		if n := r.asked.Load(); n != asked {
			t.Errorf("the fleet was asked %d times while nobody looked", n-asked)
		}
	})
}

// TestStreamResumes has viewers come with positions of all kinds.
func TestStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startInBubble(t, &fake{fleet: calm()})
		at := r.position(t)
		r.emit(someEvents()...)
		f := func(name, at, last string, all bool, rows int, sections bool) {
			t.Helper()
			v := r.open(t, at, last).listen()
			defer v.resp.Body.Close()
			m, ok := <-v.news
			if !ok || m.All != all || len(m.Rows) != rows || (m.Sections != nil) != sections {
				t.Errorf("%s: all %v, %d rows, sections %v", name, m.All, len(m.Rows), m.Sections != nil)
			}
		}
		f("after the page", at, "", false, 3, false)
		f("after another process", "1234.5.6", "", true, 3, true)
		f("with no position", "", "", true, 3, true)
		f("with nonsense", "%00", "x.y", true, 3, true)
		now := r.c.feed.id(position{event: 2, version: 1})
		f("after a break", at, now, false, 1, false)
		f("from the future", at, r.c.feed.id(position{event: 99, version: 1}), true, 3, false)
	})
}

// TestStreamFallsBehind gives a reader more events than are kept while it does not read.
func TestStreamFallsBehind(t *testing.T) {
	f := newFeed(noon)
	for n := range 3 * maxEvents {
		f.add(bus.Event{ID: fmt.Sprint(n), Time: noon.Add(time.Duration(n) * time.Second)})
		f.add(bus.Event{ID: fmt.Sprint(max(0, n-maxEvents)), Time: noon.Add(time.Duration(n-maxEvents) * time.Second)}) // pushed out: not news
	}
	n := f.since(position{event: 5}, false)
	if !n.all || len(n.events) != maxEvents || n.events[maxEvents-1].ID != fmt.Sprint(3*maxEvents-1) || len(f.known) != maxEvents {
		t.Errorf("all %v, %d events, %d known", n.all, len(n.events), len(f.known))
	}
	n = f.since(position{event: 3*maxEvents - 2}, false)
	if n.all || len(n.events) != 2 {
		t.Errorf("all %v, %d events", n.all, len(n.events))
	}
}

func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startInBubble(t, &fake{fleet: calm()})
		var open []*viewer
		for range maxStreams {
			open = append(open, r.open(t, "", "").listen())
		}
		if v := r.open(t, "", ""); v.resp.StatusCode != 503 || r.c.refused.Load() != 1 {
			t.Errorf("stream %d: %d", maxStreams+1, v.resp.StatusCode)
		}
		open[0].resp.Body.Close()
		synctest.Wait()
		if v := r.open(t, "", ""); v.resp.StatusCode != 200 {
			t.Errorf("after one left: %d", v.resp.StatusCode)
		}
		open = slices.Delete(open, 0, 1)
		r.stop() // streams end with Run
		for _, v := range open {
			for range v.news {
			}
		}
	})
}

// TestSlowViewer has a viewer that never reads: it is cut off, and nobody else waits for it.
func TestSlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startInBubble(t, &fake{fleet: calm()})
		r.open(t, "", "")
		for n := range 100 {
			r.emit(bus.Event{ID: fmt.Sprint(n), Node: "n", Service: "lbd", Kind: "x", Time: time.Now(), Data: json.RawMessage(`"` + strings.Repeat("x", 300) + `"`)})
			waitInBubble(time.Second)
		}
		if n := r.c.streams.Load(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}
