package engine

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/lbd/internal/grpc"
	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// TestOwnErrorsToGRPC: a client of gRPC is told what lbd itself answers as gRPC has it, in one frame; another one is not.
func TestOwnErrorsToGRPC(t *testing.T) { h2All(t, testOwnErrorsToGRPC) }

func testOwnErrorsToGRPC(t *testing.T, o *over) {
	silent := backend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := &site{done: make(chan struct{}, 100)}
	s.plan = func(r *Request, p *Plan) {
		own := Plan{Read: 5 * time.Second, Write: 5 * time.Second, Status: 403, Reason: "denied", Pages: everything(t)}
		switch string(r.Text(r.Head.Target.Path)) {
		case "/denied":
			*p = own
		case "/told":
			own.Tell, own.ID, own.AnswerID = true, []byte("7"), true
			*p = own
		case "/fixed":
			own.Status, own.Type, own.Body = 401, "text/plain; charset=utf-8", "log in at 50% of the price\n"
			*p = own
		case "/page":
			own.Status, own.Type, own.Body = 404, "text/html", "<p>not here"
			*p = own
		case "/fine":
			own.Status, own.Type, own.Body = 200, "text/plain", "fine"
			*p = own
		case "/other":
			own.Status, own.Location = 302, []byte("/x")
			*p = own
		case "/changed":
			own.Response = []rule.Edit{{Op: rule.Set, Name: "X-A", Value: []byte("b")}}
			*p = own
		case "/large":
			p.MaxBody = 10
		case "/slow":
			p.Timeout, p.Retries = 50*time.Millisecond, 0
			p.Pool.(*site).members = []netip.AddrPort{silent}
		}
	}
	r := o.startH2(t, s)
	h := r.rawH2(t)
	const as = " content-type=application/grpc grpc-status="
	const since = " x-content-type-options=nosniff cache-control=no-store"
	n := 0
	f := func(path, kind, want string) {
		t.Helper()
		id := h.request(true, ":method", "POST", ":scheme", "http", ":path", path, ":authority", "a", "content-type", kind, "accept", "text/html")
		if id != uint32(2*n+1) {
			t.Fatal(id)
		}
		n++
		got := h.frame()
		if at := strings.Index(got, " :status"); got[:max(at, 0)] != "head "+fmt.Sprint(id)+" end" {
			t.Fatalf("%s: %s: not all of the answer", path, got)
		} else if got[at+1:] != want {
			t.Errorf("%s:\n%s, want\n%s", path, got[at+1:], want)
		}
	}
	const call = "application/grpc+proto"
	f("/denied", call, ":status=200"+as+"7 grpc-message=403 Forbidden"+since)
	f("/denied", "application/grpc", ":status=200"+as+"7 grpc-message=403 Forbidden"+since)
	f("/told", call, ":status=200"+as+"7 grpc-message=403 Forbidden"+since+" x-everup-reason=denied x-request-id=7")
	f("/fixed", call, ":status=200"+as+"16 grpc-message=log in at 50%25 of the price"+since)
	f("/page", call, ":status=200"+as+"12 grpc-message=404 Not Found"+since)
	f("/changed", call, ":status=200"+as+"7 grpc-message=403 Forbidden"+since+" x-a=b")
	f("/slow", call, ":status=200"+as+"4 grpc-message=504 Gateway Timeout"+since+" x-everup-reason=timeout")
	s.mu.Lock()
	s.members = nil
	s.mu.Unlock()
	f("/nobody", call, ":status=200"+as+"14 grpc-message=503 Service Unavailable"+since+" retry-after=1 x-everup-reason=no-member")
	// A call that is too large is not waited for.
	id := h.post("/large", "content-type", call, "content-length", "11")
	h.expect("head "+fmt.Sprint(id)+" end :status=200"+as+"8 grpc-message=413 Content Too Large"+since+" x-everup-reason=body-too-large", "reset "+fmt.Sprint(id)+" NO_ERROR")
	// What is no error is as it was planned, and what is no call is told in HTTP.
	id = h.post("/fine", "content-type", call)
	h.expect("head "+fmt.Sprint(id)+" :status=200 content-type=text/plain content-length=4", "data "+fmt.Sprint(id)+` end "fine"`, "reset "+fmt.Sprint(id)+" NO_ERROR")
	id = h.post("/other", "content-type", call)
	h.expect("head "+fmt.Sprint(id)+" :status=302…", "data "+fmt.Sprint(id)+" end…", "reset…")
	id = h.post("/denied", "content-type", "application/grpc-web")
	h.expect("head "+fmt.Sprint(id)+" :status=403…", "data "+fmt.Sprint(id)+" end…", "reset…")

	want := map[int]grpc.Status{403: grpc.PermissionDenied, 401: grpc.Unauthenticated, 404: grpc.Unimplemented, 503: grpc.Unavailable, 504: grpc.DeadlineExceeded, 413: grpc.ResourceExhausted}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, rec := range s.records[:9] {
		if rec.GRPC != want[rec.Status] || rec.GRPC == grpc.None || rec.Reason == NoReason || rec.Sent != 0 {
			t.Errorf("record %d: %d %s with status %d of gRPC, %d bytes", i, rec.Status, rec.Reason, rec.GRPC.Code(), rec.Sent)
		}
	}
	for _, rec := range s.records[9:] {
		if rec.GRPC != grpc.None {
			t.Errorf("%d %s with status %d of gRPC", rec.Status, rec.Reason, rec.GRPC.Code())
		}
	}
}

// everything is a set of pages for all errors.
func everything(t testing.TB) *page.Set {
	t.Helper()
	p, err := page.Parse("<h1>{{status}}")
	if err != nil {
		t.Fatal(err)
	}
	s := new(page.Set)
	if !s.Add("4xx", p) || !s.Add("5xx", p) {
		t.Fatal("there are no such keys")
	}
	return s
}

// TestGRPCOverHTTP1: what says that it is gRPC and comes by HTTP/1 is answered in HTTP.
func TestGRPCOverHTTP1(t *testing.T) {
	s := &site{plan: func(_ *Request, p *Plan) { *p = Plan{Status: 403, Reason: "denied", Write: time.Second} }}
	r := start(t, s)
	c, in := r.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 403 || res.Header.Get("Grpc-Status") != "" {
		t.Errorf("%v, %v", res, err)
	}
}

// TestRecordOfCalls: how a call has ended is in its record, whether the member says so in its answer's head or behind it.
func TestRecordOfCalls(t *testing.T) {
	member := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("X-Type"))
		switch r.URL.Path {
		case "/head":
			w.Header().Set("Grpc-Status", "5")
		case "/behind":
			io.WriteString(w, "content")
			w.(http.Flusher).Flush() // else its length is told, and nothing comes behind it
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		case "/never":
			io.WriteString(w, "content")
		}
	})
	s := &site{members: []netip.AddrPort{member}, done: make(chan struct{}, 100)}
	r := new(over).startH2(t, s)
	h := r.rawH2(t)
	for _, path := range []string{"/head", "/behind", "/never"} {
		for _, kind := range []string{"application/grpc", "text/plain"} {
			h.request(true, ":method", "POST", ":scheme", "http", ":path", path, ":authority", "a", "x-type", kind)
			<-s.done
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []int
	for _, rec := range s.records {
		got = append(got, rec.GRPC.Code())
	}
	if diff := cmp.Diff([]int{5, -1, 0, -1, -1, -1}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
