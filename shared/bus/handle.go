package bus

import (
	"context"
	"encoding/json"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/fault"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	maxHandling = 64
	maxHandlers = 64
	// MaxBody is the most bytes of a request or an answer: NATS's usual 1 MiB less room for headers.
	MaxBody      = 1<<20 - 16<<10
	maxErrorText = 1024

	// handleDefault bounds a request whose sender told no time, handleMax any.
	handleDefault = 30 * time.Second
	handleMax     = 5 * time.Minute

	// Requests wait in the NATS client only for the moment it takes to start a goroutine or refuse.
	endpointPendingMsgs  = 256
	endpointPendingBytes = 8 << 20
)

// Headers of requests and answers beside those of the micro framework.
const (
	headerFrom    = "everup-from"       // "<node>/<service>" of the sender: told, not proven
	headerTimeout = "everup-timeout-ms" // how long the sender waits
	headerNode    = "everup-node"       // of the daemon that answers
	headerService = "everup-service"
)

// HandlerFunc answers a request; its error goes back with its fault class. from is "<node>/<service>" as the sender
// tells it, "" for a plain NATS client. body is nil where there is none. ctx ends when the sender gives up or the bus closes. The result is marshalled to JSON.
type HandlerFunc func(ctx context.Context, from string, body []byte) (any, error)

type handler struct {
	verb, doc string
	f         HandlerFunc
}

// Handle serves everup.<fleet>.do.<service>.<node>.<verb> through the NATS micro framework (so $SRV.PING/INFO/STATS see it),
// and the same verb asked of all nodes. At most 64 requests run at once; more are refused with fault.Full. A panic of f is
// answered as fault.Internal. A daemon has at most 64 verbs; a verb taken already is fault.Conflict.
func (b *Bus) Handle(verb, doc string, f HandlerFunc) error {
	if !subject.Valid(verb) {
		return fault.New(fault.Invalid, "bus: handle: verb %.80q is not a name", verb)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed.Load():
		return fault.New(fault.Unavailable, "bus: handle %s: the bus is closed", verb)
	case b.handlers[verb] != nil:
		return fault.New(fault.Conflict, "bus: handle %s: the verb is taken", verb)
	case len(b.handlers) == maxHandlers:
		return fault.New(fault.Full, "bus: handle %s: %d verbs are handled", verb, maxHandlers)
	}
	h := &handler{verb: verb, doc: doc, f: f}
	b.handlers[verb] = h
	if s := b.cur.Load(); s != nil {
		// An error means that the connection is ending; the next one gets the handler too.
		if err := b.addEndpoints(context.Background(), s, h); err != nil {
			b.log.Debug().Err(err).Str("verb", verb).Msg("bus: handler waits for the next connection")
		}
	}
	return nil
}

// startService makes the daemon's micro service on a new connection; called with mu held.
func (b *Bus) startService(ctx context.Context, s *session) error {
	svc, err := micro.AddService(s.nc, micro.Config{
		Name:        "everup-" + b.env.Service,
		Version:     semver(b.env.Version),
		Description: "everup " + b.env.Service + " on " + b.env.Node,
		Metadata:    map[string]string{"node": b.env.Node, "fleet": b.env.Fleet, "version": b.env.Version},
		// A queue group would give a request for all nodes to one of them.
		QueueGroupDisabled: true,
	})
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "bus: add the service")
	}
	s.svc = svc
	for _, h := range b.handlers {
		if err := b.addEndpoints(ctx, s, h); err != nil {
			return err
		}
	}
	return nil
}

// addEndpoints subscribes a verb three times: for this node, for all nodes of the service, for all daemons.
func (b *Bus) addEndpoints(ctx context.Context, s *session, h *handler) error {
	f := micro.HandlerFunc(func(req micro.Request) { b.accept(ctx, s, h, req) })
	for _, e := range []struct{ suffix, service, node string }{
		{"", b.env.Service, b.env.Node},
		{"_all-nodes", b.env.Service, subject.All},
		{"_all", subject.All, subject.All},
	} {
		at := subject.Request{Fleet: b.env.Fleet, Service: e.service, Node: e.node, Verb: h.verb}
		err := s.svc.AddEndpoint(h.verb+e.suffix, f,
			micro.WithEndpointSubject(at.String()),
			micro.WithEndpointMetadata(map[string]string{"doc": h.doc}),
			micro.WithEndpointQueueGroupDisabled(),
			micro.WithEndpointPendingLimits(endpointPendingMsgs, endpointPendingBytes))
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "bus: add endpoint %s", at)
		}
	}
	return nil
}

