package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/limit"
)

// Nets says how much of an address tells clients apart.
type Nets struct {
	IPv4 int `yaml:"ipv4" default:"32" min:"8" max:"32" doc:"Clients of one IPv4 network of so many bits count as one."`
	IPv6 int `yaml:"ipv6" default:"64" min:"16" max:"128" doc:"Clients of one IPv6 network of so many bits count as one; 64 is what one connection to the Internet has at least."`
}

// DoS is an entry of `dos`, a detector: clients that ask too much become suspect, then hard, which routes ask for by their condition dos. It
// changes no answer by itself.
type DoS struct {
	Name      conf.Name     `yaml:"name" default:"default" doc:"Name for routes' condition dos, metrics and lbd dos; no two have the same."`
	Threshold int           `yaml:"threshold" required:"true" min:"1" max:"1000000000" doc:"More requests of a client than this within period make it suspect."`
	Hard      int           `yaml:"hard_threshold" default:"0" min:"0" max:"1000000000" doc:"More than this make it hard; 0 means that nothing does."`
	Period    conf.Duration `yaml:"period" default:"10s" min:"1s" max:"1h" doc:"Time over which requests are counted, sliding."`
	Ban       conf.Duration `yaml:"ban" default:"5m" min:"1s" max:"1d" doc:"How long a client stays what it is, from its last request above the threshold: who goes on has it prolonged."`
	Ignore    []string      `yaml:"ignore" single:"true" max:"64" doc:"Content types of answers to requests that do not count: image/png, image/*, or \"~ \" and a regular expression (RE2). Requests count until their answers show it."`
	Header    string        `yaml:"header" max:"63" doc:"Header whose value tells clients apart, such as X-Api-Key; requests without it, and all if this is empty, count by address (behind trusted proxies, the client's). Who makes up a new value each time is not found by it: have a detector by address, too."`
	Nets      `yaml:",inline"`
	When      *Match        `yaml:"when" doc:"Requests count that meet these conditions, those of routes but for dos and tagged; absent means all. What a client is by those that count, it is for all it asks."`
	Not       []Match       `yaml:"not" single:"true" max:"64" doc:"Requests that meet all of these conditions do not count: a section, or a list of such sections."`
	Exempt    []conf.Prefix `yaml:"exempt" single:"true" max:"64" doc:"Networks of clients that are never suspect."`
	Table     int           `yaml:"table" default:"65536" min:"1024" max:"4194304" doc:"Clients that are remembered, 68 bytes each; a new one takes the place of the one that asked least of late, never of one that is held for suspect."`
	Share     bool          `yaml:"share" default:"true" doc:"Tell the fleet's other lbd who is suspect and hard, and believe them."`
}

// Sources is the section `sources`: what one client may have open.
type Sources struct {
	Connections int `yaml:"connections" default:"0" min:"0" max:"1000000" doc:"Connections at once of one client, further ones are closed at once; 0 means no bound. Those of trusted proxies do not count."`
	Requests    int `yaml:"requests" default:"0" min:"0" max:"1000000" doc:"Requests at once of one client, further ones are answered 429; 0 means no bound. Behind trusted proxies the client is whom X-Forwarded-For names."`
	Nets        `yaml:",inline"`
	Exempt      []conf.Prefix `yaml:"exempt" single:"true" max:"64" doc:"Networks of clients without these bounds."`
}

