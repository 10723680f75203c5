package udp

import (
	encoding "encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/binary"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/text"
)

const testNow = 1_700_000_000

var (
	local    = netip.MustParseAddr("127.0.0.1")
	stranger = netip.MustParseAddr("192.0.2.7")
)

func newEnv(t testing.TB) *session.Env {
	t.Helper()
	store, err := engine.New(engine.Options{Memory: 64 << 20, MaxItem: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	env := &session.Env{Store: store, Clock: new(session.Clock), Started: testNow - 62}
	env.Clock.Set(testNow)
	return env
}

func factory(first byte, p *session.Peer) session.Session {
	if first == binaryRequest {
		return binary.New(p, &binary.Options{Version: "1.6.18"})
	}
	return text.New(p)
}

func newServer(t testing.TB, c Config) *Server {
	t.Helper()
	s, err := NewServer(Options{Config: c, Env: newEnv(t), New: factory})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newHandler(t testing.TB, s *Server) *handler {
	h := &handler{srv: s, peer: &session.Peer{Env: s.o.Env, Transport: session.UDP, Meter: session.NewMeter(), Note: new(session.LoopCount)}}
	t.Cleanup(h.end)
	return h
}

func framed(f Frame, body string) []byte {
	var b [frameLen]byte
	f.put(&b)
	return append(b[:], body...)
}

// ask has a body answered in a frame of its own.
func (h *handler) ask(from netip.Addr, body string) string {
	_, answer := h.handle(framed(Frame{ID: 1, Total: 1}, body), from, 0)
	return string(answer)
}

func packet(op byte, key string) string {
	b := make([]byte, binaryHeaderLen)
	b[0], b[1] = binaryRequest, op
	encoding.BigEndian.PutUint16(b[2:], uint16(len(key)))
	encoding.BigEndian.PutUint32(b[8:], uint32(len(key)))
	return string(b) + key
}

func TestTrustedIsServedInFull(t *testing.T) {
	h := newHandler(t, newServer(t, Config{}))
	f := func(body, want string) {
		t.Helper()
		if got := h.ask(local, body); got != want {
			t.Errorf("%.40q: %.80q, want %.80q", body, got, want)
		}
	}
	long := strings.Repeat("v", 300_000)
	f("set a 0 0 1\r\nx\r\n", "STORED\r\n")
	f("set long 0 0 300000\r\n"+long+"\r\n", "STORED\r\n")
	f("get a long a\r\n", "VALUE a 0 1\r\nx\r\nVALUE long 0 300000\r\n"+long+"\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	f("get a\r\nget b\r\nmn\r\n", "VALUE a 0 1\r\nx\r\nEND\r\nEND\r\nMN\r\n")
	f("set a 0 0 1 noreply\r\ny\r\n", "")
	f("get a\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n")
	f("get a", "") // no line: nothing is kept of it
	f("get a\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n")
	f("set a 0 0 5000\r\nabc", "")
	f("get a\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n")
	f("quit\r\nget a\r\n", "")
	f("nosuch\r\n", "ERROR\r\n")
	f("lru_crawler metadump all\r\n", "")
	f(packet(0x0a, "")+packet(0x0a, ""), "\x81\x0a"+strings.Repeat("\x00", 22)+"\x81\x0a"+strings.Repeat("\x00", 22))
	f(packet(0x00, "none"), "\x81\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09"+strings.Repeat("\x00", 12)+"Not found")
	f("get a\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n")
}

func TestFrames(t *testing.T) {
	s := newServer(t, Config{})
	h := newHandler(t, s)
	f := func(d []byte, want string) {
		t.Helper()
		if _, got := h.handle(d, local, 0); string(got) != want {
			t.Errorf("%x: %q, want %q", d, got, want)
		}
	}
	f(nil, "")
	f([]byte("\x00\x00\x00\x00\x00\x01\x00"), "")
	f(framed(Frame{Total: 1}, ""), "")
	f(framed(Frame{Total: 2}, "get a\r\n"), "")
	f(framed(Frame{Total: 0}, "get a\r\n"), "")
	f(framed(Frame{ID: 9, Seq: 3, Total: 1, Reserved: 7}, "get a\r\n"), "END\r\n") // memcached does not look at these
	if c := s.Counts(); c.Short.Load() != 3 || c.Fragmented.Load() != 2 {
		t.Errorf("%d short, %d fragmented; want 3 and 2", c.Short.Load(), c.Fragmented.Load())
	}
}

// TestStrangers asks for everything: nothing but reads is served, and no answer weighs more than its request.
func TestStrangers(t *testing.T) {
	s := newServer(t, Config{})
	h := newHandler(t, s)
	h.ask(local, "set a 0 0 1\r\nx\r\n")
	h.ask(local, "set long 0 0 3000\r\n"+strings.Repeat("v", 3000)+"\r\n")
	f := func(body, want string) {
		t.Helper()
		got := h.ask(stranger, body)
		if got != want {
			t.Errorf("%.60q: %q, want %q", body, got, want)
		}
		if len(got) > 0 && weight(len(got)) > weight(len(body)) {
			t.Errorf("%.60q: an answer of %d bytes to %d", body, len(got), len(body))
		}
	}
	f("get b\r\n", "END\r\n")
	f("get a\r\n", "ERROR\r\n")
	f("get a b c d e f g h i j k\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n")
	f("get "+strings.Repeat("b ", 100)+"long\r\n", "SERVER_ERROR larger than the request: send a cookie\r\n")
	f("gets b\r\n", "END\r\n")
	f("get a\n", "") // the error would not fit, and so nothing is answered
	h.ask(local, "set a 0 0 1\r\nx\r\n")
	f(packet(0x00, "a"), "\x81\x00\x00\x00\x00\x00\x00\x20"+strings.Repeat("\x00", 16))
	f(packet(0x00, "no"), "\x81\x00\x00\x00\x00\x00\x00\x20"+strings.Repeat("\x00", 16))
	f(packet(0x09, "none"), "")
	f(packet(0x0a, ""), "\x81\x0a"+strings.Repeat("\x00", 22))
	before := s.Counts().Refused.Load()
	refused := []string{
		"set a 0 0 1\r\nz\r\n", "delete a\r\n", "stats\r\n", "version\r\n", "gat 0 a\r\n", "mg a v\r\n", "get a\r\nflush_all\r\n", "get a", "get a\r\n\n",
		"flush_all\r\n", "verbosity 1\r\n", "lru_crawler metadump all\r\n", "watch\r\n", " get a\r\n", "incr a 1\r\n", "cookie\r\n", "cookie \r\n", "cookie x\r\n",
		packet(0x01, "a"), packet(0x10, ""), packet(0x1d, "a"), packet(0x08, ""), packet(0x00, "a") + packet(0x04, "a"), packet(0x00, "abc")[:25], "\x80", "\x81",
	}
	for _, body := range refused {
		f(body, "")
	}
	if got := int(s.Counts().Refused.Load() - before); got != len(refused) {
		t.Errorf("%d refused, want %d", got, len(refused))
	}
	if got := h.ask(local, "get a\r\n"); got != "VALUE a 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("a stranger has changed something: %q", got)
	}
}

func TestCookies(t *testing.T) {
	s := newServer(t, Config{})
	h := newHandler(t, s)
	clock := s.o.Env.Clock
	h.ask(local, "set long 0 0 3000\r\n"+strings.Repeat("v", 3000)+"\r\n")
	full := "VALUE long 0 3000\r\n" + strings.Repeat("v", 3000) + "\r\nEND\r\n"
	padding := strings.Repeat("p", cookieDigits)
	give := func(from netip.Addr) string {
		t.Helper()
		got := h.ask(from, "cookie "+padding+"\r\n")
		if len(got) != cookieLine || !strings.HasPrefix(got, "COOKIE ") {
			t.Fatalf("%q is no cookie", got)
		}
		return got[len("COOKIE "):]
	}
	line := "cookie " + give(stranger)
	if got := h.ask(stranger, line+"get long\r\n"); got != full {
		t.Errorf("with a cookie: %.60q", got)
	}
	if got := h.ask(stranger, line+packet(0x00, "long")); len(got) != binaryHeaderLen+4+3000 {
		t.Errorf("binary with a cookie: %d bytes", len(got))
	}
	if got := h.ask(stranger, line+"set long 0 0 1\r\nx\r\n"); got != "" {
		t.Errorf("a set with a cookie: %q", got)
	}
	if got := h.ask(local, line+"get long\r\n"); got == full {
		t.Error("the cookie of another address served")
	}
	if got := h.ask(local, "cookie "+give(local)+"get long\r\n"); got != full {
		t.Errorf("a trusted source with a cookie: %.60q", got)
	}
	other := netip.MustParseAddr("192.0.2.8")
	if got := h.ask(other, line+"get long\r\n"); !strings.HasPrefix(got, "COOKIE ") || "cookie "+got[7:] == line {
		t.Errorf("another address with the cookie: %q, want its own", got)
	}
	clock.Set(testNow + cookieEpoch)
	if got := h.ask(stranger, line+"get long\r\n"); got != full {
		t.Errorf("the cookie an epoch later: %.60q", got)
	}
	clock.Set(testNow + 2*cookieEpoch)
	if got := h.ask(stranger, line+"get long\r\n"); !strings.HasPrefix(got, "COOKIE ") {
		t.Errorf("the cookie two epochs later: %.60q", got)
	}
}

func TestNetworksAreLimited(t *testing.T) {
	s := newServer(t, Config{Rate: 10, Burst: 3})
	h := newHandler(t, s)
	f := func(from string, ns int64, want bool) {
		t.Helper()
		_, answer := h.handle(framed(Frame{Total: 1}, "get none\r\n"), netip.MustParseAddr(from), ns)
		if (answer != nil) != want {
			t.Errorf("%s at %v: answered %v", from, time.Duration(ns), !want)
		}
	}
	f("192.0.2.1", 0, true)
	f("192.0.2.2", 0, true)
	f("192.0.2.3", 0, true)
	f("192.0.2.4", 0, false)
	f("192.0.3.4", 0, true)
	f("127.0.0.1", 0, true)
	f("192.0.2.4", 1e8, true)
	f("192.0.2.5", 1e8, false)
	for i := range 3 {
		f(fmt.Sprintf("2001:db8:0:%x::1", i), 0, true)
	}
	f("2001:db8:0:ff::1", 0, false)
	f("2001:db8:0:100::1", 0, true)
	if n := s.Counts().Limited.Load(); n != 3 {
		t.Errorf("%d limited, want 3", n)
	}
}

// TestLongAnswersCost has a proven stranger use up its network's tokens by one long answer.
func TestLongAnswersCost(t *testing.T) {
	s := newServer(t, Config{Rate: 1, Burst: 10})
	h := newHandler(t, s)
	h.ask(local, "set long 0 0 30000\r\n"+strings.Repeat("v", 30_000)+"\r\n")
	line := "cookie " + h.ask(stranger, "cookie "+strings.Repeat("p", cookieDigits)+"\r\n")[7:]
	if got := h.ask(stranger, line+"get long\r\n"); len(got) < 30_000 {
		t.Fatalf("%d bytes", len(got))
	}
	if got := h.ask(stranger, "get none\r\n"); got != "" {
		t.Errorf("answered after %d datagrams: %q", datagrams(30_000), got)
	}
}

func TestDeny(t *testing.T) {
	s := newServer(t, Config{Deny: true, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	h := newHandler(t, s)
	if got := h.ask(local, "get none\r\n") + h.ask(local, "cookie "+strings.Repeat("p", 30)+"\r\n"); got != "" {
		t.Errorf("a stranger got %q", got)
	}
	if got := h.ask(stranger, "get none\r\n"); got != "END\r\n" || s.Counts().Denied.Load() != 2 {
		t.Errorf("a trusted source got %q; %d denied", got, s.Counts().Denied.Load())
	}
}

func TestAnswersAreBounded(t *testing.T) {
	s := newServer(t, Config{MaxAnswer: 100_000})
	h := newHandler(t, s)
	h.ask(local, "set a 0 0 40000\r\n"+strings.Repeat("v", 40_000)+"\r\n")
	if got := h.ask(local, "get a a\r\n"); len(got) < 80_000 {
		t.Errorf("two values: %d bytes", len(got))
	}
	if got := h.ask(local, "get a a a\r\n"); got != errTooLarge {
		t.Errorf("three values: %.60q", got)
	}
	if got := h.ask(local, strings.Repeat(packet(0x00, "a"), 3)); got != "" {
		t.Errorf("three values in binary: %.60q", got)
	}
	if got := h.ask(local, "get none\r\n"); got != "END\r\n" || s.Counts().Oversize.Load() != 2 {
		t.Errorf("afterwards %q; %d too large", got, s.Counts().Oversize.Load())
	}
}

func TestNewServerRefuses(t *testing.T) {
	f := func(o Options, change func(env *session.Env)) {
		t.Helper()
		o.Env = newEnv(t)
		if change != nil {
			change(o.Env)
		}
		if _, err := NewServer(o); err == nil {
			t.Errorf("%+v: no error", o.Config)
		}
	}
	f(Options{}, func(env *session.Env) { env.SASL = true })
	f(Options{}, func(env *session.Env) { env.TextAuth = true })
	f(Options{Config: Config{Rate: -1}}, nil)
	f(Options{Config: Config{Networks: -1}}, nil)
	f(Options{Config: Config{Networks: 1 << 30}}, nil)
}

// TestHandleAllocates no more than the sessions do.
func TestHandleAllocates(t *testing.T) {
	s := newServer(t, Config{})
	h := newHandler(t, s)
	h.ask(local, "set a 0 0 1\r\nx\r\n")
	for _, body := range []string{"get a none\r\n", packet(0x00, "a")} {
		in := []byte(body)
		direct := factory(in[0], h.peer)
		defer direct.End()
		var out session.Out
		own := testing.AllocsPerRun(1000, func() {
			out.Buf = out.Buf[:0]
			direct.Step(in, &out)
		})
		d := framed(Frame{Total: 1}, body)
		if n := testing.AllocsPerRun(1000, func() { h.handle(d, local, 0) }); n > own {
			t.Errorf("%.10q: %.1f allocations, of which the session's are %.1f", body, n, own)
		}
	}
}

// FuzzHandle gives any datagram of a stranger: nothing is changed, and no answer weighs more than it.
func FuzzHandle(f *testing.F) {
	f.Add([]byte("get a long\r\n"))
	f.Add([]byte("gets a\r\n"))
	f.Add([]byte("cookie aaaaaaaaaaaaaaaaaaaaa\r\n"))
	f.Add([]byte("cookie aaaaaaaaaaaaaaaa\r\nget long\r\n"))
	f.Add([]byte("set a 0 0 1\r\nz\r\n"))
	f.Add([]byte(packet(0x00, "long") + packet(0x0a, "")))
	f.Add([]byte(packet(0x1d, "a")))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newServer(t, Config{})
		h := newHandler(t, s)
		h.ask(local, "set a 7 0 1\r\nx\r\n")
		h.ask(local, "set long 0 0 3000\r\n"+strings.Repeat("v", 3000)+"\r\n")
		cas := h.ask(local, "gets a\r\n")
		if answer := h.ask(stranger, string(body)); len(answer) > 0 && weight(len(answer)) > weight(len(body)) {
			t.Errorf("%q: %d bytes answered to %d", body, len(answer), len(body))
		}
		if got := h.ask(local, "gets a\r\n"); got != cas {
			t.Errorf("%q: changed an item to %q", body, got)
		}
		// The same from a trusted source may do anything but fail, and leaves nothing behind.
		h.ask(local, string(body))
		if got := h.ask(local, "nosuch\r\n"); got != "ERROR\r\n" {
			t.Errorf("%q: then %q", body, got)
		}
	})
}
