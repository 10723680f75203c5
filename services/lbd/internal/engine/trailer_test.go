package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

// TestTrailersPassOnce has an answer with trailers, and one on the same connection that ends with its own connection, whose chunks are
// lbd's.
func TestTrailersPassOnce(t *testing.T) { overAll(t, testTrailersPassOnce) }

func testTrailersPassOnce(t *testing.T, o *over) {
	member := o.scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.URL.Path == "/chunks" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n")
				continue
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\ntwo")
			return
		}
	})
	r := o.start(t, &site{members: []netip.AddrPort{member}})
	c, br := r.dial(t)
	for _, tt := range []struct{ path, body, sum string }{{"/chunks", "one", "1"}, {"/", "two", ""}} {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", tt.path)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != tt.body || res.Trailer.Get("X-Sum") != tt.sum {
			t.Errorf("%s: %q with trailers %v, %v", tt.path, body, res.Trailer, err)
		}
	}
}
