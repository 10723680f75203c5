package engine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/empty":
		w.WriteHeader(204)
		return
	case "/same":
		w.WriteHeader(304)
		return
	case "/early":
		w.Header().Set("Link", "</x>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
	case "/trailers":
		w.Header().Set("Trailer", "X-Sum")
		defer w.Header().Set("X-Sum", "1")
	case "/large":
		w.Write(bytes.Repeat([]byte("x"), 1<<20))
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Got", fmt.Sprintf("%s %s %s %d %v cookie=%q", r.Method, r.Host, r.URL, r.ContentLength, r.TransferEncoding, r.Header["Cookie"]))
	w.Header().Set("X-Trailer", r.Trailer.Get("X-Up"))
	w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
	io.WriteString(w, strings.ToUpper(string(body)))
}

func TestH2(t *testing.T) { h2All(t, testH2) }

func testH2(t *testing.T, o *over) {
	s := &site{members: []netip.AddrPort{backend(t, echo)}}
	s.plan = func(r *Request, p *Plan) {
		switch string(r.Text(r.Head.Target.Path)) {
		case "/own":
			*p = Plan{Status: 403, Reason: "denied", Write: time.Second}
		case "/drop":
			*p = Plan{Drop: true}
		}
		if !r.HTTP2 {
			t.Error("it did not come by HTTP/2")
		}
	}
	r := o.startH2(t, s)
	c, url := r.h2(t)
	host := strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://")
	f := func(method, path, body string, chunked bool, status int, want, got string) *http.Response {
		t.Helper()
		var in io.Reader
		if body != "" {
			if in = strings.NewReader(body); chunked {
				in = io.MultiReader(in) // nobody knows how long it is
			}
		}
		req, err := http.NewRequest(method, url+path, in)
		if err != nil {
			t.Fatal(err)
		}
		if chunked {
			req.Trailer = http.Header{"X-Up": {"up"}}
		}
		req.Header["Cookie"] = []string{"a=1; b=2"}
		res, err := c.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || string(b) != want || res.ProtoMajor != 2 {
			t.Errorf("%s %s: %d %.40q %v, want %d %.40q", method, path, res.StatusCode, b, err, status, want)
		}
		if got != "" && res.Header.Get("X-Got") != strings.ReplaceAll(got, "HOST", host) {
			t.Errorf("%s %s: the member got %q, want %q", method, path, res.Header.Get("X-Got"), got)
		}
		if up := res.Header.Get("X-Trailer"); chunked && up != "up" {
			t.Errorf("%s %s: trailer %q", method, path, up)
		}
		return res
	}
	const cookie = ` cookie=["a=1; b=2"]`
	res := f("GET", "/x?y", "", false, 200, "", "GET HOST /x?y 0 []"+cookie)
	if want := map[bool]string{false: "http", true: "https"}[o.front != nil]; res.Header.Get("X-Proto") != want {
		t.Errorf("X-Forwarded-Proto: %s", res.Header.Get("X-Proto"))
	}
	f("HEAD", "/", "", false, 200, "", "")
	f("GET", "/empty", "", false, 204, "", "")
	f("GET", "/same", "", false, 304, "", "")
	f("POST", "/", "hello", false, 200, "HELLO", "POST HOST / 5 []"+cookie)
	f("POST", "/", "hello", true, 200, "HELLO", "POST HOST / -1 [chunked]"+cookie)
	f("PUT", "/", "hello", true, 200, "HELLO", "PUT HOST / -1 [chunked]"+cookie)
	f("PUT", "/", strings.Repeat("x", 300000), false, 200, strings.Repeat("X", 300000), "PUT HOST / 300000 []"+cookie)
	f("POST", "/", strings.Repeat("x", 300000), true, 200, strings.Repeat("X", 300000), "")
	f("GET", "/large", "", false, 200, strings.Repeat("x", 1<<20), "")
	f("GET", "/own", "", false, 403, "403 Forbidden\n", "")
	f("HEAD", "/own", "", false, 403, "", "")
	if res := f("GET", "/trailers", "", false, 200, "", ""); res.Trailer.Get("X-Sum") != "1" {
		t.Errorf("trailers %v", res.Trailer)
	}
	_, err := c.Get(url + "/drop")
	if e := (http2.StreamError{}); !errors.As(err, &e) || e.Code != http2.ErrCodeCancel {
		t.Errorf("a request that is dropped: %v", err)
	}
	testEarly(t, c, url)
}

// testEarly looks for an interim answer.
func testEarly(t *testing.T, c *http.Client, url string) {
	link := ""
	req, _ := http.NewRequest("GET", url+"/early", nil)
	res, err := c.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			link += fmt.Sprint(code, h.Get("Link"))
			return nil
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || link != "103</x>; rel=preload" {
		t.Errorf("%d after %q", res.StatusCode, link)
	}
}

