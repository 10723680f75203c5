package affinity

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/google/go-cmp/cmp"
)

// request is "/path?query" with lines "Name: value" behind it.
type request struct {
	path, query []byte
	fields      [][2][]byte
}

func (r *request) Path() []byte                     { return r.path }
func (r *request) Query() []byte                    { return r.query }
func (r *request) Fields() int                      { return len(r.fields) }
func (r *request) Field(i int) (name, value []byte) { return r.fields[i][0], r.fields[i][1] }

func read(text string) *request {
	target, lines, _ := strings.Cut(text, "\n")
	p, q, ok := strings.Cut(target, "?")
	r := &request{path: []byte(p)}
	if ok {
		r.query = []byte(q)
	}
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.fields = append(r.fields, [2][]byte{[]byte(name), []byte(value)})
		}
	}
	return r
}

func TestParseKeyRefuses(t *testing.T) {
	f := func(text string, v4, v6 int, want string) {
		t.Helper()
		if _, err := ParseKey(text, v4, v6); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	f("ip", 32, 64, `affinity: "ip" is no key`)
	f("", 32, 64, `affinity: "" is no key`)
	f("uri x", 32, 64, `affinity: "uri x" has a name too many or too few`)
	f("header", 32, 64, `affinity: "header" has a name too many or too few`)
	f("cookie a b", 32, 64, `affinity: "a b" is no name of a cookie`)
	f("query ", 32, 64, `affinity: "" is no name of a query`)
	f("source", 33, 64, `affinity: 33 and 64 bits of an address`)
	f("source", 32, -1, `affinity: 32 and -1 bits of an address`)
}

// Requests are alike for a key, or are not, or have none.
func TestKeys(t *testing.T) {
	hash := func(key, text, client string) (uint64, bool) {
		k, err := ParseKey(key, 24, 64)
		if err != nil {
			t.Fatal(err)
		}
		return k.Hash(read(text), netip.MustParseAddr(client))
	}
	f := func(key, a, b string, alike bool) {
		t.Helper()
		at := func(text string) (uint64, bool) {
			client := "192.0.2.1"
			if head, rest, ok := strings.Cut(text, "|"); ok {
				client, text = head, rest
			}
			return hash(key, text, client)
		}
		ha, oka := at(a)
		hb, okb := at(b)
		if !oka || !okb || (ha == hb) != alike {
			t.Errorf("%s of %q and %q: %x %v, %x %v", key, a, b, ha, oka, hb, okb)
		}
	}
	none := func(key, a string) {
		t.Helper()
		if h, ok := hash(key, a, "192.0.2.1"); ok {
			t.Errorf("%s of %q is %x", key, a, h)
		}
	}
	f("uri", "/a?x", "/a?x\nH: 1", true)
	f("uri", "/a?x", "/a?y", false)
	f("uri", "/a", "/a?", false)
	f("path", "/a?x", "/a?y", true)
	f("path", "/a", "/b", false)
	f("header X-User", "/\nx-user: 1", "/b\nA: b\nX-USER: 1\nX-User: 2", true)
	f("header X-User", "/\nX-User: 1", "/\nX-User: 2", false)
	none("header X-User", "/\nX-Use: 1")
	f("cookie u", "/\nCookie: u=1", "/\nCookie: v=2;\t u=1 ; u=3", true)
	f("cookie u", "/\nCookie: v=2\nCookie: u=1", "/\nCookie: u=", false)
	none("cookie u", "/\nCookie: U=1; uu=1; u")
	f("query u", "/?u=1", "/b?v=2&u=1&u=2", true)
	f("query u", "/?u=1", "/?u", false)
	none("query u", "/?uu=1&U=1")
	none("query u", "/")
	f("source", "192.0.2.1|/", "192.0.2.200|/", true)
	f("source", "192.0.2.1|/", "::ffff:192.0.2.200|/", true)
	f("source", "192.0.2.1|/", "192.0.3.1|/", false)
	f("source", "2001:db8::1|/", "2001:db8::2:0:0:0%eth0|/", true)
	f("source", "2001:db8::1|/", "2001:db8:0:1::1|/", false)
	if k, _ := ParseKey("source", 32, 64); k != nil {
		if _, ok := k.Hash(read("/"), netip.Addr{}); ok {
			t.Error("no address has a hash")
		}
	}
}

// The hash of a key never changes: the lbds of a fleet are upgraded one after the other, and caches behind them should stay warm.
func TestGoldenKeys(t *testing.T) {
	f := func(key, text string, want uint64) {
		t.Helper()
		k, err := ParseKey(key, 32, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := k.Hash(read(text), netip.MustParseAddr("192.0.2.1")); got != want {
			t.Errorf("%s of %q: %#x", key, text, got)
		}
	}
	f("uri", "/a?b=c", 0xae98f439137d04ee)
	f("path", "/a?b=c", 0xbcfa9bbb5ba7e84)
	f("query b", "/a?b=c", 0xa3dad144c40657ed)
	f("source", "/", 0xde3cbbe5a2240bf0)
}

func sessions(keys ...string) *Sessions {
	var all [][]byte
	for _, k := range keys {
		all = append(all, []byte(k))
	}
	return NewSessions("LB", "web", Attributes{Path: "/", HTTPOnly: true}, all)
}

func TestCookie(t *testing.T) {
	f := func(a Attributes, want string) {
		t.Helper()
		got := NewSessions("LB", "web", a, [][]byte{[]byte("k")}).Cookie(pool.Tag{1, 2, 3})
		if string(got) != want {
			t.Errorf("%s", got)
		}
		if _, err := http.ParseSetCookie(string(got)); err != nil {
			t.Error(err)
		}
	}
	f(Attributes{Path: "/"}, "LB=AQIDAAAAAAAAAAAAAAAAAA; Path=/")
	f(Attributes{Path: "/app", HTTPOnly: true, Secure: true, SameSite: "None", MaxAge: time.Hour},
		"LB=AQIDAAAAAAAAAAAAAAAAAA; Path=/app; Max-Age=3600; HttpOnly; Secure; SameSite=None")
}

// Whoever has the secret knows the names of members, in every process; an older secret's are still known while it is rotated.
func TestTags(t *testing.T) {
	old, both := sessions("old"), sessions("new", "old")
	a := both.Tags("10.0.0.1:80")
	if diff := cmp.Diff(old.Tags("10.0.0.1:80"), a[1:]); diff != "" {
		t.Error(diff)
	}
	all := map[pool.Tag]bool{a[0]: true, a[1]: true, both.Tags("10.0.0.2:80")[0]: true}
	other := NewSessions("LB", "api", Attributes{}, [][]byte{[]byte("new")})
	all[other.Tags("10.0.0.1:80")[0]] = true
	if len(all) != 4 {
		t.Errorf("names are shared: %v", all)
	}
	if text := string(both.Cookie(a[0])); strings.Contains(text, "10.0") {
		t.Errorf("the cookie tells an address: %s", text)
	}
}

func TestFind(t *testing.T) {
	s := sessions("k")
	tag := s.Tags("a:1")[0]
	cookie, _, _ := strings.Cut(string(s.Cookie(tag)), ";")
	f := func(fields string, want bool) {
		t.Helper()
		if got, ok := s.Find(read("/\n" + fields)); ok != want || ok && got != tag {
			t.Errorf("%q: %v %v", fields, got, ok)
		}
	}
	f("Cookie: "+cookie, true)
	f("cookie: a=b; "+cookie+"; c=d", true)
	f("Cookie: LB=x; LB=; LB\nCookie: "+cookie, true) // others set the name for another path
	f("Cookie: "+strings.ToLower(cookie[:2])+cookie[2:], false)
	f("Cookie: "+cookie[:len(cookie)-1], false)
	f("Cookie: "+cookie+"A", false)
	f("Cookie: "+cookie[:len(cookie)-1]+"_", false) // bits that no tag has
	f("X-Cookie: "+cookie, false)
	f("", false)
}

func TestNothingIsAllocated(t *testing.T) {
	s := sessions("k")
	req := read("/p?u=1\nA: b\nCookie: a=b; " + strings.TrimSuffix(string(s.Cookie(pool.Tag{9})), "; Path=/; HttpOnly"))
	addr := netip.MustParseAddr("2001:db8::1")
	for _, text := range []string{"uri", "path", "header A", "cookie a", "query u", "source"} {
		k, err := ParseKey(text, 32, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { k.Hash(req, addr) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Find(req) }); n != 0 {
		t.Errorf("a cookie: %v allocations", n)
	}
}

// FuzzFind holds that what is found is what net/http finds, whatever a client sends, and that only its own text makes a tag.
func FuzzFind(f *testing.F) {
	s := sessions("k")
	cookie := strings.TrimSuffix(string(s.Cookie(s.Tags("a:1")[0])), "; Path=/; HttpOnly")
	for _, seed := range []string{cookie, "a=b; " + cookie, "LB=;;=; LB", cookie + ";" + cookie, "\"" + cookie, "LB=\"" + cookie[3:] + "\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		req := &request{fields: [][2][]byte{{[]byte("Cookie"), value}}}
		got, ok := s.Find(req)
		text := s.encoding.EncodeToString(got[:])
		if ok && !bytes.Contains(value, []byte("LB="+text)) {
			t.Fatalf("%q gives %s", value, text)
		}
		want := false
		for _, c := range (&http.Request{Header: http.Header{"Cookie": {string(value)}}}).Cookies() {
			want = want || c.Name == "LB" && !c.Quoted && c.Value == text && ok
		}
		if ok && !want && isPlain(value) {
			t.Fatalf("net/http does not find %s in %q", text, value)
		}
		for _, k := range []string{"cookie LB", "header Cookie"} {
			key, err := ParseKey(k, 32, 64)
			if err != nil {
				t.Fatal(err)
			}
			key.Hash(req, netip.Addr{})
		}
	})
}

// isPlain reports whether net/http takes all of the field's value for cookies.
func isPlain(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r <= ' ' && r != ' ' || r >= 0x7f || r == '"' || r == '\\' || r == ',' }) < 0
}
