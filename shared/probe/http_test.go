package probe

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// site is a web server with every kind of answer.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "status: fine\nhost: "+r.Host+"\nproto: "+r.Proto+"\nkey: "+r.Header.Get("X-Key")+"\nclose: ")
		if r.Close {
			io.WriteString(w, "yes")
		}
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 503) })
	mux.HandleFunc("/continue", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "after 103")
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		line := strings.Repeat("x", 1023) + "\n"
		for range 1 << 20 {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begin\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	return mux
}

func TestHTTP(t *testing.T) {
	labtest.LeakCheck(t)
	s := httptest.NewServer(site())
	defer s.Close()
	addr := s.Listener.Addr().String()
	get := func(options string) Result {
		t.Helper()
		return check(t, addr, "{type: http, http: {"+options+"}}")
	}
	wantOK(t, get("path: /ok"), "HTTP/1.1 200 OK")
	wantOK(t, get("path: '/ok?x=1', contains: 'status: fine', regex: 'proto: HTTP/1\\.1', absent: 'error|panic'"))
	wantOK(t, get("path: /ok, host: www.example, contains: 'host: www.example'"))
	wantOK(t, get("path: /ok, contains: 'host: "+addr+"'"))
	wantOK(t, get("path: /ok, headers: {X-Key: abc}, contains: 'key: abc'"))
	wantOK(t, get("path: /ok, contains: 'close: yes'")) // the connection is not for keeping
	wantOK(t, get("path: /ok, method: HEAD"))
	wantBad(t, get("path: /ok, contains: nowhere"), fault.Unavailable, `does not contain "nowhere"`)
	wantBad(t, get("path: /ok, regex: '^fine'"), fault.Unavailable, "does not match")
	wantBad(t, get("path: /ok, absent: 'f[io]ne'"), fault.Unavailable, "body matches")
	wantOK(t, get("path: /redirect"), "302")
	wantBad(t, get("path: /redirect, status: 200-299"), fault.Unavailable, "answered 302 Found, wanted 200-299")
	wantBad(t, get("path: /error"), fault.Unavailable, "503")
	wantOK(t, get("path: /error, status: '200,503'"), "503")
	wantBad(t, get("path: /missing"), fault.Unavailable, "404")
	wantOK(t, get("path: /continue, contains: after"))
	wantOK(t, get("path: /huge"))
	wantBad(t, get("path: /huge, contains: end, max_body: 1MiB"), fault.Unavailable, "does not contain")
	wantOK(t, get("path: /slow")) // nothing is searched for, so nothing is waited for

	r := checkTarget(t, Target{Addr: mustAddrPort(addr)}, "{type: http, http: {path: /slow, contains: end}}", 200*time.Millisecond)
	wantBad(t, r, fault.Timeout)
}

func TestHTTPTargetName(t *testing.T) {
	labtest.LeakCheck(t)
	s := httptest.NewServer(site())
	defer s.Close()
	addr := mustAddrPort(s.Listener.Addr().String())
	tg := Target{Addr: addr, Host: "app.example"}
	wantOK(t, checkTarget(t, tg, "{type: http, http: {path: /ok, contains: 'host: app.example:'}}", patience))
}

func TestHTTPSAndHTTP2(t *testing.T) {
	labtest.LeakCheck(t)
	cert, ca := certificate(t, days(30), "app.example")
	s := httptest.NewUnstartedServer(site())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	tg := Target{Addr: mustAddrPort(s.Listener.Addr().String()), Host: "app.example"}
	get := func(text string) Result { t.Helper(); return checkTarget(t, tg, text, patience) }
	wantOK(t, get("{type: https, http: {path: /ok, contains: HTTP/1.1}, tls: {ca_file: "+ca+"}}"), "expires in 30 days")
	wantOK(t, get("{type: https, http: {path: /ok, protocol: http2, contains: HTTP/2.0}, tls: {ca_file: "+ca+"}}"), "HTTP/2.0 200")
	wantBad(t, get("{type: https, http: {path: /ok}}"), fault.Unavailable, "unknown authority")
	wantBad(t, get("{type: https, http: {path: /ok, host: other.example}, tls: {ca_file: "+ca+"}}"), fault.Unavailable, "other.example")
	if r := get("{type: https, http: {path: /ok}, tls: {min_days: 40, ca_file: " + ca + "}}"); !r.OK || !r.Warn {
		t.Errorf("30 days left, 40 wanted: %+v", r)
	}
	wantBad(t, get("{type: http, http: {path: /ok, status: 200-299}}"), fault.Unavailable, "400") // plain to a TLS port
}

func TestHTTP2PriorKnowledge(t *testing.T) {
	labtest.LeakCheck(t)
	addr := serveH2C(t, site())
	wantOK(t, check(t, addr, "{type: http, http: {path: /ok, protocol: http2, contains: HTTP/2.0}}"), "HTTP/2.0")
	wantOK(t, check(t, addr, "{type: http, http: {path: /slow, protocol: http2}}"))
}

// serveH2C serves HTTP/2 in plain text.
func serveH2C(t testing.TB, h http.Handler) (addr string) {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	p.SetHTTP1(true)
	s := &http.Server{Handler: h, Protocols: &p, ErrorLog: log.New(io.Discard, "", 0)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

func TestStatuses(t *testing.T) {
	f := func(text string, in, out []int) {
		t.Helper()
		var s Statuses
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, c := range in {
			if !s.Contain(c) {
				t.Errorf("%q lacks %d", text, c)
			}
		}
		for _, c := range out {
			if s.Contain(c) {
				t.Errorf("%q holds %d", text, c)
			}
		}
	}
	f("200", []int{200}, []int{199, 201})
	f("200-299, 404", []int{200, 250, 299, 404}, []int{199, 300, 403})
	for _, bad := range []string{"", "99", "600", "2xx", "300-200", "200,", "-200", "200-", "200--300"} {
		if err := new(Statuses).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// serveTLS serves HTTP/2 over TLS and returns the file to trust it by.
func serveTLS(t testing.TB, h http.Handler) (addr, caFile string) {
	t.Helper()
	cert, ca := certificate(t, days(60))
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), ca
}
