package lbd

import (
	"cmp"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/affinity"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/services/lbd/internal/trace"
	"github.com/everup/everup/services/lbd/internal/traffic"
)

// live is what the configuration in force says. It is not changed once it is in use.
type live struct {
	table        *rule.Table
	groups       []*group // by rule.Verdict.PoolAt
	routes       []way    // by rule.Verdict.Rule
	noRoute      way
	trusted      rule.Proxies
	reasonHeader bool
	acceptID     string // whose X-Request-Id is kept, as in the configuration
	answerID     bool
	read         time.Duration // longest wait for the next bytes of a request's body
	write        time.Duration // longest wait for a client to take bytes
	tunnel       time.Duration // longest silence of an upgraded connection
	own          []liveRoute   // by rule.Verdict.Rule
	pages        *page.Set     // for who meets no route
	shut         *shut
	guard        guard
	priorities   []uint8 // in queues, by rule.Verdict.Rule
}

// site decides for the engine. Its methods run on the engine's threads.
type site struct {
	live     atomic.Pointer[live] // set before the first request
	told     func(pool, why string)
	log      *accesslog.Log
	counters *counters
	ids      []*trace.Source // by worker
}

// way is a route as requests are counted by it.
type way struct {
	name string
	cell *traffic.Cell
}

// Reasons that are the site's own, beside the names of rule.Kind and rule.Refusal.
const (
	reasonConnect = "connect"
	reasonNoRoute = "no-route"
	reasonBusy    = "source-busy"
)

// scratch is what deciding uses, kept in engine.Plan; what it is marked with.
type scratch struct {
	request rule.HTTP1
	facts   rule.Facts
	verdict rule.Verdict
	way     *way
	group   *group // nil: it is not forwarded
	entry   accesslog.Entry
	files   files.Request
	answer  files.Answer
	naming
	visit visit
}

// Decide asks the rules.
func (s *site) Decide(r *engine.Request, p *engine.Plan) {
	l := s.live.Load()
	p.Read, p.Write, p.Tunnel, p.Tell, p.Pages = l.read, l.write, l.tunnel, l.reasonHeader, l.pages
	c, _ := p.Scratch.(*scratch)
	if c == nil {
		c = new(scratch)
		p.Scratch = c
	}
	p.Mark, c.group = c, nil
	c.request = rule.HTTP1{Head: r.Head, Bytes: r.Bytes}
	peer := r.Peer.Addr().Unmap()
	p.Trusted = l.trusted.Trusts(peer)
	c.facts = rule.Facts{Client: l.trusted.Client(peer, &c.request), Secure: l.trusted.Secure(peer, r.TLS != nil, &c.request), Random: rand.Uint64()}
	c.name(r, l.acceptID == "always" || l.acceptID == "trusted" && p.Trusted, s.ids[r.Worker])
	p.ID, p.AnswerID = c.id, l.answerID
	if r.TLS != nil {
		c.facts.ServerName = r.TLS.ServerName
		c.facts.Certificate, _ = r.Known.(*rule.Certificate)
	}
	levels, ok := c.visit.begin(&l.guard, &c.request, &c.facts, &c.verdict)
	p.Watch = c.visit.watcher()
	switch {
	case r.Head.Target.Form == http1.Authority:
		p.Status, p.Reason = 405, reasonConnect
		c.way = &l.noRoute
	case !ok:
		p.Status, p.Reason, p.Response = 429, reasonBusy, l.guard.busy
		c.way = &l.noRoute
	default:
		c.facts.DoS, c.facts.Limiter = levels, &c.visit
		l.table.Decide(&c.request, &c.facts, &c.verdict)
		l.plan(c, r, p)
		c.way = l.way(c.verdict.Rule)
		if c.group, _ = p.Pool.(*group); c.group != nil {
			c.group.told(&c.naming, p, s.ids[r.Worker])
			l.bind(c, p)
		}
	}
	c.way.cell.Begin(r.Worker)
}

// way returns the route that decided; rule is below 0 if none did.
func (l *live) way(rule int) *way {
	if rule < 0 {
		return &l.noRoute
	}
	return &l.routes[rule]
}

