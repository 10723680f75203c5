// Package web is storaged over HTTP: GET, HEAD, PUT and DELETE of /name, and GET /?list=prefix.
//
// A PUT or DELETE is answered with success only when the change is on stable storage. What a request's head already forbids is refused
// before its body is asked for, so that a client that sends Expect: 100-continue sends no body in vain.
package web

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/everup/everup/services/storaged/internal/blob"
	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

// Limits are what may change while the daemon runs.
type Limits struct {
	Object    int64 // bytes of a body
	Uploads   int   // at once
	Pace      Pace
	WriteIdle time.Duration  // longest wait for a reader to take more
	Reserve   int64          // bytes of the disk that uploads leave free
	Writers   []netip.Prefix // who may PUT and DELETE
}

// Hooks are told of changes after they are durable; they must not block.
type Hooks struct {
	Stored  func(m blob.Meta, created bool)
	Deleted func(e names.Entry)
}

// Handler serves a store.
type Handler struct {
	store   *blob.Store
	hooks   Hooks
	metrics *Metrics
	log     zerolog.Logger
	limits  atomic.Pointer[Limits]
	uploads atomic.Int64
}

// New returns a handler.
func New(s *blob.Store, l Limits, hooks Hooks, m *Metrics, log zerolog.Logger) *Handler {
	h := &Handler{store: s, hooks: hooks, metrics: m, log: log}
	h.limits.Store(&l)
	return h
}

// SetLimits changes the limits for requests to come.
func (h *Handler) SetLimits(l Limits) { h.limits.Store(&l) }

// Metrics count requests.
type Metrics struct {
	Requests       *metric.CounterVec // method, status
	Received, Sent *metric.Counter
	Uploads        *metric.Gauge
}

// NewMetrics registers them.
func NewMetrics(r *metric.Registry) *Metrics {
	return &Metrics{
		Requests: r.CounterVec("requests_total", "HTTP requests answered.", 128, "method", "status"),
		Received: r.Counter("received_bytes_total", "Bytes of bodies received."),
		Sent:     r.Counter("sent_bytes_total", "Bytes of bodies sent."),
		Uploads:  r.Gauge("uploads", "Uploads under way."),
	}
}

const allowed = "GET, HEAD, PUT, DELETE, OPTIONS"

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(hw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: hw, rc: http.NewResponseController(hw), idle: h.limits.Load().WriteIdle, sent: h.metrics.Sent}
	w.touch()
	if r.ContentLength != 0 { // net/http reads what a handler leaves of a body, and would wait for it for ever
		_ = w.rc.SetReadDeadline(time.Now().Add(h.limits.Load().Pace.Idle))
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	method := r.Method
	var err error
	switch method {
	case http.MethodGet, http.MethodHead:
		err = h.read(w, r)
	case http.MethodPut:
		err = h.put(w, r)
	case http.MethodDelete:
		err = h.remove(w, r)
	case http.MethodOptions:
		w.Header().Set("Allow", allowed)
		w.WriteHeader(http.StatusNoContent)
	default:
		method = "other"
		w.Header().Set("Allow", allowed)
		err = httpError{http.StatusMethodNotAllowed, "only " + allowed + " are served"}
	}
	if err != nil {
		h.fail(w, r, err)
	}
	h.metrics.Requests.With(method, strconv.Itoa(w.status)).Inc()
}

// httpError is an answer that fault classes have no status for.
type httpError struct {
	status int
	msg    string
}

// statusBrokenOff stands in metrics for a request whose client went away; nobody reads it.
const statusBrokenOff = 499

func (e httpError) Error() string { return "web: " + e.msg }

// statusOf returns the status an error is answered with.
func statusOf(err error) int {
	if he, ok := errors.AsType[httpError](err); ok {
		return he.status
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	switch {
	case errors.Is(err, errPrecondition):
		return http.StatusPreconditionFailed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS): // ours, not the client's
		return http.StatusInternalServerError
	}
	return fault.HTTPStatus(err)
}

// fail answers with err's status and, for the caller's own faults, its text. What is ours is logged and not shown.
func (h *Handler) fail(w *response, r *http.Request, err error) {
	status := statusOf(err)
	if w.status != 0 { // too late
		h.log.Warn().Err(err).Str("method", r.Method).Str("path", r.URL.Path).Msg("answer broken off")
		return
	}
	text := err.Error()
	if status >= 500 && status != http.StatusServiceUnavailable {
		h.log.Error().Err(err).Str("method", r.Method).Str("path", r.URL.Path).Int("status", status).Msg("request failed")
		text = fault.Of(err).String()
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if r.Method == http.MethodPut {
		w.Header().Set("Connection", "close") // the rest of the body is not worth reading
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, text+"\n")
	}
}

// mayWrite reports whether the peer is among the writers. Whom the permissions of a unix socket let in may write.
func (h *Handler) mayWrite(r *http.Request) error {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); ok && at.Net == "unix" {
		return nil
	}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr := ap.Addr().Unmap()
		for _, p := range h.limits.Load().Writers {
			if p.Contains(addr) {
				return nil
			}
		}
	}
	return fault.New(fault.Denied, "web: %s may not write here (allow_write)", r.RemoteAddr)
}

func (h *Handler) remove(w *response, r *http.Request) error {
	name, err := names.FromPath(r.URL.Path)
	if err != nil {
		return err
	}
	if err := h.mayWrite(r); err != nil {
		return err
	}
	pre, err := parsePreconditions(r.Header)
	if err != nil {
		return err
	}
	e, err := h.store.Delete(name, pre.check)
	if err != nil {
		return err
	}
	h.hooks.Deleted(e)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// response counts, remembers the status, and gives the reader of a long answer time as long as it reads.
type response struct {
	http.ResponseWriter
	rc     *http.ResponseController
	idle   time.Duration
	sent   *metric.Counter
	status int
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) touch() { _ = w.rc.SetWriteDeadline(time.Now().Add(w.idle)) }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.touch()
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.touch()
	n, err := w.ResponseWriter.Write(b)
	w.sent.Add(uint64(n))
	return n, err
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "web: encode answer")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
	return nil
}
