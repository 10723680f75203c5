package lbd

import (
	"mime"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/metric"
)

// guards are what counts clients, whatever configuration is in force.
type guards struct {
	began       time.Time // times are counted from here
	detectors   dos.Set
	connections *dos.Sources
	requests    *dos.Sources
	limits      map[string]*heldLimit // by label; under reloadMu
}

func newGuards() *guards {
	return &guards{
		began: time.Now(), connections: dos.NewSources(), requests: dos.NewSources(), limits: map[string]*heldLimit{},
	}
}

// now is the time as package dos has it.
func (g *guards) now() int64 { return int64(time.Since(g.began)) }

// heldLimit is a limit with what it has counted, which outlives a reload that leaves its keys what they are.
type heldLimit struct {
	*dos.Limit
	keys int
	key  string
	nets config.Nets
}

// prepare makes the limits of c. Those that are there already are kept, with the rate that they have.
func (g *guards) prepare(c *config.Config) (map[string]*heldLimit, error) {
	out := map[string]*heldLimit{}
	for _, l := range c.Limits() {
		if old := g.limits[l.Label]; old != nil && old.keys == l.Keys && old.key == l.Key && old.nets == l.Nets {
			out[l.Label] = old
			continue
		}
		rate, err := l.Rate()
		if err != nil {
			return nil, err
		}
		made, err := dos.NewLimit(rate, l.Keys)
		if err != nil {
			return nil, err
		}
		out[l.Label] = &heldLimit{made, l.Keys, l.Key, l.Nets}
	}
	return out, nil
}

// configure puts c in force.
func (g *guards) configure(c *config.Config, limits map[string]*heldLimit, over *metric.CounterVec) guard {
	g.limits = limits
	l := guard{guards: g, sources: c.Sources.Of(), exempt: c.ExemptSources()}
	l.busy = []rule.Edit{{Op: rule.Set, Name: "Retry-After", Value: []byte("1")}}
	for _, n := range c.Limits() {
		held := limits[n.Label]
		if rate, err := n.Rate(); err == nil { // it was validated
			held.SetRate(rate)
		}
		action := n.Action
		if n.DryRun {
			action = "dry-run"
		}
		l.limits = append(l.limits, liveLimit{held.Limit, over.With(n.Label, action)})
	}
	g.connections.SetBound(c.Sources.Connections)
	g.requests.SetBound(c.Sources.Requests)
	l.direct = slices.Clone(l.exempt)
	l.direct = append(l.direct, c.Proxies()...)
	for i := range c.Listen {
		l.direct = append(l.direct, c.ProxiesOf(&c.Listen[i])...)
	}
	l.clocked = len(c.DoS) > 0 || len(l.limits) > 0
	detectors := g.detectors.Configure(c.Detectors(), g.now())
	for i := range c.DoS {
		d := &c.DoS[i]
		one := detecting{Detector: detectors[i], header: strings.ToLower(d.Header)}
		one.filter, _ = d.Filter()             // it was validated
		one.ignore, _ = dos.NewTypes(d.Ignore) // likewise
		l.looks = l.looks || one.filter != nil
		l.follows = l.follows || len(one.ignore) > 0
		l.counts = append(l.counts, one)
	}
	if l.follows {
		kindOfPath([]byte("/a.png")) // reads the system's files now, and not on an event loop
	}
	return l
}

// guard is what a configuration says of clients that ask too much. It is not changed once it is in use.
type guard struct {
	*guards
	counts  []detecting // by their number in rule.Levels
	looks   bool        // some count by conditions
	follows bool        // some look at answers
	sources dos.Nets
	exempt  rule.Proxies // clients without bounds
	direct  rule.Proxies // peers whose connections are not bounded: exempt ones, and proxies
	limits  []liveLimit  // by their place in rule.Table.Limits
	clocked bool         // something counts by time
	busy    []rule.Edit  // what a client with too many requests open is told
}

// detecting is a detector, and what counts.
type detecting struct {
	*dos.Detector
	header string       // whose value tells clients apart, in lower case; empty: none
	filter *rule.Filter // which requests count; nil: all
	ignore dos.Types
}

type liveLimit struct {
	*dos.Limit
	over *metric.Counter
}

