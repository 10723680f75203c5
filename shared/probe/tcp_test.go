package probe

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

func TestTCP(t *testing.T) {
	labtest.LeakCheck(t)
	echo := serve(t, func(c net.Conn) { io.Copy(c, c) })
	wantOK(t, check(t, echo, "type: tcp"), "connected")
	wantOK(t, check(t, echo, "type: tcp\ntcp: {reset: true}"), "connected")
	wantOK(t, check(t, echo, `{type: tcp, tcp: {send: "HELLO\r\n", expect: "^HEL+O"}}`), "answered HELLO")
	// More than one read, and more than one growth of the buffer.
	long := strings.Repeat("x", 20000)
	wantOK(t, check(t, echo, `{type: tcp, tcp: {send: "`+long+`END", expect: "END$"}}`))

	refused := serve(t, func(c net.Conn) { io.WriteString(c, "421 busy\r\n") })
	wantBad(t, check(t, refused, "{type: tcp, tcp: {expect: '^220'}}"), fault.Unavailable, "does not match", "421 busy")
	wantBad(t, check(t, labtest.FreeAddr(t), "type: tcp"), fault.Unavailable, "refused")
}

func TestOverrides(t *testing.T) {
	labtest.LeakCheck(t)
	var from string
	addr := serve(t, func(c net.Conn) { from = c.RemoteAddr().String(); io.WriteString(c, "hello\n"); io.Copy(io.Discard, c) })
	host, port, _ := net.SplitHostPort(addr)
	r := check(t, "192.0.2.1:9", "{type: tcp, tcp: {expect: hello}, source: 127.0.0.9, interface: lo, address: "+host+", port: "+port+"}")
	wantOK(t, r)
	if !strings.HasPrefix(from, "127.0.0.9:") {
		t.Errorf("checked from %s, want source 127.0.0.9", from)
	}
	wantBad(t, check(t, addr, "{type: tcp, interface: nosuch0}"), fault.Unavailable, "interface nosuch0")
}

func TestTargetByName(t *testing.T) {
	labtest.LeakCheck(t)
	addr := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	tg := Target{Host: "localhost"}
	wantBad(t, checkTarget(t, Target{}, "type: tcp", patience), fault.Invalid, "neither address nor name")
	_, port, _ := net.SplitHostPort(addr)
	wantOK(t, checkTarget(t, tg, "{type: tcp, port: "+port+"}", patience))
}

func TestTLS(t *testing.T) {
	labtest.LeakCheck(t)
	start := func(cert tls.Certificate, version uint16) string {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		serveOn(t, ln, func(c net.Conn) { io.Copy(io.Discard, c) })
		return ln.Addr().String()
	}
	good, goodCA := certificate(t, days(90))
	addr := start(good, tls.VersionTLS13)
	wantOK(t, check(t, addr, "{type: tls, tls: {ca_file: "+goodCA+"}}"), "TLS 1.3", "expires in 90 days")
	wantBad(t, check(t, addr, "type: tls"), fault.Unavailable, "unknown authority")
	wantOK(t, check(t, addr, "{type: tls, tls: {verify: false}}"))
	r := check(t, addr, "{type: tls, tls: {min_days: 91, ca_file: "+goodCA+"}}")
	if wantOK(t, r); !r.Warn {
		t.Errorf("no warning 90 days before the end with min_days 91: %+v", r)
	}

	expired, expiredCA := certificate(t, days(-3))
	addr = start(expired, tls.VersionTLS12)
	wantBad(t, check(t, addr, "{type: tls, tls: {ca_file: "+expiredCA+"}}"), fault.Unavailable, "expired")
	if r := check(t, addr, "{type: tls, tls: {verify: false, min_days: 0}}"); !r.OK || !r.Warn {
		t.Errorf("expired and not verified: %+v, want a warning", r)
	}

	named, namedCA := certificate(t, days(90), "db.example")
	addr = start(named, tls.VersionTLS13)
	wantBad(t, check(t, addr, "{type: tls, tls: {ca_file: "+namedCA+"}}"), fault.Unavailable, "certificate")
	wantOK(t, check(t, addr, "{type: tls, tls: {server_name: db.example, ca_file: "+namedCA+"}}"))

	addr = start(good, tls.VersionTLS11)
	wantBad(t, check(t, addr, "{type: tls, tls: {verify: false}}"), fault.Unavailable, "TLS handshake")
}

func TestNewRefusesUnreadableCA(t *testing.T) {
	for _, path := range []string{"/nonexistent/ca.pem", "/etc/passwd"} {
		if _, err := New(makeConfig(t, "{type: tls, tls: {ca_file: "+path+"}}")); fault.Of(err) != fault.Config {
			t.Errorf("%s: %v", path, err)
		}
	}
}
