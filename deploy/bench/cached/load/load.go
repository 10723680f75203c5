// Package load puts load on a memcached server and tells exactly how it answered.
//
// A Client is a number of open connections; Client.Run puts one Workload on them. There are two kinds:
//
//   - closed loop (Rate 0): each connection writes Depth requests in one go, waits for all answers and writes the next
//     ones. It shows throughput and the server's CPU per request; its latencies depend on the server's own pace.
//   - open loop (Rate > 0): requests fall due at a rate of their own, whatever the server does, and each latency counts from
//     the moment the request was due, not from when it was sent. A server (or a generator) that stalls is charged for every
//     request that should have been sent meanwhile, so that the percentiles hide nothing (no coordinated omission).
//
// # Who owns what
//
// Each of the client's loops is one epoll loop over its share of the connections and runs on a locked thread of its own while
// Run lasts; Run waits for all of them. The loops share nothing but what is read only, so their figures are added up afterwards.
// A loop allocates its buffers when a run begins and nothing per request: requests are encoded into one buffer, values are cut
// from one block of random text, and the latencies are counted in a histogram (see Hist).
//
// # Bounds
//
// In flight per connection are at most Depth requests (closed loop) or inFlightLimit (open loop; what is due beyond waits,
// and its latency grows). An answer line longer than lineLimit is a protocol error; values are looked at as they pass
// and not kept. A run without any answer for stallLimit ends with an error.
//
// # What is checked
//
// Every answer must be one that the protocol allows for the request whose turn it is, with the right key, flags and length;
// one value in CheckEvery is compared byte by byte. What does not fit ends the run with an error that quotes it. Refusals
// (SERVER_ERROR, NOT_STORED and their like) are counted and the first is kept.
package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Protocol is the way of speaking to the server.
type Protocol uint8

// The protocols. A get of several keys is `get k1 k2 …` in Text, quiet mg commands and an mn in Meta, quiet GetK commands and
// a NoOp in Binary.
const (
	Text Protocol = iota
	Meta
	Binary
)

// Order is the way in which keys are chosen.
type Order uint8

// The orders.
const (
	Uniform    Order = iota // every key is as likely as any other
	Zipf                    // the i-th most popular key is drawn in proportion to 1/i^Skew
	Sequential              // every key once, then the run is over
)

// Arrivals says how the requests of an open loop are spaced.
type Arrivals uint8

// The arrivals.
const (
	Poisson Arrivals = iota // as from many independent users: exponentially distributed pauses
	Even                    // the same pause between any two
)

// Workload is what Run puts on the server. The zero value of a field has the meaning stated.
type Workload struct {
	Protocol Protocol
	Depth    int           // requests written at once in a closed loop; 0 means 1
	Rate     float64       // requests per second of all connections together in an open loop; 0 means a closed loop
	Arrivals Arrivals      // of an open loop
	Duration time.Duration // after which no request is sent any more; 0 means until Requests or the keys are used up
	Requests int           // to send in all; 0 means no limit

	GetShare float64 // share of gets among the requests, 0 to 1; the others are sets
	Multiget int     // keys asked for in one get; 0 means 1
	Refill   bool    // a key that was missed is set by the connection's next request, as a user of a cache does

	Order      Order
	Skew       float64 // of Zipf, > 0
	FirstKey   uint32  // number of the first key
	Keys       int     // how many keys there are
	KeyLen     int     // bytes, minKeyLen to maxKeyLen; 0 means 16
	Sizes      Sizes   // of the values
	Flags      uint32  // client flags of every item
	CheckEvery int     // one value in so many is compared byte by byte; 0 means 64
	Seed       uint64  // of all that is drawn: the same seed draws the same. Values do not depend on it
}

// Result is what came of a run.
type Result struct {
	Duration time.Duration // from the first request's turn to the last answer
	Requests int           // answered; a get of several keys is one
	Gets     int           // keys asked for: Hits + Misses
	Hits     int
	Misses   int
	Sets     int // Stored + Refused
	Stored   int
	Refused  int
	Refusal  string        // the first refusal's words
	Checked  int           // values compared byte by byte
	Dropped  int           // missed keys that were not set again, since too many were waiting (Refill)
	In, Out  int64         // bytes
	Values   int64         // bytes of the values read
	CPU      time.Duration // user and system time of the loops' threads
	Calls    Calls
	Latency  Hist // nanoseconds from when a request was due (open loop) or written (closed loop) until its answer was read
	Late     Hist // nanoseconds from when a request was due until it was written (open loop): the generator's own doing
}

// Calls are the system calls the loops made.
type Calls struct{ Read, Write, Wait int }

const (
	inFlightLimit = 1024
	lineLimit     = 2048
	stallLimit    = 10 * time.Second
)

