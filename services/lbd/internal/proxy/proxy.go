// Package proxy forwards HTTP/1.1 requests to the members of pools, on net/http.
//
// # When a request is tried again
//
// Nothing of an answer may have come back. If the connection could not be made, nothing was sent, and any request whose body
// was not touched is tried on another member. If it broke later, only an idempotent request (RFC 9110, 9.2.2) is, and only
// without body or with one of at most 64 KiB, which is kept for that. Requests that are not idempotent go out on a
// connection of their own, so that a member which closes an idle connection at that moment cannot lose one.
//
// # Who owns what
//
// An exchange lives in the goroutine net/http gave it and ends there; its attempts end with it. Bodies pass in pieces
// of 32 KiB. Upgraded connections are relayed in the same goroutine and one more, and are known to Tunnels.
package proxy

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/guard"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/route"
)

// Live is what the configuration in force says. It is not changed once it is in use.
type Live struct {
	Routes       *route.Table[*pool.Pool]
	Trusted      []netip.Prefix
	ReasonHeader bool
	Read         time.Duration // longest wait for the next bytes of a request's body
	Write        time.Duration // longest wait for a client to take bytes
	Tunnel       time.Duration // longest silence of an upgraded connection
}

// Handler is the load balancer as an http.Handler.
type Handler struct {
	Live    atomic.Pointer[Live] // set before the first request
	Tunnels Tunnels
	Done    func(*accesslog.Entry) // told each request once it is over; must not block
	Retried func(pool, why string) // told each retry
	Panic   func(v any)            // told a panic of ours, which ends the connection only

	closing atomic.Bool
	running tally
}

// Wait waits until every request under way has ended; those that come meanwhile are cut off. The connections must be closed
// first, or it takes as long as the slowest client.
func (h *Handler) Wait() { h.running.wait() }

// Close makes every answer from now on the last one of its connection.
func (h *Handler) Close() { h.closing.Store(true) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.running.add() {
		panic(http.ErrAbortHandler)
	}
	defer h.running.done()
	x := h.begin(w, r)
	defer x.end()
	x.serve()
}

// exchange is one request and its answer.
type exchange struct {
	h     *Handler
	live  *Live
	w     *answerWriter
	rc    *http.ResponseController
	r     *http.Request
	peer  netip.Addr
	pool  *pool.Pool     // nil: no route
	set   *pool.Settings // of pool
	strip string         // prefix to take off
	body  *body
	entry accesslog.Entry
}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{h: h, live: h.Live.Load(), r: r, rc: http.NewResponseController(w)}
	x.peer = peerOf(r)
	x.entry = accesslog.Entry{
		Time: time.Now(), Client: x.peer.String(), Method: r.Method, Target: r.RequestURI, Proto: r.Proto,
		Host: r.Host, Referer: r.Referer(), Agent: r.UserAgent(),
	}
	x.w = &answerWriter{ResponseWriter: w, rc: x.rc, patience: x.live.Write}
	x.body = newBody(r, x.rc, x.live.Read)
	// What the request before on this connection left behind ends here.
	x.rc.SetWriteDeadline(time.Time{})
	return x
}

func (x *exchange) end() {
	p := recover()
	x.body.end()
	if g := guard.FromContext(x.r.Context()); g != nil {
		g.Resume()
	}
	e := &x.entry
	e.Duration = time.Since(e.Time)
	e.Sent, e.Received = x.w.sent, x.body.received()
	if e.Status == 0 {
		e.Status = x.w.status
	}
	if p != nil && p != http.ErrAbortHandler {
		e.Reason = "bug"
		x.h.Panic(p)
	}
	x.h.Done(e)
	if p != nil {
		panic(http.ErrAbortHandler) // net/http closes the connection without another word
	}
}

// serve finds the pool and forwards.
func (x *exchange) serve() {
	r := x.r
	if r.Method == http.MethodConnect {
		x.refuse(http.StatusMethodNotAllowed, "connect")
		return
	}
	if route.HasDots(r.URL.Path) {
		x.refuse(http.StatusBadRequest, "dot-segments")
		return
	}
	rule := x.live.Routes.Match(r.Host, r.URL.Path)
	if rule == nil {
		x.refuse(http.StatusNotFound, "no-route")
		return
	}
	x.pool, x.set = rule.To, rule.To.Settings()
	if rule.Strip {
		x.strip = rule.Path
	}
	x.entry.Pool = x.pool.Name()
	x.pool.Request(x.entry.Time)
	if x.set.MaxBody > 0 && r.ContentLength > x.set.MaxBody {
		x.refuse(http.StatusRequestEntityTooLarge, reasonTooLarge)
		return
	}
	x.body.limit = x.set.MaxBody
	x.forward()
}

// peerOf returns the address of the client's end of the connection.
func peerOf(r *http.Request) netip.Addr {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr().Unmap()
	}
	return netip.Addr{}
}
