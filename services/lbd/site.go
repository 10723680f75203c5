package lbd

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// live is what the configuration in force says. It is not changed once it is in use.
type live struct {
	table        *rule.Table
	groups       []*group // by rule.Verdict.PoolAt
	trusted      rule.Proxies
	reasonHeader bool
	read         time.Duration // longest wait for the next bytes of a request's body
	write        time.Duration // longest wait for a client to take bytes
	tunnel       time.Duration // longest silence of an upgraded connection
}

// site decides for the engine. Its methods run on the engine's threads.
type site struct {
	live atomic.Pointer[live] // set before the first request
	done func(*accesslog.Entry)
	told func(pool, why string)
	logs bool // entries are written out: they need all texts
}

// Reasons that are the site's own, beside the names of rule.Kind and rule.Refusal.
const (
	reasonConnect = "connect"
	reasonNoRoute = "no-route"
)

// scratch is what deciding uses, kept in engine.Plan.
type scratch struct {
	request rule.HTTP1
	facts   rule.Facts
	verdict rule.Verdict
}

// Decide asks the rules.
func (s *site) Decide(r *engine.Request, p *engine.Plan) {
	l := s.live.Load()
	p.Read, p.Write, p.Tunnel, p.Tell = l.read, l.write, l.tunnel, l.reasonHeader
	if r.Head.Target.Form == http1.Authority {
		p.Status, p.Reason = 405, reasonConnect
		return
	}
	c, _ := p.Scratch.(*scratch)
	if c == nil {
		c = new(scratch)
		p.Scratch = c
	}
	c.request = rule.HTTP1{Head: r.Head, Bytes: r.Bytes}
	peer := r.Peer.Addr().Unmap()
	p.Trusted = l.trusted.Trusts(peer)
	c.facts = rule.Facts{Client: l.trusted.Client(peer, &c.request), Secure: l.trusted.Secure(peer, false, &c.request), Random: rand.Uint64()}
	l.table.Decide(&c.request, &c.facts, &c.verdict)
	l.follow(&c.verdict, p)
}

// follow makes a plan of a verdict.
func (l *live) follow(v *rule.Verdict, p *engine.Plan) {
	p.Response, p.SetCookie = v.Response, v.SetCookie
	p.Status, p.Reason = v.Status, engine.Reason(v.Kind.String())
	switch v.Kind {
	case rule.Forward:
		l.forward(l.groups[v.PoolAt], v, p)
	case rule.Refused:
		p.Status, p.Reason = v.Refusal.Status(), engine.Reason(v.Refusal.String())
	case rule.Send:
		p.Location = v.Location
	case rule.Fixed:
		p.Type, p.Body = v.Answer.Type, v.Answer.Body
	case rule.Denied:
	case rule.Dropped:
		p.Drop = true
	default:
		p.Status, p.Reason = 404, reasonNoRoute
	}
}

func (l *live) forward(g *group, v *rule.Verdict, p *engine.Plan) {
	set := g.Settings()
	g.Request(time.Now())
	p.Pool, p.Status, p.Reason = g, 0, engine.NoReason
	p.Connect, p.Timeout, p.PerTry = set.Connect, set.Timeout, set.PerTry
	p.Retries, p.MaxBody, p.Forwarded = set.Retries, set.MaxBody, set.Forwarded
	p.Target, p.Host, p.Request = v.Target, v.Host, v.Request
}

// Done counts a request and logs it.
func (s *site) Done(rec *engine.Record) {
	e := accesslog.Entry{
		Time: rec.Start, Status: rec.Status, Sent: rec.Sent, Received: rec.Received, Pool: rec.Pool, Member: rec.Member,
		Retries: rec.Retries, Head: rec.Head, Duration: rec.Duration, Reason: string(rec.Reason),
	}
	if s.logs {
		describe(&e, &rec.Request)
	}
	s.done(&e)
}

// describe fills in what the request says of itself. Of one that is malformed that may be little.
func describe(e *accesslog.Entry, r *engine.Request) {
	h := r.Head
	e.Client = r.Peer.Addr().Unmap().String()
	e.Method, e.Target = string(r.Text(h.Method)), string(r.Text(h.Target.Raw))
	e.Proto = "HTTP/1.1"
	if h.Version == http1.HTTP10 {
		e.Proto = "HTTP/1.0"
	}
	e.Host = string(r.Host())
	e.Referer, e.Agent = string(h.Get(r.Bytes, http1.Referer)), string(h.Get(r.Bytes, http1.UserAgent))
}

// Retried counts a further try.
func (s *site) Retried(pool string, why engine.Reason) { s.told(pool, string(why)) }

// group is a pool as the engine sees it.
type group struct{ *pool.Pool }

// Pick is engine.Pool's.
func (g *group) Pick(now time.Time, tried []string) (engine.Choice, bool) {
	ids := make([]pool.ID, len(tried))
	for i, t := range tried {
		ids[i] = pool.ID(t)
	}
	id, at, ok := g.Pool.Pick(now, ids)
	return engine.Choice{Member: string(id), Addr: at}, ok
}

// Release is engine.Pool's.
func (g *group) Release(member string) { g.Pool.Done(pool.ID(member)) }

// Failed is engine.Pool's.
func (g *group) Failed(member string, now time.Time) { g.Pool.Failed(pool.ID(member), now) }
