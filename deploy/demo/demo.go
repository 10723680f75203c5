// Package demo is a small web application for `everup up`: it stands where a user's own application would. It counts the
// visits of a session in cached, by the memcached text protocol, and logs each request to logd by syslog. Two instances of it
// run behind lbd, so that a session goes on when one is stopped.
package demo

import (
	"context"
	"crypto/rand"
	"html/template"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Sessions counts the visits of a session.
type Sessions interface {
	// Visit adds one to the session's count and returns it.
	Visit(ctx context.Context, session string) (uint64, error)
}

// App is one instance of the application.
type App struct {
	name     string
	sessions Sessions
	log      func(Access)
	draining atomic.Bool
}

// Access is what is logged of a request.
type Access struct {
	Time     time.Time
	Client   string
	Method   string
	Path     string
	Status   int
	Bytes    int64
	Duration time.Duration
	Session  string
}

// New returns the instance called name. log gets every request and must not block.
func New(name string, s Sessions, log func(Access)) *App {
	return &App{name: name, sessions: s, log: log}
}

// Drain makes the health check fail, so that lbd sends nothing new while what is under way ends.
func (a *App) Drain() { a.draining.Store(true) }

// Handler returns the application: / is the page, /api/visit the same as JSON lines, /healthz the health check.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.page)
	mux.HandleFunc("GET /api/visit", a.visit)
	mux.HandleFunc("GET /healthz", a.health)
	return a.logged(mux)
}

func (a *App) health(w http.ResponseWriter, _ *http.Request) {
	if a.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}

// sessionCookie names the cookie that holds the session's id.
const sessionCookie = "everup_demo"

// session returns the request's session, a new one where it has none that could be ours.
func session(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(sessionCookie); err == nil && validSession(c.Value) {
		return c.Value
	}
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return id
}

// validSession keeps what clients send from becoming a memcached key of another form.
func validSession(s string) bool {
	return len(s) == 26 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func (a *App) visit(w http.ResponseWriter, r *http.Request) {
	n, err := a.sessions.Visit(r.Context(), session(w, r))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	jsonVisit(w, a.name, n, err)
}

func (a *App) page(w http.ResponseWriter, r *http.Request) {
	n, err := a.sessions.Visit(r.Context(), session(w, r))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	// A page without its counter still is a page: the cache being away must not take the site down.
	page.Execute(w, map[string]any{"Instance": a.name, "Visits": n, "Error": err != nil})
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>everup demo</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#222;background:#fff}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}}code{font-size:.95em}b{font-size:1.4em}</style>
<h1>everup demo</h1>
<p>This page came from <b>{{.Instance}}</b> through lbd.</p>
{{if .Error}}<p>Sessions are not counted just now: cached does not answer. The page comes all the same.</p>
{{else}}<p>You have been here <b>{{.Visits}}</b> times; the count is in cached, so both instances know it.</p>{{end}}
<p>Reload: the other instance answers. Stop one: no request is lost. The request you made is in logd by now: <code>bin/everup logs -f</code></p>
</html>
`))