// visit is one request as it is counted. It is the request's Limiter and its Watcher.
type visit struct {
	g       *guard
	source  dos.Key // who has it open; nobody if that is not counted
	at      int64
	counted uint8                      // a bit for each detector that counts it, and may take it back
	keys    [rule.MaxDetectors]dos.Key // for whom, where it is counted
}

// begin counts a request, and returns what its client is thought of; false if the client has too many open. What it looks at it leaves in
// verdict.
func (v *visit) begin(g *guard, r rule.Request, f *rule.Facts, verdict *rule.Verdict) (levels rule.Levels, ok bool) {
	v.g, v.counted = g, 0
	v.source = dos.Key{} // by itself, which needs no copy
	if g.clocked {
		levels = v.count(r, f, verdict)
	}
	return levels, !g.requests.Bounded() || v.enter(f.Client)
}

// count has each detector count the request, or look at its client.
func (v *visit) count(r rule.Request, f *rule.Facts, verdict *rule.Verdict) (levels rule.Levels) {
	v.at = v.g.now()
	if v.g.looks {
		verdict.Look(r, f)
	}
	for i := range v.g.counts {
		c := &v.g.counts[i]
		var value []byte
		if c.header != "" {
			value = rule.Header(r, c.header)
		}
		key := c.Key(f.Client, value)
		if c.filter != nil && !c.filter.Holds(verdict) {
			levels = levels.With(i, rule.DoS(c.Level(key, v.at)))
			continue
		}
		if len(c.ignore) > 0 && key.Valid() {
			v.keys[i], v.counted = key, v.counted|1<<i
		}
		levels = levels.With(i, rule.DoS(c.Count(key, v.at)))
	}
	return levels
}

// enter counts one more open request of the client; false if it has too many.
func (v *visit) enter(client netip.Addr) bool {
	if v.g.exempt.Trusts(client) {
		return true
	}
	source := v.g.sources.Key(client)
	if !v.g.requests.Enter(source) {
		return false
	}
	v.source = source
	return true
}

// watcher returns who is to follow the request, nil if nobody needs to.
func (v *visit) watcher() engine.Watcher {
	if v.source.Valid() || v.counted != 0 {
		return v
	}
	return nil
}

// Take is rule.Limiter's.
func (v *visit) Take(n int, key []byte) rule.Grant {
	l := &v.g.limits[n]
	grant := l.Limit.Take(key, v.at)
	if !grant.OK {
		l.over.Inc()
	}
	return rule.Grant(grant)
}

// Answered takes the request back if its answer does not count. Of an answer without content type, such as 304, the end of the
// path stands for it.
func (v *visit) Answered(r *engine.Request, kind []byte) {
	if v.counted == 0 {
		return
	}
	if len(kind) == 0 {
		kind = kindOfPath(r.Text(r.Head.Target.Path))
	}
	now := v.g.now()
	for i := range v.g.counts {
		if c := &v.g.counts[i]; v.counted>>i&1 != 0 && c.ignore.Has(kind) {
			c.Undo(v.keys[i], v.at, now)
			v.counted &^= 1 << i
		}
	}
}

// maxExtension bounds what is looked up.
const maxExtension = 16

func kindOfPath(p []byte) []byte {
	if len(p) > maxExtension {
		p = p[len(p)-maxExtension:]
	}
	return []byte(mime.TypeByExtension(strings.ToLower(path.Ext(string(p)))))
}

// Over is engine.Watcher's.
func (v *visit) Over() {
	v.g.requests.Leave(v.source)
	v.source = dos.Key{}
}

// admission bounds the connections of each source.
type admission struct {
	live        *atomic.Pointer[live]
	connections *dos.Sources
}

// Enter is engine.Admission's.
func (a admission) Enter(peer netip.Addr) (dos.Key, bool) {
	l := a.live.Load()
	peer = peer.Unmap()
	if l == nil || !peer.IsValid() || l.guard.direct.Trusts(peer) {
		return dos.Key{}, true
	}
	k := l.guard.sources.Key(peer)
	return k, a.connections.Enter(k)
}

// Leave is engine.Admission's.
func (a admission) Leave(k dos.Key) { a.connections.Leave(k) }
