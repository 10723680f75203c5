package explain

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

const examples = "../../../../deploy/examples/lbd-rules"

func load(t *testing.T, name string) *config.Config {
	t.Helper()
	var c config.Config
	if _, err := conf.Load(filepath.Join(examples, name), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	return &c
}

// asker asks one example.
type asker struct {
	t    *testing.T
	c    *config.Config
	seen map[string]bool // names of routes that had something to do
}

func (a *asker) ask(q Question, want string) {
	a.t.Helper()
	got, err := Ask(a.c, &q)
	if err != nil {
		a.t.Errorf("%+v: %v", q, err)
		return
	}
	for _, s := range got.Steps {
		if s.Failed == "" {
			a.seen[s.Name] = true
		}
	}
	if text := got.Name + ": " + got.Outcome; text != want {
		a.t.Errorf("%+v:\ngot  %s\nwant %s", q, text, want)
	}
}

func (a *asker) get(request, want string, headers ...string) {
	a.t.Helper()
	a.ask(Question{Request: request, Headers: headers}, want)
}

// example asks an example and sees that no route is left out.
func example(t *testing.T, name string, f func(*asker)) {
	t.Run(name, func(t *testing.T) {
		a := &asker{t, load(t, name), map[string]bool{}}
		f(a)
		for _, r := range a.c.Routes {
			if !a.seen[r.Name] {
				t.Errorf("no request shows what the route %q is for", r.Name)
			}
		}
	})
}

// askStatic asks what the book's listings have in common: 2.1.1.
func askStatic(a *asker, rest string) {
	a.t.Helper()
	a.get("http://www.example.com/images/logo.jpg", "images: file /logo.jpg of /usr/local/www/images")
	a.get("http://www.example.com/images/a/b%20c.png?v=1", "images: file /a/b c.png of /usr/local/www/images")
	a.get("http://WWW.example.com:80//css/a.css", "css: file /a.css of /usr/local/www/css")
	a.get("http://www.example.com/js/app.js", "js: file /app.js of /usr/local/www/js")
	a.get("http://www.example.com/news?id=1", rest)
	a.get("http://www.example.com/imagesque", rest)
	a.get("POST http://www.example.com", rest)
	a.get("http://other.example.com/news", ": no rule: 404")
	a.get("http://www.example.com/images/../etc/passwd", ": refuse 400 dot-segments")
	a.get("http://www.example.com/images/%2e%2e%2fetc/passwd", ": refuse 400 dot-segments")
}

func TestBook(t *testing.T) {
	example(t, "static.yaml", func(a *asker) { askStatic(a, "application: pool application") })
	example(t, "deny-address.yaml", func(a *asker) {
		askStatic(a, "application: pool application")
		for _, url := range []string{"http://www.example.com/", "http://www.example.com/images/logo.jpg", "http://other.example.com/"} {
			a.ask(Question{Request: url, From: "192.168.0.200"}, "bad-host: deny 403")
		}
		a.ask(Question{Request: "http://www.example.com/", From: "192.168.0.201"}, "application: pool application")
		for _, path := range []string{"/admin", "/admin/users", "//admin/", "/%61dmin/x", "/admin%2fx"} {
			a.ask(Question{Request: "http://www.example.com" + path, From: "203.0.113.9"}, "admin-from-elsewhere: deny 403")
			a.ask(Question{Request: "http://www.example.com" + path, From: "10.1.2.3"}, "application: pool application")
		}
	})
	example(t, "robots-to-cache.yaml", func(a *asker) {
		askStatic(a, "application: pool application")
		a.get("http://www.example.com/news", "robots: pool cache", "User-Agent: Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/)")
		a.get("http://www.example.com/images/logo.jpg", "robots: pool cache", "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
		a.get("http://www.example.com/news", "application: pool application", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0")
	})
	example(t, "balancer.yaml", func(a *asker) { askStatic(a, "backend: pool backend") })
	for _, m := range load(t, "balancer.yaml").Pools["backend"].Members {
		if m.Weight != 10 {
			t.Errorf("%s has weight %d", m.Addr, m.Weight)
		}
	}
}

func TestRewriting(t *testing.T) {
	example(t, "rewriting.yaml", func(a *asker) {
		a.get("http://www.example.com/a%20b?c=d", "to-tls: redirect 301 https://www.example.com/a%20b?c=d")
		a.get("http://www.example.com/.well-known/acme-challenge/x", "application: pool application")
		a.ask(Question{Request: "http://www.example.com/", From: "10.0.0.1", Headers: []string{"X-Forwarded-Proto: https"}}, "application: pool application")
		a.ask(Question{Request: "https://www.example.com/", DoS: []string{"hard"}}, "flood: drop")
		a.ask(Question{Request: "https://www.example.com/", DoS: []string{"suspect"}}, "too-much: answer 429")
		a.get("https://tea.shops.example.com/list?p=2", "shops: pool application as /shop/tea/list?p=2 at host www.example.com")
		a.get("https://a.b.shops.example.com/", ": no rule: 404")
		a.get("https://www.example.com/hoge/foo/bar", "friendly: pool application as /hoge?foo=bar")
		a.get("https://www.example.com/hoge/a%26b/c%0d", ": refuse 400 control-byte")
		a.get("https://www.example.com/hoge/a%26b/c%25", "friendly: pool application as /hoge?a%26b=c%25")
		a.get("https://www.example.com/blog/2008/x/y%20z", "moved: redirect 308 https://blog.example.com/archive/2008/x/y%20z")
		a.ask(Question{Request: "https://www.example.com/app/?lang=de"}, "canary: pool application")
		a.ask(Question{Request: "https://www.example.com/app/", Random: 0.96}, "canary: pool next")
		a.ask(Question{Request: "https://www.example.com/app/", Random: 0.96, Headers: []string{"Cookie: version=application"}}, "canary: pool application")
		a.get("https://www.example.com/robots.txt", "robots-txt: answer 200")
		a.ask(Question{Request: "https://www.example.com/?trace=true", From: "10.0.0.9", Headers: []string{"X-Debug: x"}}, "debugging: pool next")
		a.ask(Question{Request: "https://www.example.com/?trace=true", From: "10.0.0.9", Headers: []string{"X-Debug: x", "X-Forwarded-For: 1.1.1.1"}}, "application: pool application")
		a.get("https://img.www.example.com/", "application: pool application")
	})
}

// What HTTP's rules refuse never comes to the routes.
func TestRefused(t *testing.T) {
	c := load(t, "static.yaml")
	f := func(q Question, want string, status int) {
		t.Helper()
		a, err := Ask(c, &q)
		if err != nil || a.Outcome != want || a.Status != status || a.Rule != -1 {
			t.Errorf("%+v: %+v %v", q, a, err)
		}
	}
	f(Question{Request: "GET http://a b/"}, "refuse bad-host", 400)
	f(Question{Request: "GET http://a/ b"}, "refuse bad-version", 400)
	f(Question{Request: "GET http://a@b/"}, "refuse bad-host", 400)
	f(Question{Request: "GET http://a/", Headers: []string{"Host: b", "host: c"}}, "refuse two-hosts", 400)
	f(Question{Request: "GET http://a/", Headers: []string{"X : b"}}, "refuse space-in-name", 400)
	f(Question{Request: "GET http://a/%zz"}, "refuse 400 bad-escape", 400)
}

func TestNoQuestion(t *testing.T) {
	c := load(t, "static.yaml")
	for _, q := range []Question{
		{Request: ""}, {Request: "/path"}, {Request: "GET ftp://a/"}, {Request: "http://a/", From: "a"}, {Request: "http://a/", DoS: []string{"x"}},
		{Request: "http://a/", Random: 1}, {Request: "http://a/", Headers: []string{"x"}}, {Request: "http://a/", Headers: []string{"x: y\r\nz: w"}},
	} {
		if a, err := Ask(c, &q); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %+v %v", q, a, err)
		}
	}
}

// TestMaintenance: what is under maintenance by the configuration says so.
func TestMaintenance(t *testing.T) {
	var c config.Config
	yaml := `maintenance: {exempt: 10.0.0.0/8}
routes:
- {path: /deny, deny: true}
- {path: /shut, name: shut, maintenance: true, pool: web}
- {path: /other, pool: other}
- {pool: web}
pools: {web: {from: {service: s}}, other: {from: {service: s}, maintenance: true}}
`
	if _, err := conf.Parse("f", []byte(yaml), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	a := &asker{t, &c, map[string]bool{}}
	a.get("http://a/shut", "shut: pool web; under maintenance: 503")
	a.get("http://a/other", ": pool other; under maintenance: 503")
	a.get("http://a/", ": pool web")
	a.ask(Question{Request: "http://a/shut", From: "10.1.1.1"}, "shut: pool web")
	c.Maintenance.On = true
	a.get("http://a/", ": pool web; under maintenance: 503")
	a.get("http://a/deny", ": deny 403")
}

// What detectors think, and which of them count the request.
func TestDetectors(t *testing.T) {
	var c config.Config
	text := `dos:
- {threshold: 100, not: {path: /static/}}
- {name: login, threshold: 5, when: {path: /login, method: POST}, exempt: 10.0.0.0/8}
routes:
- {name: guessing, dos: {login: hard}, path: /login, drop: true}
- {name: sleeping, dos: [suspect, hard], answer: {status: 429}}
- {name: all, answer: {status: 200}}
`
	if _, err := conf.Parse("f", []byte(text), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	f := func(q Question, want, counted string) {
		t.Helper()
		a, err := Ask(&c, &q)
		if err != nil || a.Name != want || strings.Join(a.CountedBy, " ") != counted {
			t.Errorf("%+v: %+v %v", q, a, err)
		}
	}
	f(Question{Request: "POST http://a/login"}, "all", "default login")
	f(Question{Request: "POST http://a/login", From: "10.0.0.1"}, "all", "default")
	f(Question{Request: "http://a/static/x"}, "all", "")
	f(Question{Request: "http://a/login", DoS: []string{"login=hard"}}, "guessing", "default")
	f(Question{Request: "http://a/", DoS: []string{"login=hard"}}, "sleeping", "default")
	f(Question{Request: "http://a/login", DoS: []string{"default=hard"}}, "sleeping", "default")
	f(Question{Request: "http://a/login", DoS: []string{"hard", "login=none"}}, "sleeping", "default")
	f(Question{Request: "http://a/login", DoS: []string{"hard"}}, "guessing", "default")
	for _, bad := range []string{"logon=hard", "login=soft", "login"} {
		if _, err := Ask(&c, &Question{Request: "http://a/", DoS: []string{bad}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	a, err := Ask(&c, &Question{Request: "http://a/login", DoS: []string{"login=suspect"}})
	if err != nil || a.Steps[0].Failed != "dos" || a.Steps[0].Have != "suspect" || a.Steps[0].Want != "login: hard" {
		t.Errorf("%+v %v", a, err)
	}
}
