package http1

import (
	"fmt"
	"strings"
	"testing"
)

// part is a field as text.
type part struct{ name, value string }

// build puts a request together as another protocol's head would be.
func build(h *Head, lim *Limits, method, target string, fields ...part) ([]byte, Refusal) {
	h.Reset()
	var b []byte
	put := func(s string) Text {
		b = append(b, s...)
		return Place(len(b)-len(s), len(b))
	}
	m, t := put(method), put(target)
	for _, p := range fields {
		f := Field{Name: put(p.name), Value: put(p.value)}
		var why Refusal
		if f.ID, why = JudgeName(f.Name.In(b)); why == OK {
			why = JudgeValue(f.Value.In(b))
		}
		if why == OK {
			why = h.Add(b, f, lim)
		}
		if why != OK {
			return b, why
		}
	}
	return b, h.CompleteRequest(b, m, t, lim)
}

func TestBuild(t *testing.T) {
	host := part{"host", "a"}
	f := func(want, method, target string, fields ...part) {
		t.Helper()
		lim := Limits{Head: 200, Line: 60, Fields: 4}
		var h Head
		b, why := build(&h, &lim, method, target, fields...)
		if got := outcome(true, why, h.Body); got != want {
			t.Errorf("%s %s %v is %s, want %s", method, target, fields, got, want)
		}
		if why != OK {
			return
		}
		if string(h.Method.In(b)) != method || string(h.Target.Raw.In(b)) != target || h.Version != HTTP11 || len(h.Fields) != len(fields) || h.Len != len(b) {
			t.Errorf("%s %s: %+v", method, target, h)
		}
	}
	f("none", "GET", "/", host)
	f("none", "GET", "/a?b=c", host, part{"x", "a\tb \x80"}, part{"x", ""})
	f("none", "OPTIONS", "*", host)
	f("none", "CONNECT", "a:443", part{"host", "a:443"})
	f("length 5", "POST", "/", host, part{"content-length", "5"})
	f("bad-method", "", "/", host)
	f("bad-method", "GE T", "/", host)
	f("bad-method", "GET\r\nX:", "/", host)
	f("bad-target", "GET", "", host)
	f("bad-target", "CONNECT", "", host)
	f("bad-target", "GET", "*", host)
	f("bad-target", "GET", "x", host)
	f("bad-target", "GET", "/ HTTP/1.1\r\nX: y", host)
	f("bad-target", "GET", "/a b", host)
	f("bad-target", "GET", "/a#b", host)
	f("bad-target", "GET", "/\x80", host)
	f("bad-target", "GET", "http://u@a/", host)
	f("other-host", "GET", "http://b/", host)
	f("no-host", "GET", "/")
	f("two-hosts", "GET", "/", host, host)
	f("bad-host", "GET", "/", part{"host", "a/b"})
	f("bad-host", "GET", "/", part{"host", ""})
	f("empty-name", "GET", "/", host, part{"", "x"})
	f("bad-name", "GET", "/", host, part{"x ", "x"})
	f("bad-name", "GET", "/", host, part{"x:y", "x"})
	f("bad-name", "GET", "/", host, part{"x\r\ny", "x"})
	f("bad-value", "GET", "/", host, part{"x", " x"})
	f("bad-value", "GET", "/", host, part{"x", "x\t"})
	f("bare-cr", "GET", "/", host, part{"x", "y\r\nz: 1"})
	f("control-byte", "GET", "/", host, part{"x", "y\nz: 1"})
	f("control-byte", "GET", "/", host, part{"x", "\x00"})
	f("bad-length", "POST", "/", host, part{"content-length", "+5"})
	f("two-lengths", "POST", "/", host, part{"content-length", "5"}, part{"content-length", "5"})
	f("length-and-coding", "POST", "/", host, part{"content-length", "5"}, part{"transfer-encoding", "chunked"})
	f("unknown-coding", "POST", "/", host, part{"transfer-encoding", "gzip"})
	f("bad-length", "CONNECT", "a:443", part{"host", "a:443"}, part{"content-length", "1"})
	f("bad-expect", "GET", "/", host, part{"expect", "x"})
	f("too-many-fields", "GET", "/", host, host2("1"), host2("2"), host2("3"), host2("4"))
	f("line-too-long", "GET", "/"+strings.Repeat("x", 47), host)
	f("none", "GET", "/"+strings.Repeat("x", 46), host)
	f("head-too-large", "GET", "/", host, part{"x", strings.Repeat("x", 180)})
	f("head-too-large", "GET", "/"+strings.Repeat("x", 40), host, part{"x", strings.Repeat("x", 140)})
}

