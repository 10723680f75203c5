package engine

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/everup/everup/shared/labtest"
)

// backendH2 runs a server that speaks HTTP/2 alone, over TLS if there are certificates.
func backendH2(t testing.TB, certs *labtest.Certs, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	if certs != nil {
		s.Config.Protocols.SetHTTP2(true)
		s.TLS = certs.Server()
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// h2UpAll runs a test with HTTP/2 to the members, without TLS and with it, behind either protocol in front.
func h2UpAll(t *testing.T, f func(t *testing.T, front *over, via *Transport, certs *labtest.Certs)) {
	certs := labtest.NewCerts(t)
	h2c := &Transport{HTTP2: true}
	t.Run("h2c behind h2c", func(t *testing.T) { f(t, new(over), h2c, nil) })
	t.Run("h2 behind h2", func(t *testing.T) { f(t, &over{front: certs}, &Transport{HTTP2: true, TLS: named(certs)}, certs) })
}

// TestH2Behind has all kinds of messages go to a member of HTTP/2 and back.
func TestH2Behind(t *testing.T) { h2UpAll(t, testH2Behind) }

func testH2Behind(t *testing.T, o *over, via *Transport, certs *labtest.Certs) {
	s := &site{via: via, members: []netip.AddrPort{backendH2(t, certs, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the member is spoken to by %s", r.Proto)
		}
		echo(w, r)
	})}}
	r := o.startH2(t, s)
	two, url := r.h2(t)
	if r.client != nil {
		r.client = r.client.Clone()
		r.client.NextProtos = nil
	}
	one, _ := r.http(t)
	f := func(c *http.Client, method, path, body string, chunked bool, status int, want string) *http.Response {
		t.Helper()
		var in io.Reader
		if body != "" {
			if in = strings.NewReader(body); chunked {
				in = io.MultiReader(in)
			}
		}
		req, err := http.NewRequest(method, url+path, in)
		if err != nil {
			t.Fatal(err)
		}
		if chunked {
			req.Trailer = http.Header{"X-Up": {"up"}}
		}
		req.Host = "host.test"
		res, err := c.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || string(b) != want {
			t.Errorf("%s %s: %d, %d bytes %.40q %v, want %d %.40q", method, path, res.StatusCode, len(b), b, err, status, want)
		}
		if got := res.Header.Get("X-Got"); got != "" && !strings.HasPrefix(got, method+" host.test "+path) {
			t.Errorf("%s %s: the member got %q", method, path, got)
		}
		if up := res.Header.Get("X-Trailer"); chunked && up != "up" {
			t.Errorf("%s %s: trailer %q", method, path, up)
		}
		return res
	}
	for _, c := range []*http.Client{two, one} {
		f(c, "GET", "/x?y", "", false, 200, "")
		f(c, "HEAD", "/", "", false, 200, "")
		f(c, "GET", "/empty", "", false, 204, "")
		f(c, "GET", "/same", "", false, 304, "")
		f(c, "POST", "/", "hello", false, 200, "HELLO")
		f(c, "POST", "/", "hello", true, 200, "HELLO")
		f(c, "PUT", "/", strings.Repeat("x", 300000), false, 200, strings.Repeat("X", 300000))
		f(c, "POST", "/", strings.Repeat("x", 300000), true, 200, strings.Repeat("X", 300000))
		f(c, "GET", "/large", "", false, 200, strings.Repeat("x", 1<<20))
		if res := f(c, "GET", "/trailers", "", false, 200, ""); res.ProtoMajor == 2 && res.Trailer.Get("X-Sum") != "1" { // HTTP/1 has none beside a length
			t.Errorf("trailers %v", res.Trailer)
		}
		testEarly(t, c, url)
	}
	if n := r.Counts().Connected; n != 1 {
		t.Errorf("%d connections to the member", n)
	}
}

// TestH2BehindTogether has many requests share connections.
func TestH2BehindTogether(t *testing.T) { h2UpAll(t, testH2BehindTogether) }

