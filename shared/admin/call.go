package admin

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/everup/everup/shared/fault"
)

// Call runs a registered call in process: the bus and the console use it. path may carry a query. by is told to the
// handler and logged. ctx may be that of a TCP request: then only GET calls run. Streams and pprof are not to be had
// this way. An answer longer than 32 MiB becomes an error of class full.
func (s *Server) Call(ctx context.Context, method, path string, body []byte, by string) (status int, answer []byte) {
	w := &memoryWriter{header: make(http.Header)}
	u, err := url.ParseRequestURI(path)
	switch {
	case err != nil:
		err = fault.Wrap(fault.Invalid, err, "admin: call %s", method)
	case len(body) > MaxBody:
		err = fault.New(fault.Invalid, "admin: the body is longer than %d bytes", MaxBody)
	}
	if err != nil {
		return writeError(w, err), w.body.Bytes()
	}
	c := caller{by: by, readOnly: callerOf(ctx).readOnly, inProcess: true}
	hr, err := http.NewRequestWithContext(withCaller(ctx, c), method, "/", bytes.NewReader(body))
	if err != nil {
		return writeError(w, fault.Wrap(fault.Invalid, err, "admin: call %s", path)), w.body.Bytes()
	}
	hr.URL, hr.RequestURI = u, path
	hr.Header.Set("Accept", "application/json")
	s.dispatch(s.api, w, hr)
	if w.tooLong {
		w = &memoryWriter{header: make(http.Header)}
		return writeError(w, fault.New(fault.Full, "admin: the answer is longer than %d bytes", MaxAnswer)), w.body.Bytes()
	}
	return w.status, w.body.Bytes()
}

// memoryWriter keeps an answer.
type memoryWriter struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	tooLong bool
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.tooLong || w.body.Len()+len(p) > MaxAnswer {
		w.tooLong = true
		return len(p), nil
	}
	return w.body.Write(p)
}