// TestH2Together has many requests of one connection under way at once.
func TestH2Together(t *testing.T) { h2All(t, testH2Together) }

func testH2Together(t *testing.T, o *over) {
	s := &site{members: []netip.AddrPort{backend(t, echo), backend(t, echo)}}
	r := o.startH2(t, s)
	c, url := r.h2(t)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			body := strings.Repeat(string(rune('a'+i%26)), 1+i*500)
			res, err := c.Post(url, "", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil || string(got) != strings.ToUpper(body) {
				t.Errorf("request %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
	if n := r.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestH2Beside: without TLS both protocols are spoken, whatever comes first in pieces; who speaks neither is not answered.
func TestH2Beside(t *testing.T) {
	s := &site{members: []netip.AddrPort{backend(t, echo)}}
	r := new(over).startH2(t, s)
	c, br := r.dial(t)
	io.WriteString(c, "PR")
	io.WriteString(c, "OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("HTTP/1: %v", err)
	}
	c, _ = r.dial(t)
	for _, b := range []byte(http2.ClientPreface) {
		c.Write([]byte{b})
	}
	fr := http2.NewFramer(c, c)
	if f, err := fr.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
		t.Errorf("HTTP/2: %v, %v", f, err)
	}
	c, _ = r.dial(t)
	io.WriteString(c, "WHAT IS THIS\r\n\r\n")
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("neither: %q, %v", b, err)
	}
}

// TestH2Breaks has answers and requests that do not come to their end.
func TestH2Breaks(t *testing.T) { h2All(t, testH2Breaks) }

func testH2Breaks(t *testing.T, o *over) {
	gone := make(chan bool, 10)
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			gone <- true // before the request came
			return
		}
		switch req.URL.Path {
		case "/cut":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		case "/chunks":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx")
		case "/garbage":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n")
		case "/two":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		default:
			_, err := io.Copy(io.Discard, req.Body)
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			gone <- true
		}
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 10)}
	s.plan = func(r *Request, p *Plan) {
		switch string(r.Text(r.Head.Target.Path)) {
		case "/slow":
			p.Timeout = 50 * time.Millisecond
		case "/wait":
			p.Read = 50 * time.Millisecond
		}
		p.Retries = 0
	}
	r := o.startH2(t, s)
	h := r.rawH2(t)
	h.get("/cut")
	h.expect("head 1 :status=200 content-length=10", `data 1 "hello"`, "reset 1 INTERNAL_ERROR")
	h.get("/chunks")
	h.expect("head 3 :status=200", `data 3 "hello"`, "reset 3 INTERNAL_ERROR")
	h.get("/garbage")
	h.expect("head 5 :status=502…", "data 5 end…")
	h.get("/two")
	h.expect("head 7 :status=502…", "data 7 end…")
	h.get("/slow")
	h.expect("head 9 :status=504…", "data 9 end…")
	<-gone
	// The client resets what it has asked for: the member's connection ends.
	id := h.get("/")
	h.WriteRSTStream(id, http2.ErrCodeCancel)
	<-gone
	// Content that does not come, and content that is not what was said.
	id = h.post("/wait")
	h.WriteData(id, false, []byte("x"))
	h.expect("head 13 :status=408…", "data 13 end…", "reset 13 NO_ERROR")
	<-gone
	id = h.post("/", "content-length", "5")
	h.WriteData(id, false, []byte("hello!"))
	h.expect("reset 15 PROTOCOL_ERROR")
	<-gone
	h.get("/cut")
	h.expect("head 17 :status=200 content-length=10", `data 17 "hello"`, "reset 17 INTERNAL_ERROR")
	want := []Reason{Truncated, Truncated, BadAnswer, BadUpgrade, TimedOut, ClientGone, ClientSlow, BadBody, Truncated}
	for range want {
		<-s.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, rec := range s.records {
		if rec.Reason != want[i] {
			t.Errorf("request %d: %s, want %s", i, rec.Reason, want[i])
		}
	}
}

// TestH2SlowStream: a stream whose client gives it no window, and one that is not read by the member, stop no other.
func TestH2SlowStream(t *testing.T) {
	release := make(chan struct{})
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.URL.Path == "/stuck" {
			<-release
			io.Copy(io.Discard, req.Body)
		}
		n := map[string]int{"/large": 1 << 20}[req.URL.Path]
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
	})
	s := &site{members: []netip.AddrPort{member}}
	r := new(over).startH2(t, s)
	h := r.rawH2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	h.WriteWindowUpdate(0, 10<<20)
	h.get("/large")
	h.expect("head 1 :status=200 content-length=1048576", "data 1…")
	stuck := h.post("/stuck")
	for range 3 { // what its window and the kernel's buffers towards the member do not take
		h.WriteData(stuck, false, make([]byte, 16384))
	}
	h.get("/")
	h.expect("head 5 end :status=200 content-length=0")
	quick := h.post("/quick")
	h.WriteData(quick, true, make([]byte, 16000))
	h.expect("head 7 end :status=200 content-length=0")
	close(release)
	h.WriteData(stuck, true, nil)
	h.expect("head 3 end :status=200 content-length=0")
	h.WriteWindowUpdate(1, 2<<20)
	n := 1000
	for n < 1<<20 {
		f, err := h.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok {
			n += len(d.Data())
		}
	}
	h.expectEnd(1)
}