// normal returns w with its defaults filled in.
func (w Workload) normal() (Workload, error) {
	w.Depth, w.Multiget = max(w.Depth, 1), max(w.Multiget, 1)
	if w.KeyLen == 0 {
		w.KeyLen = 16
	}
	if w.CheckEvery == 0 {
		w.CheckEvery = 64
	}
	switch {
	case w.KeyLen < minKeyLen || w.KeyLen > maxKeyLen:
		return w, fault.New(fault.Invalid, "load: keys of %d bytes", w.KeyLen)
	case w.Keys < 1 || uint64(w.FirstKey)+uint64(w.Keys) > 1<<32:
		return w, fault.New(fault.Invalid, "load: %d keys from %d on", w.Keys, w.FirstKey)
	case w.GetShare < 0 || w.GetShare > 1:
		return w, fault.New(fault.Invalid, "load: a share of %v gets", w.GetShare)
	case w.Order == Zipf && w.Skew <= 0:
		return w, fault.New(fault.Invalid, "load: a skew of %v", w.Skew)
	case w.Rate < 0 || w.Duration < 0 || w.Depth > inFlightLimit || w.CheckEvery < 1:
		return w, fault.New(fault.Invalid, "load: rate %v, duration %v, depth %d, one check in %d", w.Rate, w.Duration, w.Depth, w.CheckEvery)
	case w.Duration == 0 && w.Requests == 0 && w.Order != Sequential:
		return w, fault.New(fault.Invalid, "load: a run without an end")
	}
	return w, w.Sizes.check()
}

// Client is a number of open connections to one server. Servers settle the protocol of a connection by its first byte, so that a client
// that has spoken Binary cannot speak the others, nor the other way round.
type Client struct {
	loops []*loop
	spoke bool // Run was called
	first Protocol
}

// Dial opens so many connections to the server at the address (network tcp or unix), spread over so many loops.
func Dial(ctx context.Context, network, address string, connections, loops int) (*Client, error) {
	if loops < 1 || connections < loops {
		return nil, fault.New(fault.Invalid, "load: %d connections for %d loops", connections, loops)
	}
	to, err := resolve(network, address)
	if err != nil {
		return nil, err
	}
	c := &Client{}
	for i := range loops {
		l, err := newLoop()
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.loops = append(c.loops, l)
		for range share(connections, i, loops) {
			if err := ctx.Err(); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			if err := l.dial(to); err != nil {
				return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "load: connect to %s", address), c.Close())
			}
		}
	}
	return c, nil
}

// share returns the i-th of n nearly equal parts of total.
func share(total, i, n int) int { return (i+1)*total/n - i*total/n }

// Close closes the connections. It is not to be called during Run.
func (c *Client) Close() error {
	var errs []error
	for _, l := range c.loops {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// Run puts the workload on the server and returns when all answers are there. After an error the connections are good for nothing
// but Close.
func (c *Client) Run(ctx context.Context, w Workload) (*Result, error) {
	w, err := w.normal()
	if err != nil {
		return nil, err
	}
	if c.spoke && (w.Protocol == Binary) != (c.first == Binary) {
		return nil, fault.New(fault.Invalid, "load: text and binary on one connection")
	}
	c.spoke, c.first = true, w.Protocol
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	plan := newPlan(w)
	parts := make([]Result, len(c.loops))
	errs := make([]error, len(c.loops))
	var wg sync.WaitGroup
	for i, l := range c.loops {
		wg.Go(func() {
			if errs[i] = l.run(ctx, plan.part(i, len(c.loops)), &parts[i]); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	if err := firstCause(errs); err != nil {
		return nil, err
	}
	sum := &parts[0]
	for i := range parts[1:] {
		sum.add(&parts[i+1])
	}
	return sum, nil
}

// firstCause returns an error that is not merely the echo of another loop's.
func firstCause(errs []error) error {
	var canceled error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			canceled = err
		}
	}
	return canceled
}

// add adds the figures of another loop of the same run.
func (r *Result) add(o *Result) {
	r.Duration = max(r.Duration, o.Duration)
	r.Requests += o.Requests
	r.Gets, r.Hits, r.Misses = r.Gets+o.Gets, r.Hits+o.Hits, r.Misses+o.Misses
	r.Sets, r.Stored, r.Refused = r.Sets+o.Sets, r.Stored+o.Stored, r.Refused+o.Refused
	if r.Refusal == "" {
		r.Refusal = o.Refusal
	}
	r.Checked, r.Dropped = r.Checked+o.Checked, r.Dropped+o.Dropped
	r.In, r.Out, r.Values, r.CPU = r.In+o.In, r.Out+o.Out, r.Values+o.Values, r.CPU+o.CPU
	r.Calls = Calls{Read: r.Calls.Read + o.Calls.Read, Write: r.Calls.Write + o.Calls.Write, Wait: r.Calls.Wait + o.Calls.Wait}
	r.Latency.Add(&o.Latency)
	r.Late.Add(&o.Late)
}
