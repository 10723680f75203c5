package lbd

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What members are told of the client, as the pool and the proxies that are believed have it.
func TestMembersAreTold(t *testing.T) {
	const (
		parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		trust  = "trusted: [127.0.0.0/8]\n"
		begin  = "GET / HTTP/1.1\nHost: in.test:81\nConnection: close\n"
		seenBy = begin + "X-Forwarded-For: 9.9.9.9\nX-Forwarded-For: 8.8.8.8\nX-Forwarded-Proto: https\nX-Forwarded-Host: out.test\nX-Forwarded-Port: 8443\n" +
			"Forwarded: for=9.9.9.9\nForwarded: for=8.8.8.8;proto=https\nX-Request-Id: theirs\n"
	)
	hidden := regexp.MustCompile(`^for=_[0-9a-z]+;`)
	begun := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-`)
	f := func(told, top, send string, want http.Header) {
		t.Helper()
		got := seen(t, "    forwarded: "+told+"\n", top, send+"\n")
		for name, form := range map[string]*regexp.Regexp{"Forwarded": hidden, "Traceparent": begun} {
			if v := got.Get(name); v != parent {
				if at := form.FindString(v); at != "" {
					got.Set(name, "new"+v[len(at)-1:])
				}
			}
		}
		want.Set("Host", "in.test:81")
		want.Set("Target", "/")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s(-want +got):\n%s", told, top, diff)
		}
	}
	f("false", "", seenBy, http.Header{"X-Request-Id": {"theirs"}})
	f("false", trust, seenBy, http.Header{
		"X-Request-Id": {"theirs"}, "X-Forwarded-For": {"9.9.9.9", "8.8.8.8"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"out.test"},
		"X-Forwarded-Port": {"8443"}, "Forwarded": {"for=9.9.9.9", "for=8.8.8.8;proto=https"},
	})
	f("{fields: [for, port]}", "", seenBy, http.Header{"X-Request-Id": {"new"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Port": {"81"}})
	f("{fields: [for, proto, host, port], rfc7239: address, via: true}", trust, seenBy, http.Header{
		"X-Request-Id": {"theirs"}, "X-Forwarded-For": {"9.9.9.9, 8.8.8.8, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"out.test"},
		"X-Forwarded-Port": {"8443"}, "Forwarded": {`for=9.9.9.9, for=8.8.8.8;proto=https, for=127.0.0.1;proto=http;host="in.test:81"`}, "Via": {"1.1 lbd"},
	})
	f("{fields: [host], rfc7239: hidden, request_id: false}", "", seenBy+"Via: 1.0 front\n", http.Header{
		"X-Request-Id": {"theirs"}, "X-Forwarded-Host": {"in.test:81"}, "Forwarded": {`new;proto=http;host="in.test:81"`}, "Via": {"1.0 front"},
	})
	f("{fields: [proto, port], request_id: false}", trust, begin+"X-Forwarded-Proto: https\nX-Forwarded-Host: [2001:db8::1]\n", http.Header{
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Host": {"[2001:db8::1]"},
	})
	f("{fields: [port]}", "request_id: {accept: always}\n", begin+"X-Request-Id: theirs\nVia: 1.0 front\n", http.Header{"X-Request-Id": {"theirs"}, "X-Forwarded-Port": {"81"}, "Via": {"1.0 front"}})
	f("{fields: [port]}", "request_id: {accept: always}\n", begin+"X-Request-Id: a\"b\nX-Request-Id: c\n", http.Header{"X-Request-Id": {"c"}, "X-Forwarded-Port": {"81"}})
	f("{fields: [port]}", trust+"request_id: {accept: never}\n", begin+"X-Request-Id: theirs\n", http.Header{"X-Request-Id": {"new"}, "X-Forwarded-Port": {"81"}})

	traced := func(trace, fields string, want http.Header) {
		t.Helper()
		f("{fields: [port], request_id: false, "+trace+"}", "", begin+fields, merge(want, http.Header{"X-Forwarded-Port": {"81"}}))
	}
	valid, state := "Traceparent: "+parent+"\n", "Tracestate: a=b\n"
	both := http.Header{"Traceparent": {parent}, "Tracestate": {"a=b"}}
	traced("trace: pass", valid+state, both)
	traced("trace: pass", "Traceparent: 00-x\n"+state, nil)
	traced("trace: pass", valid+valid+state, nil)
	traced("trace: pass", "", nil)
	traced("trace: drop", valid+state, nil)
	traced("trace: make", valid+state, both)
	traced("trace: make", state, http.Header{"Traceparent": {"new-00"}})
	traced("trace: make, trace_sampled: 100", "Traceparent: 00-x\n"+state, http.Header{"Traceparent": {"new-01"}})
}

func merge(a, b http.Header) http.Header {
	for name, v := range a {
		b[name] = v
	}
	return b
}

// The id is the same at the member, in the log, and in the answer if that is asked for; also in lbd's own answers.
func TestRequestIDIsTheSameEverywhere(t *testing.T) {
	got := make(chan string, 2)
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("X-Request-Id") + " " + r.Header.Get("Traceparent")
		w.Header().Set("X-Request-Id", "the member's own")
	})
	path := filepath.Join(t.TempDir(), "a.log")
	b := start(t, "request_id: {answer: true}\naccess_log: {file: "+path+", format: template, template: $id $trace $status}\n"+
		"routes: [{path: /x, pool: web}]\npools: {web: {forwarded: {trace: make}, members: [{addr: '"+addr+"'}]}}\n")
	answer := raw(t, b.addr, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	id, parent, _ := strings.Cut(<-got, " ")
	own := raw(t, b.addr, "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: theirs\r\nConnection: close\r\n\r\n")
	log := lines(t, path, 2)
	if !newID.MatchString(id) || strings.Count(answer, "X-Request-Id: ") != 1 || !strings.Contains(answer, "\r\nX-Request-Id: "+id+"\r\n") || log[0] != id+" "+parent[3:35]+" 200\n" {
		t.Errorf("member %q %q, log %q, answer %q", id, parent, log[0], answer)
	}
	_, ownID, _ := strings.Cut(own, "\r\nX-Request-Id: ")
	ownID, _, _ = strings.Cut(ownID, "\r\n")
	if !newID.MatchString(ownID) || ownID == id || log[1] != ownID+" - 404\n" {
		t.Errorf("log %q, answer %q", log[1], own)
	}
}
