package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/everup/everup/shared/fault"
)

// errorBody is the JSON of an error answer.
type errorBody struct {
	Error errorInfo `json:"error"`
}

type errorInfo struct {
	Class   string      `json:"class"`
	Code    fault.Class `json:"code"`
	Message string      `json:"message"`
}

// writeTimeout is how long a client may take to accept an answer, or one Write of a stream.
const writeTimeout = 30 * time.Second

const streamWriteTimeout = 10 * time.Second

// writeJSON prints v, indented for people, and returns the status.
func writeJSON(w http.ResponseWriter, v any) int {
	if v == nil {
		v = struct{}{}
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return writeError(w, fault.Wrap(fault.Internal, err, "admin: encode answer"))
	}
	return send(w, http.StatusOK, "application/json", append(b, '\n'))
}

func writeRaw(w http.ResponseWriter, r Raw) int {
	return send(w, http.StatusOK, r.Type, r.Body)
}

// writeError prints err with its class's status, which it returns.
func writeError(w http.ResponseWriter, err error) int {
	return writeFault(w, fault.HTTPStatus(err), err)
}

// writeBusy prints an error of class full as 503: it is the server that is full for now, not its storage.
func writeBusy(w http.ResponseWriter, err error) int {
	w.Header().Set("Retry-After", "1")
	return writeFault(w, http.StatusServiceUnavailable, err)
}

func writeFault(w http.ResponseWriter, status int, err error) int {
	class := fault.Of(err)
	b, merr := json.MarshalIndent(errorBody{errorInfo{class.String(), class, err.Error()}}, "", "  ")
	if merr != nil {
		panic("BUG: admin: an error has no JSON form: " + merr.Error())
	}
	return send(w, status, "application/json", append(b, '\n'))
}

// send writes a whole answer. A client that is gone or too slow is the connection's affair: there is no one to tell.
func send(w http.ResponseWriter, status int, contentType string, body []byte) int {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // not there in process
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return status
}

// flushWriter sends every Write at once.
type flushWriter struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error // the first
}

// start sends the header.
func (f *flushWriter) start() error {
	f.w.Header().Set("Cache-Control", "no-store")
	f.w.Header().Set("X-Content-Type-Options", "nosniff")
	if f.err = f.rc.SetWriteDeadline(time.Now().Add(streamWriteTimeout)); f.err == nil {
		f.w.WriteHeader(http.StatusOK)
		f.err = f.rc.Flush()
	}
	return f.err
}

func (f *flushWriter) Write(p []byte) (n int, err error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.err = f.rc.SetWriteDeadline(time.Now().Add(streamWriteTimeout)); f.err == nil {
		if n, f.err = f.w.Write(p); f.err == nil {
			f.err = f.rc.Flush()
		}
	}
	return n, f.err
}

// stopContext is a context that ends when c is closed, for context.AfterFunc.
type stopContext struct{ c <-chan struct{} }

var _ context.Context = stopContext{}

func (s stopContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (s stopContext) Done() <-chan struct{}       { return s.c }
func (s stopContext) Value(any) any               { return nil }

func (s stopContext) Err() error {
	select {
	case <-s.c:
		return context.Canceled
	default:
		return nil
	}
}
