package http1

import (
	"strings"
	"testing"
)

func parsed(t testing.TB, raw string) *Head {
	t.Helper()
	lim := DefaultLimits()
	var h Head
	if done, why := h.ParseRequest([]byte(raw), &lim); !done {
		t.Fatalf("%q: %s", raw, why)
	}
	return &h
}

func TestLimits(t *testing.T) {
	f := func(raw string, lim Limits, want string) {
		t.Helper()
		var h Head
		done, why := h.ParseRequest([]byte(raw), &lim)
		if got := outcome(done, why, h.Body); got != want {
			t.Errorf("%.30q… with %+v is %s, want %s", raw, lim, got, want)
		}
		var slow Head
		done, why = parseBytewise([]byte(raw), func(b []byte) (bool, Refusal) { return slow.ParseRequest(b, &lim) })
		if got := outcome(done, why, slow.Body); got != want {
			t.Errorf("%.30q… byte by byte with %+v is %s, want %s", raw, lim, got, want)
		}
	}
	const raw = "GET /x HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"
	f(raw, Limits{Head: len(raw), Line: 15, Fields: 2}, "none")
	f(raw, Limits{Head: len(raw) - 1, Line: 15, Fields: 2}, "head-too-large")
	f(raw, Limits{Head: len(raw), Line: 14, Fields: 2}, "line-too-long")
	f(raw, Limits{Head: len(raw), Line: 15, Fields: 1}, "too-many-fields")
	f("GET /"+strings.Repeat("x", 100), Limits{Head: 1000, Line: 50, Fields: 1}, "line-too-long")
	f("GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 100), Limits{Head: 100, Line: 50, Fields: 1}, "head-too-large")
}

func TestTargets(t *testing.T) {
	f := func(line, host string, form Form, path, query, authority string) {
		t.Helper()
		raw := line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		h := parsed(t, raw)
		b := []byte(raw)
		g := h.Target
		if g.Form != form || string(g.Path.In(b)) != path || string(g.Query.In(b)) != query || string(g.Host.In(b)) != authority || g.HasQ != strings.Contains(line, "?") {
			t.Errorf("%s: %+v: path %q, query %q, host %q", line, g, g.Path.In(b), g.Query.In(b), g.Host.In(b))
		}
	}
	f("GET /", "a", Origin, "/", "", "")
	f("GET //a/../b?", "a", Origin, "//a/../b", "", "")
	f("GET /a?b?c", "a", Origin, "/a", "b?c", "")
	f("GET http://a:8/x?y", "A:8", Absolute, "/x", "y", "a:8")
	f("GET http://a", "a", Absolute, "", "", "a")
	f("GET https://[::1]?q", "[::1]", Absolute, "", "q", "[::1]")
	f("OPTIONS *", "a", Asterisk, "", "", "")
	f("CONNECT a:1", "a:1", Authority, "", "", "a:1")
}

func TestMeaning(t *testing.T) {
	f := func(version, fields, want string) {
		t.Helper()
		h := parsed(t, "GET / HTTP/"+version+"\r\nHost: a\r\n"+fields+"\r\n")
		got := ""
		for _, x := range []struct {
			is   bool
			name string
		}{{h.Close, "close "}, {h.KeepAlive, "keep-alive "}, {h.Upgrades, "upgrade "}, {h.Continue, "continue "}, {h.TrailersOK, "trailers "}} {
			if x.is {
				got += x.name
			}
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("HTTP/%s %q: %q, want %q", version, fields, got, want)
		}
	}
	f("1.1", "", "")
	f("1.1", "Connection: close\r\n", "close")
	f("1.1", "Connection: x, Close ,,keep-alive\r\n", "close keep-alive")
	f("1.1", "Connection: x\r\nConnection: close\r\n", "close")
	f("1.0", "", "close")
	f("1.0", "Connection: Keep-Alive\r\n", "keep-alive")
	f("1.1", "Connection: upgrade\r\n", "")
	f("1.1", "Upgrade: websocket\r\n", "")
	f("1.1", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", "keep-alive upgrade")
	f("1.0", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "close")
	f("1.1", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n", "")
	f("1.1", "Upgrade: websocket, H2C\r\nConnection: Upgrade\r\n", "")
	f("1.1", "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", "")
	f("1.1", "Upgrade: h2cx\r\nConnection: Upgrade\r\n", "upgrade")
	f("1.1", "Expect: 100-continue\r\n", "continue")
	f("1.0", "Expect: 100-continue\r\n", "close")
	f("1.1", "TE: trailers\r\n", "trailers")
	f("1.1", "TE: deflate;q=0.5, Trailers\r\n", "trailers")
}

func TestFieldNames(t *testing.T) {
	for id := Other + 1; id < ids; id++ {
		if got := Lookup([]byte(strings.ToUpper(id.String()))); got != id {
			t.Errorf("%s is %s", id, got)
		}
	}
	f := func(name string) {
		t.Helper()
		if id := Lookup([]byte(name)); id != Other {
			t.Errorf("%q is %s", name, id)
		}
	}
	f("x")
	f("hosT\x00")
	f("conten\x14-length") // 0x14|0x20 is '4': letters alone have a case
	f("cookie\x7f")
	f("content\rlength") // 0x0d|0x20 is '-'
	f(strings.Repeat("x", 1000))
	if !TransferEncoding.HopByHop() || ContentLength.HopByHop() || Other.HopByHop() || ContentLength.InTrailer() || !ETag.InTrailer() || !Other.InTrailer() {
		t.Error("the sets of fields are wrong")
	}
}

// TestReuse: a Head that was used keeps nothing but memory.
func TestReuse(t *testing.T) {
	lim := DefaultLimits()
	var h Head
	first := []byte("POST http://b/x?y HTTP/1.0\r\nHost: b\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close, upgrade\r\nTE: trailers\r\n\r\n")
	second := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if done, why := h.ParseRequest(first, &lim); !done {
		t.Fatal(why)
	}
	h.Reset()
	if done, why := h.ParseRequest(second, &lim); !done {
		t.Fatal(why)
	}
	if h.Body != (Framing{}) || h.Close || h.Upgrades || h.Continue || h.TrailersOK || h.Target.Form != Origin || len(h.Fields) != 1 || h.Len != len(second) {
		t.Errorf("%+v", h)
	}
	n := testing.AllocsPerRun(100, func() {
		h.Reset()
		h.ParseRequest(first, &lim)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