// accept runs in the NATS client's goroutine for the endpoint: it starts the handler or refuses. The answer is sent as a plain
// message and not through req, whose fields the micro framework reads as soon as accept returns.
func (b *Bus) accept(ctx context.Context, s *session, h *handler, req micro.Request) {
	r := request{
		from: req.Headers().Get(headerFrom), timeout: req.Headers().Get(headerTimeout),
		reply: req.Reply(),
	}
	if len(req.Data()) > 0 {
		r.body = req.Data()
	}
	if !b.beginHandling() {
		b.drop(dropBusy, 1)
		b.answer(s, r, nil, fault.New(fault.Full, "%s: %d requests are running", h.verb, maxHandling))
		return
	}
	go func() {
		defer b.endHandling()
		v, err := b.call(ctx, h, r)
		b.answer(s, r, v, err)
	}()
}

// beginHandling takes a slot, unless all are taken or the bus closes. b.end waits for those begun.
func (b *Bus) beginHandling() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return false
	}
	select {
	case b.slots <- struct{}{}:
		b.handling.Add(1)
		return true
	default:
		return false
	}
}

func (b *Bus) endHandling() {
	<-b.slots
	b.handling.Done()
}

// request is what came in.
type request struct {
	from, timeout, reply string
	body                 []byte
}

// wait is how long the sender waits for the answer.
func (r request) wait() time.Duration {
	ms, err := strconv.ParseUint(r.timeout, 10, 32)
	if err != nil || ms == 0 {
		return handleDefault
	}
	return min(time.Duration(ms)*time.Millisecond, handleMax)
}

func (b *Bus) call(ctx context.Context, h *handler, r request) (v any, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.wait())
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			b.reportPanic("handler of "+h.verb, p)
			v, err = nil, fault.New(fault.Internal, "%s: the handler panicked", h.verb)
		}
	}()
	return h.f(ctx, r.from, r.body)
}

func (b *Bus) reportPanic(where string, p any) {
	b.log.Error().Any("panic", p).Str("stack", string(debug.Stack())).Msg("bus: BUG: panic in a " + where)
}

// answer sends v or err. A request without a reply subject wants no answer.
func (b *Bus) answer(s *session, r request, v any, err error) {
	b.met.handled.Add(1)
	var body []byte
	if err == nil {
		body, err = marshalBody(v)
	}
	m := &nats.Msg{Subject: r.reply, Data: body, Header: nats.Header{
		headerNode: {b.env.Node}, headerService: {b.env.Service},
	}}
	if err != nil {
		b.met.handlerErrors.Add(1)
		m.Header[micro.ErrorHeader] = []string{errorText(err)}
		m.Header[micro.ErrorCodeHeader] = []string{strconv.Itoa(int(fault.Of(err)))}
	}
	if r.reply == "" {
		return
	}
	if err := s.nc.PublishMsg(m); err != nil {
		b.drop(dropSendFailed, 1)
	}
}

// errorText makes an error fit a header that may not be empty.
func errorText(err error) string {
	if text := headerValue(err.Error(), maxErrorText); text != "" {
		return text
	}
	return fault.Of(err).String()
}

// marshalBody returns v as JSON: nil as nothing, raw JSON as it is.
func marshalBody(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "bus: marshal the body")
	}
	if len(raw) > MaxBody {
		return nil, fault.New(fault.Full, "bus: a body of %d bytes is over %d", len(raw), MaxBody)
	}
	return raw, nil
}

// semverRE is the core of what the micro framework demands of a version.
var semverRE = regexp.MustCompile(`^v?((?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))`)

// semver returns the semantic version that v begins with, or 0.0.0: builds between releases have none. The
// service's metadata tell v itself.
func semver(v string) string {
	if m := semverRE.FindStringSubmatch(strings.TrimSpace(v)); m != nil {
		return m[1]
	}
	return "0.0.0"
}
