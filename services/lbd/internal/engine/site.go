package engine

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/grpc"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// Site decides what becomes of requests. Its methods are called by several workers at once and must not block.
type Site interface {
	// Decide fills p for r, which is good during the call only.
	Decide(r *Request, p *Plan)
	// Done is told of each request once it is over. rec is good during the call only.
	Done(rec *Record)
	// Retried is told of each further try.
	Retried(pool string, why Reason)
}

// Request is a request's head, as Decide sees it.
type Request struct {
	Head  *http1.Head
	Bytes []byte // what Head's texts are places in
	HTTP2 bool   // it came by HTTP/2; Head says 1.1
	Peer  netip.AddrPort
	TLS   *tls.ConnectionState // nil: plain
	Known any                  // what Options.Identify made of TLS

	Worker int // whose thread it is, from 0 to Engine.Workers, exclusive
}

// Text returns a text of the head.
func (r *Request) Text(t http1.Text) []byte { return t.In(r.Bytes) }

// Host returns the host and port that the request names.
func (r *Request) Host() []byte {
	if r.Head.HostAt >= 0 {
		return r.Head.Fields[r.Head.HostAt].Value.In(r.Bytes)
	}
	return r.Head.Target.Host.In(r.Bytes)
}

// Plan is what is to become of a request. With a Pool it is forwarded, else answered with Status. What it refers to stays as it is until
// the request is over.
type Plan struct {
	Pool Pool

	Status   int    // of an answer of our own
	Reason   Reason // why
	Tell     bool   // say the reason in X-Everup-Reason
	Type     string // Content-Type, with Body; empty: a line of text that says the status
	Body     string
	Location []byte // of a redirection
	Drop     bool   // close without an answer

	// File is an answer of our own that has fields and content of its own; nil: none. The engine closes it. Where its status is that of an
	// error, a page says so.
	File *files.Answer

	Pages      *page.Set     // for errors of our own; nil: a line of text
	Intercept  bool          // and for those of members, if the client wants a page
	RetryAfter time.Duration // of 503; 0: a second

	Request   []rule.Edit // of the header that is forwarded
	Response  []rule.Edit // of the answer's, also of our own
	SetCookie []byte      // a field of the answer; nil: none
	Host      []byte      // in place of the request's Host; nil: as it came
	Target    []byte      // in place of the request's path and query; nil: as it came
	Inform    Inform      // what a member is told of the client
	Trusted   bool        // believe the client's own X-Forwarded-* and Forwarded
	ID        []byte      // the request's id, told as Inform and AnswerID say
	AnswerID  bool        // tell the client the id, too
	Trace     []byte      // traceparent in place of the request's; nil: see Inform

	Via *Transport // how the member is spoken to; nil: plain HTTP/1.1

	Compress       *encoding.Policy // of the answer; nil: its content is passed on as it comes
	BufferRequest  *Buffering       // the request is to be here as a whole before a member is asked; nil: it is passed on as it comes
	BufferResponse *Buffering       // the member's answer is taken as fast as it comes, whatever the client does; nil: as fast as the client takes it

	Connect time.Duration // longest wait for a connection
	Timeout time.Duration // until the answer's head over all tries, and longest silence of its content
	PerTry  time.Duration // until the answer's head in one try; 0: none
	Retries int           // further tries
	RetryOn pool.Statuses // answers in place of which a further try is made, where that is safe
	Ask     pool.Ask      // what the member is chosen by: key, session and priority
	Wait    time.Duration // longest in the pool's queue
	MaxBody int64         // largest content of the request; 0: no bound

	Delay time.Duration // how long the request waits before anything else becomes of it; see SetTarpits

	Watch Watcher // told what becomes of the request; nil: nobody is

	Read   time.Duration // longest wait for the client's next bytes
	Write  time.Duration // longest wait for the client to take bytes
	Tunnel time.Duration // longest silence after an upgrade

	// Mark is the Site's own and comes back in the Record.
	Mark any
	// Scratch is the Site's own, kept from one request to the next of another client's, so that deciding needs no memory.
	Scratch any
}

