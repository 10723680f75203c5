package lbd

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/state"
)

// fieldMaintenance is the field of overrides that switch maintenance, with on and off as values.
const (
	fieldMaintenance = "maintenance"
	switchedOn       = "on"
	switchedOff      = "off"
	everything       = "site" // the object that stands for all routes and pools
)

const reasonMaintenance = "maintenance"

// notice is that something is under maintenance.
type notice struct {
	on    bool
	until time.Time // zero: it was not said
}

// shut is what is under maintenance. It is not changed once it is in use.
type shut struct {
	any    bool // any of what follows
	all    notice
	routes []notice // by rule.Verdict.Rule
	pools  []notice // by rule.Verdict.PoolAt

	pages  *page.Set // nil: none of its own
	exempt []netip.Prefix
	after  time.Duration
}

// equal compares what is under maintenance.
func (s *shut) equal(o *shut) bool {
	return s.all == o.all && slices.Equal(s.routes, o.routes) && slices.Equal(s.pools, o.pools)
}

// covers returns the notice for a request. What is refused anyhow stays so.
func (s *shut) covers(v *rule.Verdict, client netip.Addr) (n notice) {
	if !s.any || !v.Maintainable() {
		return n
	}
	n = s.all
	if !n.on && v.Rule >= 0 {
		n = s.routes[v.Rule]
	}
	if !n.on && v.Kind == rule.Forward {
		n = s.pools[v.PoolAt]
	}
	if n.on && slices.ContainsFunc(s.exempt, func(p netip.Prefix) bool { return p.Contains(client) }) {
		return notice{}
	}
	return n
}

// answer makes the plan of a request that is under maintenance.
func (s *shut) answer(n notice, now time.Time, p *engine.Plan) {
	p.Status, p.Reason = 503, reasonMaintenance
	p.RetryAfter = s.after
	if !n.until.IsZero() {
		p.RetryAfter = n.until.Sub(now)
	}
	p.Pages = s.pages.Over(p.Pages)
}

// shutOf returns what is under maintenance by the configuration and the overrides.
func shutOf(c *Config, set *page.Set, overrides []state.Override) *shut {
	by := map[string]state.Override{}
	for _, v := range overrides {
		if v.Field == fieldMaintenance {
			by[v.Object] = v
		}
	}
	s := &shut{pages: set, exempt: c.Maintenance.Exempts(), after: c.Maintenance.RetryAfter.Std()}
	look := func(object string, on bool) notice {
		n := notice{on: on}
		if v, ok := by[object]; ok {
			n = notice{v.Value == switchedOn, v.Expires}
		}
		s.any = s.any || n.on
		return n
	}
	s.all = look(everything, c.Maintenance.On)
	for i := range c.Routes {
		s.routes = append(s.routes, look("route/"+c.Routes[i].Name, c.Routes[i].Maintenance))
	}
	for _, name := range c.PoolNames() {
		s.pools = append(s.pools, look("pool/"+name, c.Pools[conf.Name(name)].Maintenance))
	}
	return s
}

// refreshMaintenance puts in force what overrides say now.
func (s *Service) refreshMaintenance(now time.Time) {
	s.mu.Lock()
	old := s.site.live.Load()
	next := shutOf(s.cfg, old.shut.pages, s.overrides.List(now))
	if !next.equal(old.shut) {
		l := *old
		l.shut = next
		s.site.live.Store(&l)
	}
	list := s.maintenanceLocked(now)
	s.mu.Unlock()
	item := s.env.Health.Item("lbd.maintenance", health.Options{Title: "clients are told that there is maintenance"})
	var names []string
	for _, m := range list {
		if m.On {
			names = append(names, m.Object)
		}
	}
	if len(names) == 0 {
		item.OK()
		return
	}
	item.Warn(strings.Join(names, ", "), "see why: lbd maintenance; end it: lbd maintenance off NAME")
}

// Maintained is something that is under maintenance, or would be by the configuration.
type Maintained struct {
	Object     string    `json:"object"` // site, route/NAME, pool/NAME
	On         bool      `json:"on"`
	Configured bool      `json:"configured"` // the configuration says on
	Reason     string    `json:"reason,omitempty"`
	By         string    `json:"by,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
}

// MaintenanceChange is the body of a call that switches maintenance.
type MaintenanceChange struct {
	Object string    `json:"object,omitempty"` // site, route/NAME, pool/NAME, or a NAME that one of them has; empty: site
	On     bool      `json:"on"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is undone
}

