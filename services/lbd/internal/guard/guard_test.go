package guard

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// fake is a connection that only reads.
type fake struct {
	net.Conn
	io.Reader
}

func (f fake) Read(p []byte) (int, error) { return f.Reader.Read(p) }

func through(r io.Reader) string {
	b, err := io.ReadAll(New(fake{Reader: r}, 1<<10))
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

func TestPassesWhatIsStrict(t *testing.T) {
	f := func(in string) {
		t.Helper()
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytewise": iotest.OneByteReader(strings.NewReader(in))} {
			if got := through(r); got != in {
				t.Errorf("%s: got %q, want %q", name, got, in)
			}
		}
	}
	f("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET / HTTP/1.0\r\n\r\n")
	f("GET /?q=%20 HTTP/1.1\r\nHost: a\r\nX: \r\nY:a\tb\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	f("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\ncdGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\na\nb\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n") // net/http says 431
}

func TestRefusesWhatReadersDisagreeOn(t *testing.T) {
	const poison = "?\r\n\r\n"
	f := func(in, passed string) {
		t.Helper()
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytewise": iotest.OneByteReader(strings.NewReader(in))} {
			if got := through(r); got != passed+poison {
				t.Errorf("%s: %q: got %q, want %q", name, in, got, passed+poison)
			}
		}
	}
	h := "POST / HTTP/1.1\r\nHost: a\r\n"
	f(h+"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "")
	f(h+"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST", "")
	f(h+"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "")
	f(h+"Content-Length: +1\r\n\r\na", "")
	f(h+"Content-Length: 1, 1\r\n\r\na", "")
	f(h+"Content-Length: 0x1\r\n\r\na", "")
	f(h+"Content-Length:\r\n\r\n", "")
	f(h+"Content-Length: 99999999999999999999\r\n\r\n", "")
	f(h+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "")
	f(h+"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "")
	f(h+"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "")
	f("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "")
	f(h+"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "")
	f(h+"X: 1\r\n folded\r\n\r\n", "")
	f(h+"Host: b\r\n\r\n", "")
	f("GET / HTTP/1.1\r\n\r\n", "")
	f("GET / HTTP/1.1\nHost: a\n\n", "")
	f("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "")
	f("GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "")
	f("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "")
	f("GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", "")
	f("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "")
	f("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "")
	f("G\tT / HTTP/1.1\r\nHost: a\r\n\r\n", "")
	f("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "")
	f("GET / http/1.1\r\nHost: a\r\n\r\n", "")
	c := h + "Transfer-Encoding: chunked\r\n\r\n"
	f(c+"+1\r\na\r\n0\r\n\r\n", c)
	f(c+"0x1\r\na\r\n0\r\n\r\n", c)
	f(c+" 1\r\na\r\n0\r\n\r\n", c)
	f(c+"1\na\r\n0\r\n\r\n", c)
	f(c+"1;a\rb\r\na\r\n0\r\n\r\n", c)
	f(c+"\r\n", c)
	f(c+"1\r\nab\r\n0\r\n\r\n", c+"1\r\na")
	f(c+"ffffffffffffffffff\r\n", c)
	f(c+"0\r\nbad trailer: 1\r\n\r\n", c+"0\r\n")
	f(c+"0\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", c+"0\r\n")
	f(c+strings.Repeat("0", 5000), c)
}

func TestReleasePassesEverything(t *testing.T) {
	c := New(fake{Reader: strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n\n\x00raw\n\n")}, 1<<10)
	buf := make([]byte, 1<<10)
	n, err := c.Read(buf)
	if err != nil || !bytes.HasSuffix(buf[:n], []byte("Upgrade: x\r\n\r\n")) {
		t.Fatalf("head: %q, %v", buf[:n], err)
	}
	c.Release()
	rest, err := io.ReadAll(c)
	if err != nil || string(rest) != "\n\x00raw\n\n" {
		t.Errorf("after the upgrade: %q, %v", rest, err)
	}
}

// FuzzGuard holds that what is handed on is a prefix of what came in, but for the refusal at its end, and that cutting the
// input into pieces changes nothing.
func FuzzGuard(f *testing.F) {
	f.Add("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET")
	f.Fuzz(func(t *testing.T, in string) {
		whole := through(strings.NewReader(in))
		if pieces := through(iotest.OneByteReader(strings.NewReader(in))); pieces != whole {
			t.Fatalf("in pieces %q, whole %q", pieces, whole)
		}
		kept := strings.TrimSuffix(whole, "?\r\n\r\n")
		plain := func(s string) string { return strings.ReplaceAll(s, "\r\n", "") } // empty lines before a head go
		if !strings.HasPrefix(plain(in), plain(kept)) {
			t.Fatalf("%q became %q", in, whole)
		}
	})
}
