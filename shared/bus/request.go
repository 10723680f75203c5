package bus

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/fault"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// maxReplies bounds RequestAll.
const maxReplies = 4096

var errLost = errors.New("the connection to the bus was lost while waiting for the answer")

// Request asks one daemon and waits for its answer until ctx ends; where the bus is not connected it waits for that first.
// The handler's error comes back with its class. Nobody there is fault.Unavailable; no answer in time, or the connection
// lost while waiting, is fault.Timeout: whether it took effect is unknown.
func (b *Bus) Request(ctx context.Context, service, node, verb string, body any) (json.RawMessage, error) {
	at := subject.Request{Fleet: b.env.Fleet, Service: service, Node: node, Verb: verb}
	if err := at.Check(); err != nil {
		return nil, err
	}
	raw, err := marshalBody(body)
	if err != nil {
		return nil, err
	}
	b.met.requests.Add(1)
	if b.cfg.mode == modeOff {
		if service != b.env.Service || node != b.env.Node {
			return nil, fault.New(fault.Unavailable, "bus: request %s to %s/%s: the bus is off", verb, node, service)
		}
		return b.callLocally(ctx, verb, raw)
	}
	s, err := b.session(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bind(ctx)
	defer cancel()
	m, err := s.nc.RequestMsgWithContext(ctx, b.requestMsg(ctx, at, raw))
	if err != nil {
		return nil, requestError(ctx, err, at)
	}
	r := reply(m)
	if r.Err != nil {
		return nil, fault.Wrap(fault.Of(r.Err), r.Err, "bus: request %s to %s/%s", verb, node, service)
	}
	return r.Body, nil
}

// session returns the connection, waiting for one until ctx ends.
func (b *Bus) session(ctx context.Context) (*session, error) {
	for {
		b.mu.Lock()
		up := b.up
		b.mu.Unlock()
		select {
		case <-up:
			if s := b.cur.Load(); s != nil {
				return s, nil
			}
			if !sleep(ctx, time.Millisecond) { // between the loss and its being noted
				return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "bus: not connected")
			}
		case <-b.done:
			return nil, fault.New(fault.Unavailable, "bus: closed")
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "bus: not connected")
		}
	}
}

// bind returns a context that also ends, with the cause errLost, when the connection does.
func (s *session) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.lost:
			cancel(errLost)
		case <-stop:
		}
	}()
	return ctx, func() {
		close(stop)
		<-done
		cancel(nil)
	}
}

func (b *Bus) requestMsg(ctx context.Context, at subject.Request, body []byte) *nats.Msg {
	m := &nats.Msg{Subject: at.String(), Data: body, Header: nats.Header{
		headerFrom: {b.env.Node + "/" + b.env.Service},
	}}
	if end, ok := ctx.Deadline(); ok {
		m.Header[headerTimeout] = []string{strconv.FormatInt(max(1, time.Until(end).Milliseconds()), 10)}
	}
	return m
}

func requestError(ctx context.Context, err error, at subject.Request) error {
	class := fault.Internal
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fault.New(fault.Unavailable, "bus: request %s: no daemon takes it", at)
	case errors.Is(context.Cause(ctx), errLost), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected):
		class, err = fault.Timeout, errLost
	case errors.Is(err, nats.ErrMaxPayload):
		class = fault.Full
	case errors.Is(err, context.Canceled):
		class = fault.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		class = fault.Timeout
	}
	return fault.Wrap(class, err, "bus: request %s", at)
}

// reply reads an answer. A body that is no JSON is fault.Corrupt.
func reply(m *nats.Msg) Reply {
	r := Reply{Service: m.Header.Get(headerService), Node: m.Header.Get(headerNode)}
	text, code := m.Header.Get(micro.ErrorHeader), m.Header.Get(micro.ErrorCodeHeader)
	switch {
	case text != "" || code != "":
		n, _ := strconv.ParseUint(code, 10, 8) // 0, for what is no number, is Internal
		r.Err = fault.New(fault.Parse(uint8(n)), "%s", text)
	case len(m.Data) > 0 && !json.Valid(m.Data):
		r.Err = fault.New(fault.Corrupt, "the answer is not JSON")
	case len(m.Data) > 0:
		r.Body = json.RawMessage(m.Data)
	}
	return r
}