// maintenanceLocked lists what is under maintenance or overridden not to be.
func (s *Service) maintenanceLocked(now time.Time) []Maintained {
	var out []Maintained
	for _, o := range objects(s.cfg) {
		if o.on {
			out = append(out, Maintained{Object: o.name, On: true, Configured: true})
		}
	}
	for _, v := range s.overrides.List(now) {
		if v.Field != fieldMaintenance {
			continue
		}
		i := slices.IndexFunc(out, func(m Maintained) bool { return m.Object == v.Object })
		if i < 0 {
			i, out = len(out), append(out, Maintained{Object: v.Object})
		}
		m := &out[i]
		m.On, m.Reason, m.By, m.Since, m.Until = v.Value == switchedOn, v.Reason, v.By, v.Since, v.Expires
	}
	slices.SortFunc(out, func(a, b Maintained) int { return strings.Compare(a.Object, b.Object) })
	return out
}

// object is what can be switched, and what the configuration says of it.
type object struct {
	name string
	on   bool
}

func objects(c *config.Config) []object {
	out := []object{{everything, c.Maintenance.On}}
	for i := range c.Routes {
		if name := c.Routes[i].Name; name != "" {
			out = append(out, object{"route/" + name, c.Routes[i].Maintenance})
		}
	}
	for _, name := range c.PoolNames() {
		out = append(out, object{"pool/" + name, c.Pools[conf.Name(name)].Maintenance})
	}
	return out
}

// objectNamed finds what a name means.
func objectNamed(c *config.Config, name string) (object, error) {
	all := objects(c)
	if name == "" {
		return all[0], nil
	}
	var found []object
	for _, o := range all {
		if o.name == name || o.name == "route/"+name || o.name == "pool/"+name {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return object{}, fault.New(fault.NotFound, "lbd: there is no route and no pool %q", name)
	case 1:
		return found[0], nil
	}
	return object{}, fault.New(fault.Invalid, "lbd: %q is a route and a pool: write %s or %s", name, found[0].name, found[1].name)
}

// maintain switches maintenance. Off takes an override away; where the configuration says on, it is one.
func (s *Service) maintain(c MaintenanceChange, by string) ([]Maintained, error) {
	s.mu.Lock()
	o, err := objectNamed(s.cfg, c.Object)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	v := state.Override{Object: o.name, Field: fieldMaintenance, Value: switchedOff, Reason: c.Reason, By: by, Since: now, Expires: c.Until}
	kind := "maintenance-off"
	if c.On {
		v.Value, kind = switchedOn, "maintenance-on"
	}
	if !c.On && !o.on {
		err = s.overrides.Clear(o.name, fieldMaintenance)
		if err != nil {
			return nil, fault.Wrap(fault.Of(err), err, "lbd: %s is not under maintenance", o.name)
		}
	} else if err = s.overrides.Set(v); err != nil {
		return nil, err
	}
	s.env.Bus.Emit(kind, o.name, map[string]string{"object": o.name, "by": by, "reason": c.Reason})
	s.env.Log.Info().Str("object", o.name).Str("by", by).Str("reason", c.Reason).Msg(kind)
	s.refreshMaintenance(now)
	return s.Maintenance(), nil
}

// Maintenance lists what is under maintenance, or was switched off although the configuration says on.
func (s *Service) Maintenance() []Maintained {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maintenanceLocked(time.Now())
}

// maintenanceAPI registers the calls about maintenance.
func (s *Service) maintenanceAPI() error {
	const doc = "Switch maintenance of a route, a pool or everything (object, on, reason, until)."
	s.env.Admin.Handle("GET /v1/maintenance", "What is under maintenance.",
		func(context.Context, *admin.Request) (any, error) { return s.Maintenance(), nil })
	change := func(body []byte, by string) (any, error) {
		var c MaintenanceChange
		if err := json.Unmarshal(body, &c); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "lbd: read the request")
		}
		return s.maintain(c, by)
	}
	s.env.Admin.Handle("POST /v1/maintenance", doc,
		func(_ context.Context, r *admin.Request) (any, error) { return change(r.Body, r.By) })
	return s.env.Bus.Handle("maintenance", doc, func(_ context.Context, from string, body []byte) (any, error) { return change(body, "bus "+from) })
}
