package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
)

// pagePolicy lets the page load this daemon's own style, script and stream, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page at /, the raw data below /api/, the stream and the files the page loads.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.servePage)
	mux.HandleFunc("GET /api/fleet", c.serveFleet)
	mux.HandleFunc("GET /api/events", c.serveEvents)
	mux.HandleFunc("GET /stream", c.serveStream)
	mux.HandleFunc("GET /assets/{name}", c.assets.serve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// servePage renders the page, also when the fleet could not be gathered: then it says so.
func (c *Console) servePage(w http.ResponseWriter, r *http.Request) {
	f, err := c.fleet.get(r.Context())
	v := Build(c.now(), f, err)
	s, err := c.pages.sections(v)
	if err != nil {
		c.fail(w, err)
		return
	}
	c.feed.show(s) // so that the page's position tells what the page shows
	events, at := c.feed.recent()
	var b bytes.Buffer
	if err := c.pages.write(&b, v, events, c.src.Socket, c.feed.id(at)); err != nil {
		c.fail(w, err)
		return
	}
	c.send(w, "text/html; charset=utf-8", b.Bytes())
}

// serveFleet tells what was gathered; ?member= only what is known of one.
func (c *Console) serveFleet(w http.ResponseWriter, r *http.Request) {
	f, err := c.fleet.get(r.Context())
	if err == nil {
		if id := r.URL.Query().Get("member"); id != "" {
			f, err = only(f, id)
		}
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	c.sendJSON(w, f)
}

// only leaves one member in f.
func only(f Fleet, id string) (Fleet, error) {
	out := Fleet{Fleet: f.Fleet, Asked: f.Asked}
	for _, m := range f.Members {
		if string(m.ID) == id {
			out.Members = append(out.Members, m)
		}
	}
	for _, raw := range f.Daemons {
		if s, ok := readStatus(raw); ok && s.Node+"/"+s.Service == id {
			out.Daemons = append(out.Daemons, raw)
		}
	}
	for _, s := range f.Silent {
		if string(s) == id {
			out.Silent = append(out.Silent, s)
		}
	}
	if len(out.Members)+len(out.Daemons) == 0 {
		return out, fault.New(fault.NotFound, "console: no member %.100q", id)
	}
	return out, nil
}

// serveEvents tells the last events, oldest first: ?n= of them, or the one with ?id=.
func (c *Console) serveEvents(w http.ResponseWriter, r *http.Request) {
	events, _ := c.feed.recent()
	if id := r.URL.Query().Get("id"); id != "" {
		for _, e := range events {
			if eventID(e) == id {
				c.sendJSON(w, e)
				return
			}
		}
		c.fail(w, fault.New(fault.NotFound, "console: no event %.200q among the last %d", id, maxEvents))
		return
	}
	if q := r.URL.Query().Get("n"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 0 {
			c.fail(w, fault.New(fault.Invalid, "console: n=%.20q: want a number from 0", q))
			return
		}
		events = events[max(0, len(events)-n):]
	}
	if events == nil {
		events = []bus.Event{}
	}
	c.sendJSON(w, events)
}

func (c *Console) sendJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		c.fail(w, fault.Wrap(fault.Internal, err, "console: encode"))
		return
	}
	c.send(w, "application/json", append(b, '\n'))
}

// send writes a whole answer to a client that takes it in time.
func (c *Console) send(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	c.deadline(w)
	_, _ = w.Write(body) // a client that is gone is nobody to tell
}

// fail answers with a line of text.
func (c *Console) fail(w http.ResponseWriter, err error) {
	c.deadline(w)
	http.Error(w, err.Error(), fault.HTTPStatus(err))
}
