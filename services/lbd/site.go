package lbd

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/route"
)

// live is what the configuration in force says. It is not changed once it is in use.
type live struct {
	routes       *route.Table[*group]
	trusted      []netip.Prefix
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

// Reasons that are the site's own.
const (
	reasonConnect = "connect"
	reasonDots    = "dot-segments"
	reasonNoRoute = "no-route"
)

// Decide finds the pool of a request.
func (s *site) Decide(r *engine.Request, p *engine.Plan) {
	l := s.live.Load()
	p.Read, p.Write, p.Tunnel, p.Tell = l.read, l.write, l.tunnel, l.reasonHeader
	if r.Head.Target.Form == http1.Authority {
		p.Status, p.Reason = 405, reasonConnect
		return
	}
	raw := string(r.Text(r.Head.Target.Path))
	path, ok := decode(raw)
	if !ok || route.HasDots(path) {
		p.Status, p.Reason = 400, reasonDots
		return
	}
	rule := l.routes.Match(string(r.Host()), path)
	if rule == nil {
		p.Status, p.Reason = 404, reasonNoRoute
		return
	}
	set := rule.To.Settings()
	rule.To.Request(time.Now())
	p.Pool = rule.To
	p.Connect, p.Timeout, p.PerTry = set.Connect, set.Timeout, set.PerTry
	p.Retries, p.MaxBody, p.Forwarded = set.Retries, set.MaxBody, set.Forwarded
	peer := r.Peer.Addr().Unmap()
	p.Trusted = slices.ContainsFunc(l.trusted, func(n netip.Prefix) bool { return n.Contains(peer) })
	if rule.Strip {
		p.Target = stripped(r, raw, rule.Path)
	}
}

// decode returns a path without percent-encoding. One of the form "*" or empty means "/".
func decode(raw string) (string, bool) {
	if raw == "" {
		return "/", true
	}
	if !strings.Contains(raw, "%") {
		return raw, true
	}
	path, err := url.PathUnescape(raw)
	return path, err == nil
}

// stripped returns the target without a prefix of its path.
func stripped(r *engine.Request, raw, prefix string) []byte {
	target := []byte(route.Strip(raw, prefix))
	if r.Head.Target.HasQ {
		target = append(append(target, '?'), r.Text(r.Head.Target.Query)...)
	}
	return target
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