// Reply is one daemon's answer to a RequestAll.
type Reply struct {
	Service, Node string
	Body          json.RawMessage
	Err           error
}

// RequestAll asks every daemon of service ("" or "*": of all services) and collects answers until expect have come (0: unknown) or
// ctx ends, at most 4096, sorted by node and service. That ctx ends is no error when expect is 0; with fewer than expect it is
// fault.Partial beside what came. Nobody there is no error and no answer. ctx must have an end when expect is 0.
func (b *Bus) RequestAll(ctx context.Context, service, verb string, body any, expect int) ([]Reply, error) {
	if service == "" || service == subject.Any {
		service = subject.All
	}
	at := subject.Request{Fleet: b.env.Fleet, Service: service, Node: subject.All, Verb: verb}
	if err := at.Check(); err != nil {
		return nil, err
	}
	raw, err := marshalBody(body)
	if err != nil {
		return nil, err
	}
	b.met.requests.Add(1)
	var out []Reply
	if b.cfg.mode == modeOff {
		out = b.callAllLocally(ctx, service, verb, raw)
	} else if out, err = b.collect(ctx, at, raw, expect); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(x, y Reply) int {
		return strings.Compare(x.Node+"/"+x.Service, y.Node+"/"+y.Service)
	})
	if len(out) < expect {
		return out, fault.New(fault.Partial, "bus: request %s: %d of %d answered", at, len(out), expect)
	}
	return out, nil
}

func (b *Bus) collect(ctx context.Context, at subject.Request, body []byte, expect int) ([]Reply, error) {
	s, err := b.session(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bind(ctx)
	defer cancel()
	m := b.requestMsg(ctx, at, body)
	m.Reply = s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(m.Reply)
	if err != nil {
		return nil, requestError(ctx, err, at)
	}
	defer sub.Unsubscribe()
	if err := s.nc.PublishMsg(m); err != nil {
		return nil, requestError(ctx, err, at)
	}
	var out []Reply
	for len(out) < maxReplies && (expect <= 0 || len(out) < expect) {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil || m.Header.Get("Status") == "503" { // the end of ctx, or no responders
			return out, nil
		}
		out = append(out, reply(m))
	}
	return out, nil
}

// callLocally stands in for the network in mode off.
func (b *Bus) callLocally(ctx context.Context, verb string, body []byte) (json.RawMessage, error) {
	b.mu.Lock()
	h := b.handlers[verb]
	b.mu.Unlock()
	if h == nil {
		return nil, fault.New(fault.Unavailable, "bus: request %s: no daemon takes it", verb)
	}
	if !b.beginHandling() {
		b.drop(dropBusy, 1)
		return nil, fault.New(fault.Full, "bus: request %s: %d requests are running", verb, maxHandling)
	}
	defer b.endHandling()
	r := request{from: b.env.Node + "/" + b.env.Service, body: body}
	v, err := b.call(ctx, h, r)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "bus: request %s to %s/%s", verb, b.env.Node, b.env.Service)
	}
	b.met.handled.Add(1)
	return marshalBody(v)
}

func (b *Bus) callAllLocally(ctx context.Context, service, verb string, body []byte) []Reply {
	b.mu.Lock()
	h := b.handlers[verb]
	b.mu.Unlock()
	if h == nil || service != subject.All && service != b.env.Service {
		return nil
	}
	r := Reply{Service: b.env.Service, Node: b.env.Node}
	r.Body, r.Err = b.callLocally(ctx, verb, body)
	return []Reply{r}
}