// follow makes a plan of a verdict.
func (l *live) follow(c *scratch, r *engine.Request, p *engine.Plan) {
	v := &c.verdict
	p.Response, p.SetCookie, p.Delay, p.RetryAfter = v.Response, v.SetCookie, v.Delay, v.Wait
	p.Status, p.Reason = v.Status, engine.Reason(v.Kind.String())
	switch v.Kind {
	case rule.Forward:
		l.forward(l.groups[v.PoolAt], v, p)
	case rule.Refused:
		p.Status, p.Reason = v.Refusal.Status(), engine.Reason(v.Refusal.String())
	case rule.Serve:
		l.serve(c, r, p)
	case rule.Send:
		p.Location = v.Location
	case rule.Fixed:
		p.Type, p.Body = v.Answer.Type, v.Answer.Body
	case rule.Denied, rule.Limited:
	case rule.Dropped:
		p.Drop = true
	default:
		p.Status, p.Reason = 404, reasonNoRoute
	}
}

func (l *live) forward(g *group, v *rule.Verdict, p *engine.Plan) {
	set := g.Settings()
	p.Pool, p.Status, p.Reason = g, 0, engine.NoReason
	p.Via = g.via
	p.Connect, p.Timeout, p.PerTry = set.Connect, set.Timeout, set.PerTry
	p.Retries, p.RetryOn, p.Wait, p.MaxBody = set.Retries, set.RetryOn, set.Wait, set.MaxBody
	p.Read = cmp.Or(g.read, p.Read)
	p.Target, p.Host, p.Request = v.Target, v.Host, v.Request
	g.content.plan(p, v.Plain)
}

// bind says what of the request its member is chosen by.
func (l *live) bind(c *scratch, p *engine.Plan) {
	g := c.group
	p.Ask.Priority = l.priorities[c.verdict.Rule]
	if g.key != nil {
		p.Ask.Key, p.Ask.Keyed = g.key.Hash(&c.request, c.facts.Client)
	}
	if g.sessions != nil {
		p.Ask.Tag, p.Ask.Tagged = g.sessions.Find(&c.request)
	}
}

// Done counts a request and logs it.
func (s *site) Done(rec *engine.Record) {
	c, _ := rec.Mark.(*scratch)
	if c == nil { // it was malformed
		c = &scratch{way: &s.live.Load().noRoute, facts: rule.Facts{Client: rec.Request.Peer.Addr().Unmap(), Secure: rec.Request.TLS != nil}}
		c.way.cell.Begin(rec.Request.Worker)
	}
	s.counters.done(c, rec)
	if s.log.On() {
		c.describe(rec)
		s.log.Log(&c.entry)
		c.entry = accesslog.Entry{} // nothing of the request is kept
	}
}

// describe fills the entry in. What the request says of itself may be little if it is malformed.
func (c *scratch) describe(rec *engine.Record) {
	r := &rec.Request
	c.entry = accesslog.Entry{
		Time: rec.Start, Client: c.facts.Client, Peer: r.Peer.Addr().Unmap(), Head: r.Head, Bytes: r.Bytes, Proto: "HTTP/1.1", Secure: c.facts.Secure, TLS: r.TLS,
		Host: r.Host(), ID: c.id, Trace: c.trace, Status: rec.Status, GRPC: rec.GRPC, Sent: rec.Sent, Received: rec.Received, Route: c.way.name, Pool: rec.Pool, Member: rec.Member,
		Retries: rec.Retries, Reason: string(rec.Reason), Broken: rec.Reason == engine.Truncated || rec.Reason == engine.Stopped,
		Timing: accesslog.Timing{
			Handshake: rec.Handshake, Read: rec.Read, Delay: rec.Delay, Gather: rec.Gather, Queue: rec.Queue, Connect: rec.Connect, First: rec.Head, Duration: rec.Duration,
		},
	}
	if rec.Head > 0 {
		c.entry.Send = rec.Duration - rec.Head
	}
	switch {
	case r.HTTP2:
		c.entry.Proto = "HTTP/2.0"
	case r.Head.Version == http1.HTTP10:
		c.entry.Proto = "HTTP/1.0"
	}
}

// Retried counts a further try.
func (s *site) Retried(pool string, why engine.Reason) { s.told(pool, string(why)) }

// group is a pool as the site sees it.
type group struct {
	*pool.Pool
	traffic      *traffic.Pool
	content      *content
	inform       engine.Inform
	beginsTraces bool               // for requests that have none
	sampled      int                // of them, per cent
	via          *engine.Transport  // nil: plain
	read         time.Duration      // 0: as for all
	key          *affinity.Key      // nil: it does not balance by hash
	sessions     *affinity.Sessions // nil: clients do not stick
}
