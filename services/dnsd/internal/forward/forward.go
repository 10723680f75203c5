// Package forward asks other resolvers and keeps what they answer.
//
// A question goes to the upstreams in turn, each from a socket of its own (a random source port, RFC 5452), with a random id; an
// answer counts only if id and question match. One cut short is asked again over TCP.
package forward

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/miekg/dns"
)

// Config of a Forwarder.
type Config struct {
	Upstreams []string // host:port
	Timeout   time.Duration
	Cache     int // answers
	Pending   int // questions waiting at once
}

// Forwarder is safe for concurrent use.
type Forwarder struct {
	cfg     Config
	cache   *cache
	pending chan struct{} // a token for each question under way
	next    atomic.Uint32

	Hits, Misses       atomic.Uint64 // of the cache
	Answered, Failures atomic.Uint64 // of the misses: by an upstream, and by none
}

// New returns a forwarder; it owns no goroutine.
func New(c Config) *Forwarder {
	return &Forwarder{cfg: c, cache: newCache(c.Cache), pending: make(chan struct{}, c.Pending)}
}

// Cached returns how many answers are kept.
func (f *Forwarder) Cached() int { return f.cache.len() }

// Resolve answers q, which has one question. The answer has q's id and question; its flags are those of a resolver.
// When the bound of questions under way is reached it is fault.Full, when no upstream answers fault.Unavailable.
func (f *Forwarder) Resolve(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	k := keyOf(q)
	if m := f.cache.get(time.Now(), k); m != nil {
		f.Hits.Add(1)
		return finish(q, m), nil
	}
	f.Misses.Add(1)
	select {
	case f.pending <- struct{}{}:
		defer func() { <-f.pending }()
	default:
		return nil, fault.New(fault.Full, "forward: %d questions are waiting already", f.cfg.Pending)
	}
	m, err := f.ask(ctx, q)
	if err != nil {
		f.Failures.Add(1)
		return nil, err
	}
	f.Answered.Add(1)
	f.cache.put(time.Now(), k, m.Copy())
	return finish(q, m), nil
}

// Probe asks the upstreams for the root's name servers, past the cache and the counts, and returns nil when one of them answers, whatever it
// says: fault.Unavailable when none does before ctx ends.
func (f *Forwarder) Probe(ctx context.Context) error {
	_, err := f.ask(ctx, new(dns.Msg).SetQuestion(".", dns.TypeNS))
	return err
}

func keyOf(q *dns.Msg) key {
	k := key{name: dns.CanonicalName(q.Question[0].Name), qtype: q.Question[0].Qtype, cd: q.CheckingDisabled}
	if o := q.IsEdns0(); o != nil {
		k.do = o.Do()
	}
	return k
}

// finish makes m the answer to q: its id, its question as the client wrote it, recursion available; OPT is the server's business.
func finish(q, m *dns.Msg) *dns.Msg {
	m.Id = q.Id
	m.Question = q.Question
	m.Response, m.RecursionDesired, m.RecursionAvailable, m.Authoritative = true, q.RecursionDesired, true, false
	m.Extra = withoutOPT(m.Extra)
	return m
}

func withoutOPT(rrs []dns.RR) []dns.RR {
	out := rrs[:0:0]
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, rr)
		}
	}
	return out
}

// upstreamSize is the EDNS buffer size asked for: what passes without fragments nearly everywhere (DNS flag day 2020).
const upstreamSize = 1232

// ask tries each upstream once, beginning with another one each time.
func (f *Forwarder) ask(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	up := &dns.Msg{MsgHdr: dns.MsgHdr{Opcode: dns.OpcodeQuery, RecursionDesired: true, CheckingDisabled: q.CheckingDisabled}, Question: q.Question}
	k := keyOf(q)
	up.SetEdns0(upstreamSize, k.do)
	first := int(f.next.Add(1))
	var errs []error
	var soft *dns.Msg // an answer that says failure, kept in case no other is better
	for i := range f.cfg.Upstreams {
		addr := f.cfg.Upstreams[(first+i)%len(f.cfg.Upstreams)]
		m, err := f.exchange(ctx, up, addr)
		switch {
		case err != nil:
			errs = append(errs, err)
			if ctx.Err() != nil {
				return nil, errors.Join(errs...)
			}
		case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
			return m, nil
		default:
			soft = m
		}
	}
	if soft != nil {
		return soft, nil
	}
	return nil, fault.Wrap(fault.Unavailable, errors.Join(errs...), "forward: %s: no upstream answers", q.Question[0].Name)
}

// exchange asks one upstream over UDP, and over TCP when the answer did not fit.
func (f *Forwarder) exchange(ctx context.Context, up *dns.Msg, addr string) (*dns.Msg, error) {
	m, err := f.once(ctx, up, addr, "udp")
	if err == nil && m.Truncated {
		return f.once(ctx, up, addr, "tcp")
	}
	return m, err
}

func (f *Forwarder) once(ctx context.Context, up *dns.Msg, addr, network string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	d := net.Dialer{}
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "forward: connect to %s", addr)
	}
	defer nc.Close()
	if t, ok := ctx.Deadline(); ok {
		nc.SetDeadline(t)
	}
	c := &dns.Conn{Conn: nc, UDPSize: upstreamSize}
	ask := *up
	ask.Id = dns.Id()
	if err := c.WriteMsg(&ask); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "forward: ask %s", addr)
	}
	for { // what does not match is somebody else's, or forged: wait on
		m, err := c.ReadMsg()
		if err != nil {
			var parse *dns.Error
			if network == "udp" && errors.As(err, &parse) {
				continue
			}
			return nil, fault.Wrap(fault.Of(err), err, "forward: answer of %s", addr)
		}
		if matches(m, &ask) {
			return m, nil
		}
		if network == "tcp" {
			return nil, fault.New(fault.Corrupt, "forward: %s answers another question", addr)
		}
	}
}

func matches(m, q *dns.Msg) bool {
	return m.Response && m.Id == q.Id && len(m.Question) == 1 &&
		m.Question[0].Qtype == q.Question[0].Qtype && m.Question[0].Qclass == q.Question[0].Qclass &&
		strings.EqualFold(m.Question[0].Name, q.Question[0].Name)
}