// Limit is an entry of `limit` of a route.
type Limit struct {
	Name     string        `yaml:"name" max:"63" doc:"Name for logs, metrics and lbd explain; no two limits have the same. Without one it is called by its route."`
	Requests int           `yaml:"requests" required:"true" min:"1" max:"1000000000" doc:"So many requests of a key are let pass within per."`
	Per      conf.Duration `yaml:"per" default:"1s" min:"1ms" max:"1d" doc:"The time for requests."`
	Burst    int           `yaml:"burst" default:"0" min:"0" max:"1000000000" doc:"So many at once, after a rest; 0 means as many as requests."`
	Key      string        `yaml:"key" max:"4096" doc:"Requests of equal key share a limit, such as $(header.X-Api-Key) or $host$path; empty means the client's address by ipv4 and ipv6. Requests whose key is empty are not limited."`
	Nets     `yaml:",inline"`
	Action   string        `yaml:"action" default:"refuse" enum:"refuse|tarpit|drop|tag" doc:"What becomes of requests above it. refuse: status, with Retry-After and RateLimit headers. tarpit: they wait for delay, and go on. drop: the connection is closed without an answer. tag: they get tag, and go on."`
	Status   int           `yaml:"status" default:"429" enum:"429|503" doc:"Status for refuse."`
	Delay    conf.Duration `yaml:"delay" default:"5s" min:"1ms" max:"1m" doc:"Wait for tarpit."`
	Tag      []conf.Name   `yaml:"tag" single:"true" max:"16" doc:"Tags for tag."`
	DryRun   bool          `yaml:"dry_run" default:"false" doc:"Count what is above it, and do nothing."`
	Tell     bool          `yaml:"tell" default:"false" doc:"Say in answers that pass, too, what is left: RateLimit-Limit, -Remaining, -Reset and -Policy."`
	Keys     int           `yaml:"keys" default:"16384" min:"1024" max:"1048576" doc:"Keys that are limited each by itself, 32 to 64 bytes each; with more at once some share a limit."`
}

// Tarpit is the section `tarpit` of a route. In the file it may be the delay alone.
type Tarpit struct {
	Delay conf.Duration `yaml:"delay" short:"true" required:"true" min:"1ms" max:"1m" doc:"How long the route's requests wait before anything else becomes of them."`
}

// Of returns n in the terms of package dos.
func (n Nets) Of() dos.Nets { return dos.Nets{V4: n.IPv4, V6: n.IPv6} }

// Options returns what the section says in the terms of package dos.
func (d *DoS) Options() dos.Options {
	return dos.Options{
		Settings: dos.Settings{Period: d.Period.Std(), Threshold: uint64(d.Threshold), Hard: uint64(d.Hard), Ban: d.Ban.Std()},
		Nets:     d.Of(), Values: d.Header != "", Keys: d.Table, Exempt: prefixes(d.Exempt), Share: d.Share,
	}
}

// Detectors returns what the section says in the terms of package dos.
func (c *Config) Detectors() (out []dos.Named) {
	for i := range c.DoS {
		out = append(out, dos.Named{Name: string(c.DoS[i].Name), Options: c.DoS[i].Options()})
	}
	return out
}

// detectorNames returns the names of the detectors in order.
func (c *Config) detectorNames() (out []string) {
	for i := range c.DoS {
		out = append(out, string(c.DoS[i].Name))
	}
	return out
}

// Filter returns which requests count, nil for all.
func (d *DoS) Filter() (*rule.Filter, error) {
	f, problems := d.filter()
	if len(problems) > 0 {
		p := problems[0]
		return nil, fault.New(fault.Config, "lbd: dos: %s: %v %s", d.Name, p.At, p.Msg)
	}
	return f, nil
}

func (d *DoS) filter() (*rule.Filter, []rule.Problem) {
	if d.When == nil && len(d.Not) == 0 {
		return nil, nil
	}
	var when *rule.Match
	if d.When != nil {
		m := d.When.match()
		when = &m
	}
	return rule.NewFilter(when, matches(d.Not))
}

// ExemptSources returns the networks of clients without bounds of sources.
func (c *Config) ExemptSources() rule.Proxies { return prefixes(c.Sources.Exempt) }

