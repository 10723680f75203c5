package proxy

import (
	"net/http"
	"strconv"
)

// Reasons that stand in the access log where lbd answers itself or cuts an answer.
const (
	reasonNoMember    = "no-member"        // none may serve
	reasonConnect     = "connect-failed"   // no connection to the last member tried
	reasonClosed      = "backend-closed"   // the connection broke before an answer
	reasonBad         = "bad-answer"       // what came back is no HTTP
	reasonTimeout     = "timeout"          // no answer in time
	reasonTruncated   = "answer-truncated" // the answer's body broke off or stood still; the client's connection was cut
	reasonClientGone  = "client-gone"
	reasonClientSlow  = "client-slow" // the request's body did not come in time
	reasonBadBody     = "bad-body"    // the request's body is malformed
	reasonTooLarge    = "body-too-large"
	reasonBadUpgrade  = "bad-upgrade"
	statusClientGone  = 499 // in the log only, as nginx has it
	retryAfterSeconds = 1
)

// refuse answers in lbd's own name, unless an answer has begun.
func (x *exchange) refuse(status int, reason string) {
	x.entry.Reason = reason
	if status == statusClientGone {
		x.entry.Status = status
		panic(http.ErrAbortHandler)
	}
	if x.w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	h := x.w.Header()
	clear(h)
	text := strconv.Itoa(status) + " " + http.StatusText(status) + "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	if x.live.ReasonHeader {
		h.Set("X-Everup-Reason", reason)
	}
	x.closeIfNeeded(h)
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		x.w.Write([]byte(text))
	}
}

// closeIfNeeded makes the answer the last of its connection when lbd drains, or when the request's body was not read to its
// end: what follows on the connection could be the rest of it.
func (x *exchange) closeIfNeeded(h http.Header) {
	if x.h.closing.Load() || !x.body.finished() {
		h.Set("Connection", "close")
	}
}
