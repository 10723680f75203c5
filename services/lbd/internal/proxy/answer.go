package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pieces are the buffers that bodies pass through.
var pieces = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// answer passes the answer of a on to the client.
func (x *exchange) answer(a *attempt) {
	defer a.end()
	x.entry.Head = time.Since(x.entry.Time)
	if a.res.StatusCode == http.StatusSwitchingProtocols {
		x.upgrade(a)
		return
	}
	dropHopByHop(a.res.Header)
	h := x.w.Header()
	for k, v := range a.res.Header {
		h[k] = v
	}
	announced := announce(h, a.res.Trailer)
	x.closeIfNeeded(h)
	x.w.WriteHeader(a.res.StatusCode)
	if announced > 0 {
		x.w.flush() // trailers need chunks, and a flush makes net/http send them
	}
	x.copyBody(a)
	x.trailers(a, announced)
}

// announce lists the trailers that the member announced.
func announce(h http.Header, trailer http.Header) int {
	names := make([]string, 0, len(trailer))
	for k := range trailer {
		names = append(names, k)
	}
	if len(names) > 0 {
		h.Set("Trailer", strings.Join(names, ", "))
	}
	return len(names)
}

// trailers sends those that came after the body.
func (x *exchange) trailers(a *attempt, announced int) {
	h := x.w.Header()
	prefix := ""
	if len(a.res.Trailer) != announced {
		prefix = http.TrailerPrefix
	}
	for k, v := range a.res.Trailer {
		h[prefix+k] = v
	}
}

// copyBody passes the body on in pieces. A body without a known length is flushed piece by piece, for it may be a stream of
// events. If the member breaks off, so does lbd: the client must not take a part for the whole.
func (x *exchange) copyBody(a *attempt) {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	silence := time.AfterFunc(x.set.Timeout, func() { a.cancel(errSilence) })
	defer silence.Stop()
	streams := a.res.ContentLength < 0
	for {
		n, err := a.res.Body.Read(*buf)
		silence.Stop() // the client's time is not the member's
		if n > 0 {
			if !x.pass((*buf)[:n], streams) {
				x.cut(reasonClientGone)
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			x.cut(x.whyCut())
		}
		silence.Reset(x.set.Timeout)
	}
}

func (x *exchange) pass(b []byte, flush bool) bool {
	if _, err := x.w.Write(b); err != nil {
		return false
	}
	return !flush || x.w.flush() == nil
}

func (x *exchange) whyCut() string {
	if x.r.Context().Err() != nil {
		return reasonClientGone
	}
	if err := x.body.err(); err != nil {
		_, reason := clientFault(err)
		return reason
	}
	return reasonTruncated
}

// cut ends the exchange and the client's connection in the middle of an answer.
func (x *exchange) cut(reason string) {
	x.entry.Reason = reason
	panic(http.ErrAbortHandler)
}