func host2(n string) part { return part{"x-" + n, n} }

func TestBuildResponse(t *testing.T) {
	lim := DefaultLimits()
	f := func(status int, length, want string) {
		t.Helper()
		var h Head
		b := []byte("content-length" + length)
		if length != "" {
			h.Add(b, Field{Name: Place(0, 14), Value: Place(14, len(b)), ID: ContentLength}, &lim)
		}
		why := h.CompleteResponse(b, status, &lim)
		if got := outcome(true, why, h.Response(false, false)); got != want {
			t.Errorf("%d with %q is %s, want %s", status, length, got, want)
		}
		if n, ok := h.ContentLength(); why == OK && (fmt.Sprint(n) != length && ok || ok != (length != "")) {
			t.Errorf("%d with %q has length %d, %v", status, length, n, ok)
		}
	}
	f(200, "", "until close")
	f(200, "7", "length 7")
	f(304, "7", "none")
	f(99, "", "bad-status")
	f(1000, "", "bad-status")
	if why := new(Head).CompleteResponse(nil, 200, &Limits{Head: 5}); why != HeadTooLarge {
		t.Error(why)
	}
}

// FuzzBuild: what is built is what parsing the same head in lines gives, and nothing else is built.
func FuzzBuild(f *testing.F) {
	f.Add("GET", "/", "a", "x", "y", "content-length", "5")
	f.Add("POST", "/ ", "a", "x\r\n", "y\n", "transfer-encoding", "chunked")
	f.Add("CONNECT", "a:1", "a:1", "connection", "close, host", "upgrade", "x")
	f.Add("GET", "http://a", "A", "expect", "100-continue", "te", "trailers")
	f.Fuzz(func(t *testing.T, method, target, host, n1, v1, n2, v2 string) {
		lim := Limits{Head: 4096, Line: 1024, Fields: 3}
		fields := []part{{"host", host}, {n1, v1}, {n2, v2}}
		var h, want Head
		b, why := build(&h, &lim, method, target, fields...)
		lines := method + " " + target + " HTTP/1.1\r\n"
		for _, p := range fields {
			lines += p.name + ": " + p.value + "\r\n"
		}
		raw := []byte(lines + "\r\n")
		done, why2 := want.ParseRequest(raw, &lim)
		same := done && want.Len == len(raw) && string(want.Method.In(raw)) == method && string(want.Target.Raw.In(raw)) == target && len(want.Fields) == 3
		for i := range fields {
			same = same && string(want.Fields[i].Name.In(raw)) == fields[i].name && string(want.Fields[i].Value.In(raw)) == fields[i].value
		}
		if same != (why == OK) {
			t.Fatalf("%q: built %s, parsed %v %s", raw, why, done, why2)
		}
		if why != OK {
			return
		}
		if h.Body != want.Body || h.Close != want.Close || h.KeepAlive != want.KeepAlive || h.Upgrades != want.Upgrades ||
			h.Continue != want.Continue || h.TrailersOK != want.TrailersOK || h.HostAt != want.HostAt || h.Target.Form != want.Target.Form ||
			string(h.Target.Path.In(b)) != string(want.Target.Path.In(raw)) || string(h.Target.Query.In(b)) != string(want.Target.Query.In(raw)) {
			t.Fatalf("%q: built %+v, parsed %+v", raw, h, want)
		}
	})
}

func TestAddTrailer(t *testing.T) {
	f := func(want Refusal, name, value string) {
		t.Helper()
		var c Chunks
		if why := c.AddTrailer([]byte(name), []byte(value)); why != want {
			t.Errorf("%q: %q is %s, want %s", name, value, why, want)
		}
		if c.HasTrailers() != (want == OK) {
			t.Errorf("%q: %q is there", name, value)
		}
	}
	f(OK, "grpc-status", "0")
	f(BadTrailer, "content-length", "5")
	f(BadTrailer, "host", "a")
	f(BadName, "a b", "c")
	f(BareCR, "a", "b\r\nc: d")
	f(BadValue, "a", " b")
	f(TrailerTooLarge, "a", strings.Repeat("x", 8<<10))
	var c Chunks
	c.AddTrailer([]byte("a"), []byte("b"))
	c.AddTrailer([]byte("c"), []byte(""))
	if got := string(AppendLastChunk(nil, &c)); got != "0\r\na: b\r\nc: \r\n\r\n" {
		t.Errorf("%q", got)
	}
}