// Validate checks the thresholds against each other, the types and the conditions.
func (d *DoS) Validate(r *conf.Report) {
	if d.Name == rule.AnyDetector {
		r.At("name").Errorf("%q stands for all detectors", d.Name)
	}
	_, problems := d.filter()
	tell(r, problems)
	if d.Hard > 0 && d.Hard <= d.Threshold {
		r.At("hard_threshold").Errorf("is %d, must be above threshold, which is %d", d.Hard, d.Threshold)
	}
	for i, s := range d.Ignore {
		if _, err := dos.ParseType(s); err != nil {
			r.At("ignore").At(i).Errorf("%v", err)
		}
	}
	if d.Header != "" && !http1.IsToken(d.Header) {
		r.At("header").Errorf("%q is no header's name", d.Header)
	}
}

// Validate checks the limit by itself.
func (l *Limit) Validate(r *conf.Report) {
	if _, err := l.Rate(); err != nil {
		r.Errorf("a burst of %d takes too long to gather", l.burst())
	}
	switch {
	case l.Action == rule.Mark.String() && len(l.Tag) == 0:
		r.At("action").Hintf("give tag", "sets no tag")
	case l.Action != rule.Mark.String() && len(l.Tag) > 0:
		r.At("tag").Hintf("give action: tag", "has no meaning here")
	}
}

func (l *Limit) burst() int64 {
	if l.Burst == 0 {
		return int64(l.Requests)
	}
	return int64(l.Burst)
}

// Rate returns how fast requests of a key may come.
func (l *Limit) Rate() (limit.Rate, error) {
	return limit.NewRate(int64(l.Requests), l.Per.Std(), l.burst())
}

func (l *Limit) limit() rule.Limit {
	return rule.Limit{
		Name: l.Name, Requests: int64(l.Requests), Per: l.Per.Std(), Burst: l.burst(), Key: l.Key, V4: l.IPv4, V6: l.IPv6,
		Action: rule.OverLimit(max(slices.Index(rule.Actions(), l.Action), 0)), Status: l.Status, Delay: l.Delay.Std(), Tags: texts(l.Tag),
		DryRun: l.DryRun, Tell: l.Tell,
	}
}

func limitsOf(list []Limit) (out []rule.Limit) {
	for i := range list {
		out = append(out, list[i].limit())
	}
	return out
}

func (t *Tarpit) wait() time.Duration {
	if t == nil {
		return 0
	}
	return t.Delay.Std()
}

// NamedLimit is a limit of a route with the name that it has for people.
type NamedLimit struct {
	Label string
	*Limit
}

// Limits returns the limits of all routes, in the order of rule.Table.Limits.
func (c *Config) Limits() (out []NamedLimit) {
	for i := range c.Routes {
		t := &c.Routes[i]
		for j := range t.Limit {
			label := t.Limit[j].Name
			if label == "" {
				label = fmt.Sprintf("routes[%d].limit[%d]", i, j)
				if t.Name != "" {
					label = fmt.Sprintf("%s.limit[%d]", t.Name, j)
				}
			}
			out = append(out, NamedLimit{label, &t.Limit[j]})
		}
	}
	return out
}

// validateDoS checks what routes ask for of detectors when there are none, and the names of detectors and limits.
func (c *Config) validateDoS(r *conf.Report) {
	for i, name := range c.detectorNames() {
		if j := slices.Index(c.detectorNames(), name); j < i {
			r.At("dos").At(i).At("name").Errorf("%q is the name of dos[%d] already", name, j)
		}
	}
	taken := map[string]bool{}
	for i := range c.Routes {
		t, at := &c.Routes[i], r.At("routes").At(i)
		missing := func(m *Match, at *conf.Report) {
			if len(c.DoS) == 0 && len(m.DoS) > 0 {
				at.At("dos").Hintf("write dos: {threshold: …} beside routes", "there is no section dos, so that nobody is suspect")
			}
		}
		missing(&t.Match, at)
		for j := range t.Not {
			missing(&t.Not[j], at.At("not").At(j))
		}
		for j, l := range t.Limit {
			if l.Name != "" && taken[l.Name] {
				at.At("limit").At(j).At("name").Errorf("%q is the name of another limit already", l.Name)
			}
			taken[l.Name] = true
		}
	}
}
