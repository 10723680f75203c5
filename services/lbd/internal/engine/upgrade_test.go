package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestUnaskedUpgrade: a member that changes the protocol where nobody has asked for that, or not for that one, is a bad gateway, and its
// connection is not used again.
func TestUnaskedUpgrade(t *testing.T) {
	const h2c, connection = "Upgrade: h2c\r\n", "Connection: Upgrade\r\n"
	ended := make(chan error, 10)
	answer := make(chan string, 1)
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			ended <- err
			return
		}
		if up := req.Header.Get("Upgrade"); up != "" && up != "websocket" {
			t.Errorf("Upgrade: %s gets to a member", up)
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, <-answer)
		_, err = r.ReadByte() // nothing more comes
		ended <- err
	})
	framed := scriptedH2(t, func(m *h2Script, what string, id uint32) {
		if what == "end" {
			m.answer(id, 101, false)
		}
	})
	for _, tt := range []struct {
		name, head string // of the request: empty for one by HTTP/2
		answer     string
	}{
		{"not asked, h2c", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", connection + h2c},
		{"not asked, websocket", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", connection + "Upgrade: websocket\r\n"},
		{"not asked, nothing", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"asked for another, h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", connection + h2c},
		{"asked for another", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", connection + "Upgrade: other\r\n"},
		{"asked, not said", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", connection},
		{"asked, not of the connection", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "Upgrade: websocket\r\n"},
		{"asked for h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", connection + h2c},
		{"asked for either", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", connection + h2c},
		{"with content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", connection + h2c},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n", connection + "Upgrade: websocket\r\n"},
		{"by HTTP/2", "", connection + h2c},
		{"by HTTP/2 with content", "content", connection + "Upgrade: websocket\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
			r := new(over).startH2(t, s)
			answer <- "HTTP/1.1 101 Switching Protocols\r\n" + tt.answer + "\r\n"
			if strings.Contains(tt.head, "HTTP/") {
				c, br := r.dial(t)
				io.WriteString(c, tt.head)
				res, err := http.ReadResponse(br, nil)
				if err != nil || res.StatusCode != 502 {
					t.Fatal(res, err)
				}
			} else {
				h := r.rawH2(t)
				var id uint32
				if tt.head == "" {
					id = h.get("/")
				} else {
					id = h.post("/")
					h.upload(id, []byte("hi"), true)
				}
				h.expect(fmt.Sprintf("head %d :status=502…", id))
			}
			if rec := s.last(t); rec.Reason != BadUpgrade || rec.Retries != 0 {
				t.Errorf("%+v", rec)
			}
			if err := next(t, ended); err == nil {
				t.Error("the member's connection goes on")
			}
		})
	}
	t.Run("the member by HTTP/2", func(t *testing.T) {
		s := &site{members: []netip.AddrPort{framed}, via: &Transport{HTTP2: true}, done: make(chan struct{}, 10)}
		s.plan = func(_ *Request, p *Plan) { p.Retries = 0 }
		h := new(over).startH2(t, s).rawH2(t)
		h.get("/")
		h.expect("head 1 :status=502…")
		if rec := s.last(t); rec.Reason != BadAnswer {
			t.Errorf("%+v", rec)
		}
	})
	t.Run("asked by HTTP/2", func(t *testing.T) { // RFC 9113 section 8.2.2
		s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
		h := new(over).startH2(t, s).rawH2(t)
		h.request(true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "connection", "upgrade", "upgrade", "websocket")
		h.expect("reset 1 PROTOCOL_ERROR")
	})
}
