package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/fault"
)

// slots bounds how much runs at once.
type slots chan struct{}

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }

// route is one registered call.
type route struct {
	s         *Server
	call      string // the pattern, also its label in the metrics
	wildcards []string
	slots     slots
	timeout   time.Duration
	handler   Handler
	write     bool // changes something: logged, and refused to read-only callers
}

var wildcard = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)(?:\.\.\.)?\}`)

// Handle registers pattern ("GET /v1/pools/{pool}") with a sentence for GET /v1/ (the list of calls). A pattern without a
// method, or one that is there already, is a bug and panics.
func (s *Server) Handle(pattern, doc string, h Handler) {
	s.handle(pattern, doc, h, s.slots, callTimeout)
}

func (s *Server) handle(pattern, doc string, h Handler, sl slots, timeout time.Duration) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		panic("BUG: admin: pattern needs a method and a path: " + pattern)
	}
	rt := &route{s: s, call: pattern, slots: sl, timeout: timeout, handler: h, write: method != http.MethodGet}
	for _, m := range wildcard.FindAllStringSubmatch(path, -1) {
		rt.wildcards = append(rt.wildcards, m[1])
	}
	s.api.Handle(pattern, rt)
	s.calls = append(s.calls, CallInfo{strings.TrimSuffix(pattern, "{$}"), doc})
}

// result is what a handler returned.
type result struct {
	v   any
	err error
}

// ServeHTTP answers one call.
func (rt *route) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	start := time.Now()
	c := callerOf(hr.Context())
	status, stream := rt.serve(w, hr, c)
	rt.s.count(rt.call, status)
	if stream == nil {
		rt.s.seconds.With(rt.call).ObserveSince(start)
	}
	if rt.write {
		rt.s.log.Info().Str("call", hr.Method+" "+hr.URL.Path).Str("by", c.by).Int("status", status).Msg("admin call")
	}
	if stream != nil {
		rt.stream(w, hr, stream)
	}
}

// serve answers and returns the status; a stream is still to be sent.
func (rt *route) serve(w http.ResponseWriter, hr *http.Request, c caller) (status int, st Stream) {
	if rt.write && c.readOnly {
		return writeError(w, fault.New(fault.Denied, "admin: %s: this way in is for reading only", rt.call)), nil
	}
	if !rt.slots.take() {
		return writeBusy(w, fault.New(fault.Full, "admin: %d calls are running, try again", cap(rt.slots))), nil
	}
	body, err := readBody(w, hr)
	if err != nil {
		rt.slots.free()
		return writeError(w, err), nil
	}
	r := &Request{Path: make(map[string]string, len(rt.wildcards)), Query: hr.URL.Query(), Body: body, By: c.by, ReadOnly: c.readOnly}
	for _, name := range rt.wildcards {
		r.Path[name] = hr.PathValue(name)
	}
	res := rt.run(hr.Context(), r)
	if res.err != nil {
		return writeError(w, res.err), nil
	}
	switch v := res.v.(type) {
	case Stream:
		if c.inProcess {
			return writeError(w, fault.New(fault.Unsupported, "admin: %s: a stream needs the socket", rt.call)), nil
		}
		if !rt.s.streams.take() {
			return writeBusy(w, fault.New(fault.Full, "admin: %d streams are running, try again", maxStreams)), nil
		}
		return http.StatusOK, v
	case Raw:
		return writeRaw(w, v), nil
	case probeResult:
		return v.write(w, hr), nil
	}
	return writeJSON(w, res.v), nil
}

// run runs the handler and waits for it, but no longer than it may take. It frees the slot when the handler is back.
func (rt *route) run(ctx context.Context, r *Request) result {
	ctx, cancel := context.WithTimeout(ctx, rt.timeout)
	defer cancel()
	done := make(chan result, 1)
	go func() { // owned by its place, for which Serve waits
		defer rt.slots.free()
		done <- rt.guard(ctx, r)
	}()
	select {
	case res := <-done:
		return res
	case <-ctx.Done():
	}
	select {
	case res := <-done: // both were there
		return res
	default:
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return result{err: fault.New(fault.Timeout, "admin: %s: no answer after %v", rt.call, rt.timeout)}
	}
	return result{err: fault.Wrap(fault.Canceled, ctx.Err(), "admin: %s", rt.call)}
}

// guard keeps a panic from taking the daemon down.
func (rt *route) guard(ctx context.Context, r *Request) (res result) {
	defer func() {
		if p := recover(); p != nil {
			rt.s.log.Error().Str("call", rt.call).Str("panic", fmt.Sprint(p)).Str("stack", string(debug.Stack())).Msg("admin handler panicked")
			res = result{err: fault.New(fault.Internal, "admin: %s: the handler panicked", rt.call)}
		}
	}()
	v, err := rt.handler(ctx, r)
	return result{v, err}
}

// stream sends a stream. The slot is taken already.
func (rt *route) stream(w http.ResponseWriter, hr *http.Request, st Stream) {
	defer rt.s.streams.free()
	ctx, cancel := context.WithCancel(hr.Context())
	defer cancel()
	defer context.AfterFunc(stopContext{rt.s.stopping}, cancel)()
	w.Header().Set("Content-Type", "application/x-ndjson")
	fw := &flushWriter{w: w, rc: http.NewResponseController(w)}
	if fw.start() != nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			rt.s.log.Error().Str("call", rt.call).Str("panic", fmt.Sprint(p)).Str("stack", string(debug.Stack())).Msg("admin stream panicked")
			panic(http.ErrAbortHandler)
		}
	}()
	if err := st(ctx, fw); err != nil && ctx.Err() == nil && fw.err == nil {
		rt.s.log.Warn().Str("call", rt.call).Err(err).Msg("admin stream ended early")
		panic(http.ErrAbortHandler) // the client sees a cut connection, not an end
	}
}

// readBody reads the bounded body.
func readBody(w http.ResponseWriter, hr *http.Request) ([]byte, error) {
	if hr.Body == nil || hr.Body == http.NoBody {
		return nil, nil
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, MaxBody))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, fault.New(fault.Invalid, "admin: the body is longer than %d bytes", MaxBody)
	}
	return b, fault.Wrap(fault.Invalid, err, "admin: read body")
}

func (s *Server) count(call string, status int) {
	s.requests.With(call, strconv.Itoa(status)).Inc()
}

// dispatch serves from mux, with our own answer where nothing fits.
func (s *Server) dispatch(mux *http.ServeMux, w http.ResponseWriter, hr *http.Request) {
	if _, pattern := mux.Handler(hr); pattern != "" {
		mux.ServeHTTP(w, hr)
		return
	}
	allowed := allowedMethods(mux, hr)
	if len(allowed) == 0 {
		s.count("none", writeError(w, fault.New(fault.NotFound, "admin: no call %s; GET /v1/ lists them", hr.URL.Path)))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	err := fault.New(fault.Invalid, "admin: %s wants method %s", hr.URL.Path, strings.Join(allowed, " or "))
	writeFault(w, http.StatusMethodNotAllowed, err)
	s.count("none", http.StatusMethodNotAllowed)
}

// allowedMethods returns the methods that mux has for the request's path.
func allowedMethods(mux *http.ServeMux, hr *http.Request) (out []string) {
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		try := *hr
		try.Method = m
		if _, pattern := mux.Handler(&try); pattern != "" {
			out = append(out, m)
		}
	}
	return out
}

// caller is who asks, kept in the request's context.
type caller struct {
	by        string
	readOnly  bool
	inProcess bool
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	c.by = cmp.Or(c.by, "unknown")
	return c
}