// expectEnd takes it that the last frame of content has ended the stream, or the next does.
func (h *rawH2) expectEnd(id uint32) {
	h.t.Helper()
	h.WritePing(false, [8]byte{1})
	for {
		switch got := h.frame(); got {
		case "pong":
			return
		case fmt.Sprintf(`data %d end ""`, id):
		default:
			h.t.Fatal(got)
		}
	}
}

// TestH2Drain ends connections in order: what is under way is answered.
func TestH2Drain(t *testing.T) { h2All(t, testH2Drain) }

func testH2Drain(t *testing.T, o *over) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := &site{members: []netip.AddrPort{backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-answer
	})}}
	r := o.startH2(t, s)
	busy, idle := r.rawH2(t), r.rawH2(t)
	idle.WritePing(false, [8]byte{})
	idle.expect("pong")
	busy.get("/")
	<-asked
	r.Drain()
	idle.expect("goaway 2147483647 NO_ERROR ", "goaway 0 NO_ERROR ", "closed")
	busy.expect("goaway 2147483647 NO_ERROR ", "goaway 1 NO_ERROR ")
	busy.get("/") // too late
	close(answer)
	busy.expect("head 1 end :status=200 content-length=0", "closed")
}

// TestH2Patience ends connections on which nothing is asked, or not all of it.
func TestH2Patience(t *testing.T) {
	s := &site{members: []netip.AddrPort{backend(t, echo)}}
	r := new(over).startH2With(t, s, 100*time.Millisecond)
	silent, _ := r.dial(t)
	opened, _ := r.dial(t)
	io.WriteString(opened, http2.ClientPreface)
	half := r.rawH2(t)
	half.WritePing(false, [8]byte{})
	half.expect("pong")
	half.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
	half.expect("goaway 0 NO_ERROR ", "closed")
	for _, c := range []net.Conn{silent, opened} {
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Error(err)
		}
	}
}

// TestH2Malformed: what is no request is an error of its stream, or answered where a status says more.
func TestH2Malformed(t *testing.T) {
	s := &site{members: []netip.AddrPort{backend(t, echo)}}
	r := new(over).startH2(t, s)
	h := r.rawH2(t)
	h.request(true, ":method", "GET", ":path", "/", ":scheme", "http", ":authority", "a b")
	h.expect("reset 1 PROTOCOL_ERROR")
	h.request(true, ":method", "GET", ":path", "/"+strings.Repeat("x", 16<<10), ":scheme", "http", ":authority", "a")
	h.expect("head 3 :status=414…", "data 3 end…")
	h.request(true, ":method", "GET", ":path", "/", ":scheme", "http", ":authority", "a", "expect", "x")
	h.expect("head 5 :status=417…", "data 5 end…")
	h.get("/")
	h.expect("head 7 end :status=200…")
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.records[0]; rec.Status != 400 || rec.Reason != "bad-host" || rec.Refusal.String() != "bad-host" {
		t.Errorf("%+v", rec)
	}
}

// TestH2Broken: who breaks the rules learns why, and so does who asks the engine.
func TestH2Broken(t *testing.T) {
	s := &site{members: []netip.AddrPort{backend(t, echo)}}
	r := new(over).startH2(t, s)
	h := r.rawH2(t)
	for range 2000 {
		id := h.get("/")
		if h.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	for {
		got := h.frame()
		if strings.HasPrefix(got, "goaway ") {
			if !strings.HasSuffix(got, " ENHANCE_YOUR_CALM rapid-reset") {
				t.Error(got)
			}
			break
		}
		if got == "closed" {
			t.Fatal("closed without a word")
		}
	}
	if why := <-r.broken; why != "rapid-reset" {
		t.Error(why)
	}
}

// TestH2Panic ends one connection.
func TestH2Panic(t *testing.T) {
	s := &site{members: []netip.AddrPort{backend(t, echo)}}
	s.plan = func(r *Request, p *Plan) {
		if string(r.Text(r.Head.Target.Path)) == "/panic" {
			panic("asked for")
		}
	}
	r := new(over).startH2(t, s)
	h, other := r.rawH2(t), r.rawH2(t)
	h.get("/panic")
	h.expect("closed")
	other.get("/")
	other.expect("head 1 end :status=200…")
	if n := r.panics.Load(); n != 1 {
		t.Errorf("%d panics", n)
	}
}