// Watcher follows one request.
type Watcher interface {
	// Answered is told of the content type of the answer that is about to be sent, empty if it has none. r and kind are good during the call.
	Answered(r *Request, kind []byte)
	// Over is told once that the request is over, also one whose exchange has failed.
	Over()
}

// Pool is a group of members.
type Pool interface {
	Name() string
	// Pick chooses a member. With pool.Queued the Waiter is told later, unless the ticket is given back by Cancel, which is false if it is
	// being told. Release is called once for each seat.
	Pick(now time.Time, a *pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome)
	Cancel(t *pool.Ticket) bool
	// Seated is the choice of a seat that a Waiter was granted.
	Seated(s pool.Seat, a *pool.Ask) pool.Choice
	// Report says what came of a request whose seat is kept, and Release gives the seat back, with the same unless that was reported.
	Report(now time.Time, s pool.Seat, r pool.Result)
	Release(now time.Time, s pool.Seat, r pool.Result, reported bool)
	// Retry reports whether the bounds of retries allow one more try, and counts it. Pick follows.
	Retry(now time.Time) bool
}

var _ Pool = (*pool.Pool)(nil)

// Reason is why lbd answered itself, or cut an answer: a word of the access log and of a metric's label.
type Reason string

// The reasons that the engine itself gives.
const (
	NoReason     Reason = ""
	NoMember     Reason = "no-member"
	BreakerOpen  Reason = "breaker-open"
	QueueFull    Reason = "queue-full"
	QueueTimeout Reason = "queue-timeout"
	BadStatus    Reason = "bad-status" // of a try: another was made in its place
	ConnectError Reason = "connect-failed"
	SecureError  Reason = "tls-failed"
	ClosedEarly  Reason = "backend-closed"
	BadAnswer    Reason = "bad-answer"
	TimedOut     Reason = "timeout"
	Truncated    Reason = "answer-truncated"
	ClientGone   Reason = "client-gone"
	ClientSlow   Reason = "client-slow"
	BadBody      Reason = "bad-body"
	TooLarge     Reason = "body-too-large"
	BadUpgrade   Reason = "bad-upgrade"
	NoRoom       Reason = "no-room" // to gather the request
	BadStore     Reason = "bad-store"
	Stopped      Reason = "stopped"
	FileError    Reason = "file-error"
	Intercepted  Reason = "intercepted"
)

// statusClientGone stands in the record of a request whose client went away before an answer, as nginx has it.
const statusClientGone = 499

// Record is what is known of a request once it is over.
type Record struct {
	Request  Request
	Start    time.Time   // when its head had come in
	Status   int         // of a gRPC error of our own what others would be told in its place: it goes out as 200 with GRPC
	GRPC     grpc.Status // of the answer to a call; None: it was none, or ended without
	Sent     int64       // bytes of the answer's content
	Received int64       // bytes of the request's content
	Pool     string
	Member   string // the last one tried
	Retries  int
	Timing
	Reason  Reason
	Refusal http1.Refusal // of a request that is malformed
	Mark    any           // the Plan's; nil where nothing was decided
}

// Timing is how long the phases of a request took, to the turns of the loop. One that did not happen took 0.
type Timing struct {
	Handshake time.Duration // from the connection's beginning until TLS was agreed on; of its first request only
	Read      time.Duration // from the first byte of the request's head to the last
	Delay     time.Duration // waiting as the plan says
	Gather    time.Duration // from then until what is wanted of the content before a member is asked had come
	Queue     time.Duration // waiting for a place at a member
	Connect   time.Duration // of the last try; 0 where a connection was there
	Head      time.Duration // from the request's head until the answer's; 0: there was none
	Duration  time.Duration // from the request's head until the end of all
}
