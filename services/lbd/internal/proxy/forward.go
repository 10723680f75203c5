package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
)

// Why an attempt's context ended.
var (
	errTryTimeout  = errors.New("no answer within per_try_timeout")
	errHeadTimeout = errors.New("no answer within the pool's timeout")
	errSilence     = errors.New("the answer's body stood still")
)

// idempotent reports whether doing the method twice is as good as once (RFC 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// forward tries members until one answers or no further try makes sense.
func (x *exchange) forward() {
	if err := x.prepare(); err != nil {
		x.refuse(clientFault(err))
		return
	}
	if !x.body.none {
		x.rc.EnableFullDuplex() // net/http must not read the rest of the body for itself once the answer begins
	}
	until := time.Now().Add(x.set.Timeout)
	var tried []pool.ID
	last := failure{status: http.StatusServiceUnavailable, reason: reasonNoMember}
	for {
		pick, ok := x.pool.Pick(time.Now(), tried)
		if !ok {
			x.refuse(last.status, last.reason)
			return
		}
		x.entry.Member = string(pick.ID)
		a := x.try(pick, until)
		if a.err == nil {
			x.answer(a)
			return
		}
		last = x.judge(a)
		a.end()
		if last.suspect {
			x.pool.Failed(pick.ID, time.Now())
		}
		tried = append(tried, pick.ID)
		if !last.again || len(tried) > x.set.Retries || !x.pool.Retry(time.Now()) {
			x.refuse(last.status, last.reason)
			return
		}
		x.entry.Retries++
		x.h.Retried(x.pool.Name(), last.reason)
	}
}

// prepare reads of the body what is wanted before a member is chosen: nothing where the client waits to be told to send it.
func (x *exchange) prepare() error {
	switch {
	case x.body.expects:
		return nil
	case idempotent(x.r.Method):
		return x.body.keep(x.r.ContentLength)
	}
	return x.body.peek()
}

// attempt is one try at one member.
type attempt struct {
	pick   pool.Pick
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	heard  atomic.Bool // something of an answer came back

	mu   sync.Mutex
	head bool // no more interim answers

	res *http.Response
	err error
}

// try sends the request to pick and waits for the head of the answer.
func (x *exchange) try(pick pool.Pick, until time.Time) *attempt {
	a := &attempt{pick: pick}
	a.ctx, a.cancel = context.WithCancelCause(x.r.Context())
	wait, why := time.Until(until), errHeadTimeout
	if t := x.set.PerTry; t > 0 && t < wait {
		wait, why = t, errTryTimeout
	}
	a.timer = time.AfterFunc(wait, func() { a.cancel(why) })
	ctx := pool.WithConnect(httptrace.WithClientTrace(a.ctx, x.trace(a)), x.set.Connect)
	out := x.outgoing(string(pick.ID)).WithContext(ctx)
	a.res, a.err = pick.Backend.Do(out, !idempotent(x.r.Method))
	a.mu.Lock()
	a.head = true
	a.mu.Unlock()
	if a.err == nil {
		a.timer.Stop()
	}
	return a
}

// end gives up what the attempt holds.
func (a *attempt) end() {
	a.timer.Stop()
	a.cancel(nil)
	if a.res != nil {
		a.res.Body.Close()
	}
	a.pick.Done()
}

// trace hears the first byte of the answer, and passes interim answers (103) on (RFC 9110, 15.2).
func (x *exchange) trace(a *attempt) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotFirstResponseByte: func() { a.heard.Store(true) },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.head || code == http.StatusContinue || code == http.StatusSwitchingProtocols || !x.r.ProtoAtLeast(1, 1) {
				return nil
			}
			to := x.w.Header()
			for k, v := range h {
				to[k] = v
			}
			dropHopByHop(to)
			x.w.extend()
			x.w.ResponseWriter.WriteHeader(code)
			clear(to)
			return nil
		},
	}
}

// failure is what an attempt's error means.
type failure struct {
	status  int
	reason  string
	again   bool // another try is allowed by what was sent and received
	suspect bool // the member is to blame
}

// judge sorts an attempt's error.
func (x *exchange) judge(a *attempt) failure {
	if err := x.body.err(); err != nil {
		status, reason := clientFault(err)
		return failure{status: status, reason: reason}
	}
	if x.r.Context().Err() != nil {
		return failure{status: statusClientGone, reason: reasonClientGone}
	}
	repeat := idempotent(x.r.Method) && x.body.again() && !a.heard.Load()
	switch cause := context.Cause(a.ctx); {
	case errors.Is(cause, errHeadTimeout):
		return failure{status: http.StatusGatewayTimeout, reason: reasonTimeout}
	case errors.Is(cause, errTryTimeout):
		return failure{status: http.StatusGatewayTimeout, reason: reasonTimeout, again: repeat}
	}
	if _, ok := errors.AsType[*pool.DialError](a.err); ok {
		return failure{status: http.StatusServiceUnavailable, reason: reasonConnect, again: x.body.again(), suspect: true}
	}
	if a.heard.Load() {
		return failure{status: http.StatusBadGateway, reason: reasonBad}
	}
	return failure{status: http.StatusBadGateway, reason: reasonClosed, again: repeat, suspect: true}
}

// clientFault is the answer to a client whose body failed.
func clientFault(err error) (status int, reason string) {
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, reasonTooLarge
	case errors.Is(err, errSlow):
		return http.StatusRequestTimeout, reasonClientSlow
	}
	return http.StatusBadRequest, reasonBadBody
}
