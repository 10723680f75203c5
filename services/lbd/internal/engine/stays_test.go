package engine

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestContentStays: what has come of a request's content, if that is not long, can be sent once more, and what comes afterwards follows it.
func TestContentStays(t *testing.T) {
	f := func(t *testing.T, m mix, length, code int) {
		t.Helper()
		failed := make(chan struct{})
		var first, second netip.AddrPort
		if m.back {
			first = scriptedH2(t, func(c *h2Script, what string, id uint32) {
				if what == "head" {
					c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
					close(failed)
				}
			})
			second = backendH2(t, nil, told)
		} else {
			first = scripted(t, func(c net.Conn, in *bufio.Reader) {
				if r, err := http.ReadRequest(in); err == nil {
					io.ReadFull(r.Body, make([]byte, 100))
				}
				c.Close()
				close(failed)
			})
			second = backend(t, told)
		}
		s := &site{members: []netip.AddrPort{first, second}}
		r := m.start(t, s)
		content := string(noisy(2 * length))
		body, in := io.Pipe()
		go func() {
			io.WriteString(in, content[:length])
			<-failed
			io.WriteString(in, content[length:]) // fails if nobody wants it
			in.Close()
		}()
		req, err := http.NewRequest("POST", "http://"+r.addr, body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		defer body.Close()
		got, _ := io.ReadAll(res.Body)
		want := fmt.Sprintf("POST %d of -1, %08x <nil>", len(content), crc32.ChecksumIEEE([]byte(content)))
		if res.StatusCode != code || code == 200 && !strings.HasPrefix(string(got), want) {
			t.Errorf("%d bytes: %d %q, want %d %q", len(content), res.StatusCode, got, code, want)
		}
	}
	bothFronts(t, func(t *testing.T, m mix) {
		f(t, m, 4000, 200)
	})
	t.Run("in lines", func(t *testing.T) {
		f(t, mix{}, 4000, 502) // it may have been done
	})
}
