package lbd

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestRulesAreFollowed: what rules decide, seen from outside.
func TestRulesAreFollowed(t *testing.T) {
	say := func(name string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Powered-By", "old")
			fmt.Fprintf(w, "%s %s %s %s", name, r.Host, r.RequestURI, r.Header.Get("X-Client"))
		})
	}
	b := start(t, `routes:
  - response_headers: {set: {X-All: "1"}, remove: X-Powered-By}
  - {path: /old/, redirect: {to: "https://$host$target", status: 308}}
  - {path: = /robots.txt, answer: {type: text/x, body: "none\n"}}
  - {path: /secret, deny: true}
  - {path: /gone, drop: true}
  - {header: {X-Debug: "*"}, from: 127.0.0.0/8, pool: next}
  - {path: "~ ^/shop/([^/]+)$", rewrite: {path: /hoge, query: "$1=1", host: shop.test}, request_headers: {set: {X-Client: $client}}, pool: web}
  - {path: /canary, split: {pools: [{pool: next, weight: 1}, {pool: web, weight: 0}], cookie: version}}
  - {host: a.test, pool: web}
pools:
  web: {members: [{addr: '`+say("web")+`'}]}
  next: {members: [{addr: '`+say("next")+`'}]}
`)
	f := func(path, fields, status, want string, has ...string) {
		t.Helper()
		got := raw(t, b.addr, "GET "+path+" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"+fields+"\r\n")
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.HasPrefix(head, status) || body != want {
			t.Errorf("%s: %q", path, got)
		}
		refused := status == "" || strings.Contains(status, " 400 ") // before any rule
		if !refused && (!strings.Contains(head, "\r\nX-All: 1") || strings.Contains(head, "X-Powered-By")) {
			t.Errorf("%s: the header is %q", path, head)
		}
		for _, h := range has {
			if !strings.Contains(head, "\r\n"+h) {
				t.Errorf("%s: %q lacks %q", path, head, h)
			}
		}
	}
	f("/old/x?y=%20", "", "HTTP/1.1 308 ", "308 Permanent Redirect\n", "Location: https://a.test/old/x?y=%20")
	f("/robots.txt", "", "HTTP/1.1 200 ", "none\n", "Content-Type: text/x")
	f("/%73ecret/x", "", "HTTP/1.1 403 ", "403 Forbidden\n")
	f("/gone", "", "", "")
	f("/x", "X-Debug: 1\r\n", "HTTP/1.1 200 ", "next a.test /x ")
	f("/shop/tea", "X-Client: me\r\n", "HTTP/1.1 200 ", "web shop.test /hoge?tea=1 127.0.0.1")
	f("/canary", "", "HTTP/1.1 200 ", "next a.test /canary ", "Set-Cookie: version=next; ")
	f("/canary", "Cookie: version=web\r\n", "HTTP/1.1 200 ", "web a.test /canary ")
	f("/%zz", "", "HTTP/1.1 400 ", "400 Bad Request\n")
	f("/a/../secret", "", "HTTP/1.1 400 ", "400 Bad Request\n")
	if got := raw(t, b.addr, "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("another host: %q", got)
	}
}