func testH2BehindTogether(t *testing.T, o *over, via *Transport, certs *labtest.Certs) {
	s := &site{via: via, members: []netip.AddrPort{backendH2(t, certs, echo)}}
	r := o.startH2(t, s)
	c, url := r.h2(t)
	var wg sync.WaitGroup
	for i := range 150 {
		wg.Go(func() {
			body := strings.Repeat(string(rune('a'+i%26)), 1+i*300)
			res, err := c.Post(url, "", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != strings.ToUpper(body) {
				t.Errorf("request %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
	if n := r.Counts().Connected; n > 3 {
		t.Errorf("%d connections to the member", n)
	}
}

// TestH2Conversation: what one side says the other hears before either has ended, as RPCs need.
func TestH2Conversation(t *testing.T) { h2UpAll(t, testH2Conversation) }

func testH2Conversation(t *testing.T, o *over, via *Transport, certs *labtest.Certs) {
	s := &site{via: via, members: []netip.AddrPort{backendH2(t, certs, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			w.Write(b[:n])
			http.NewResponseController(w).Flush()
			if err != nil {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", fmt.Sprint(err == io.EOF))
				return
			}
		}
	})}}
	r := o.startH2(t, s)
	h := r.rawH2(t)
	id := h.post("/", "te", "trailers")
	h.expect("head 1 :status=200")
	for _, word := range []string{"one", "two", "three"} {
		h.WriteData(id, false, []byte(word))
		h.expect(fmt.Sprintf("data 1 %q", word))
	}
	h.WriteData(id, true, nil)
	h.expect("head 1 end grpc-status=true")
}

// h2Member runs a server that gives each connection of HTTP/2 to f, with its frames.
func h2Member(t testing.TB, f func(n int, c net.Conn, fr *http2.Framer)) netip.AddrPort {
	t.Helper()
	return served(t, func(n int, c net.Conn) {
		io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		fr := http2.NewFramer(c, c)
		fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
		f(n, c, fr)
	})
}

// requests calls f with each request's stream until the connection ends.
func requests(fr *http2.Framer, f func(id uint32)) {
	for {
		x, err := fr.ReadFrame()
		if err != nil {
			return
		}
		if h, ok := x.(*http2.HeadersFrame); ok {
			f(h.StreamID)
		}
	}
}

// TestH2MemberBreaks has members that end streams and connections.
func TestH2MemberBreaks(t *testing.T) {
	ok := []byte{0x88}
	path := make(chan string, 1)
	member := h2Member(t, func(n int, c net.Conn, fr *http2.Framer) {
		requests(fr, func(id uint32) {
			head := func(block []byte, end bool) {
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: end})
			}
			switch <-path {
			case "fine":
				head(ok, true)
			case "cut":
				head(ok, false)
				fr.WriteData(id, false, []byte("some"))
				c.Close()
			case "reset":
				head(ok, false)
				fr.WriteData(id, false, []byte("some"))
				fr.WriteRSTStream(id, http2.ErrCodeInternal)
			case "given up":
				head(ok, false)
				fr.WriteRSTStream(id, http2.ErrCodeCancel)
			case "given up at once":
				fr.WriteRSTStream(id, http2.ErrCodeCancel)
			case "no status":
				head([]byte{0x82}, true)
			case "no block":
				head([]byte{0xff}, true)
			case "away": // and not looked at
				fr.WriteGoAway(id-2, http2.ErrCodeNo, nil)
				path <- "fine"
			case "refused":
				fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				path <- "fine"
			}
		})
	})
	s := &site{via: &Transport{HTTP2: true}, members: []netip.AddrPort{member, member}}
	r := new(over).startH2(t, s)
	h := r.rawH2(t)
	f := func(what string, want ...string) {
		t.Helper()
		path <- what
		method := "GET"
		if what == "given up at once" { // else it would be asked for again
			method = "POST"
		}
		id := h.request(true, ":method", method, ":scheme", "http", ":path", "/", ":authority", "a")
		for i := range want {
			want[i] = fmt.Sprintf(want[i], id)
		}
		h.expect(want...)
	}
	f("fine", "head %d end :status=200")
	f("cut", "head %d :status=200", `data %d "some"`, "reset %d INTERNAL_ERROR")
	f("reset", "head %d :status=200", `data %d "some"`, "reset %d INTERNAL_ERROR")
	f("given up", "head %d :status=200", "reset %d CANCEL")
	f("given up at once", "reset %d CANCEL")
	f("no status", "head %d :status=502…", "data %d end…")
	f("no block", "head %d :status=502…", "data %d end…")
	f("fine", "head %d end :status=200")
	f("away", "head %d end :status=200")
	f("fine", "head %d end :status=200")
}

// TestH2MemberRefuses: a member that takes fewer streams than there are requests is not given more; one that does not speak the protocol is
// no member that answers.
func TestH2MemberRefuses(t *testing.T) {
	var mu sync.Mutex
	var held []func()
	most, now := 0, 0
	came := make(chan struct{}, 10)
	member := h2Member(t, func(_ int, _ net.Conn, fr *http2.Framer) {
		requests(fr, func(id uint32) {
			mu.Lock()
			defer mu.Unlock()
			now++
			most = max(most, now)
			held = append(held, func() {
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			})
			came <- struct{}{}
		})
	})
	s := &site{via: &Transport{HTTP2: true}, members: []netip.AddrPort{member}}
	r := new(over).startH2(t, s)
	h := r.rawH2(t)
	for range 6 {
		h.get("/")
	}
	for range 6 {
		<-came
		mu.Lock()
		answer := held[0]
		held = held[1:]
		now--
		answer()
		mu.Unlock()
		if got := h.frame(); !strings.HasSuffix(got, "end :status=200") {
			t.Fatal(got)
		}
	}
	other := backend(t, echo)
	s.mu.Lock()
	s.members[0] = other
	s.mu.Unlock()
	h.get("/")
	h.expect("head 13 :status=502…", "data 13 end…")
}
