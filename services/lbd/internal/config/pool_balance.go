package config

import (
	"strings"
	"time"

	"github.com/everup/everup/services/lbd/internal/affinity"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/probe"
)

// Choosing is the keys of a pool that say how members are chosen.
type Choosing struct {
	Hash      *Hash          `yaml:"hash" doc:"What balance: hash goes by."`
	Sticky    *Sticky        `yaml:"sticky" doc:"Keep a client at its member by a cookie."`
	Failures  probe.Statuses `yaml:"failures" doc:"Statuses of answers that count as failures of the member for outliers and breaker, such as 500,502-504; empty means that only broken, late and missing answers do."`
	Outliers  *Outliers      `yaml:"outliers" doc:"Eject members that fail requests; absent means that only checks put one out."`
	Breaker   *Breaker       `yaml:"breaker" doc:"Give a member a rest that fails too many requests."`
	Panic     int            `yaml:"panic_threshold" default:"0" min:"0" max:"100" doc:"With fewer members well, in per cent, all are used, so that the few are not crushed by what is meant for all; 0 means never."`
	SlowStart conf.Duration  `yaml:"slow_start" default:"0" max:"1h" doc:"Time in which the weight of a member that comes up or back, or is new, grows from a tenth to the whole."`
	Failback  conf.Duration  `yaml:"failback" default:"0" max:"1d" doc:"Primary members are well for so long before they take over from backups again; 0 means at once."`
	Requests  int            `yaml:"max_requests" default:"0" min:"0" max:"1000000" doc:"Requests under way at once in the pool; 0 means no bound. Those beyond it wait in the queue, or are answered 503."`
	PerMember int            `yaml:"max_requests_per_member" default:"0" min:"0" max:"1000000" doc:"Requests under way at once at a member whose own max_requests says nothing; 0 means no bound."`
	Queue     *Queue         `yaml:"queue" doc:"Where requests wait for a member with room; absent means that none waits."`
}

// Hash is the section `hash` of a pool.
type Hash struct {
	Key        string  `yaml:"key" short:"true" default:"uri" min:"1" max:"255" doc:"What of a request is hashed: uri (path and query), path, header NAME, cookie NAME, query NAME or source (the client's address); requests without it go by wrr."`
	LoadFactor float64 `yaml:"load_factor" default:"1.25" min:"0" max:"100" doc:"A member has at most so many times its share of the requests under way, then the key's next member gets them; above 1, or 0 for no bound."`
	SourceIPv4 int     `yaml:"source_ipv4" default:"32" min:"1" max:"32" doc:"Leading bits of an IPv4 client that count for source."`
	SourceIPv6 int     `yaml:"source_ipv6" default:"64" min:"1" max:"128" doc:"Leading bits of an IPv6 client that count for source."`
}

// Validate checks the key.
func (h *Hash) Validate(r *conf.Report) {
	if _, err := h.Compile(); err != nil {
		r.At("key").Hintf("write uri, path, header NAME, cookie NAME, query NAME or source", "%q is no key", h.Key)
	}
	if h.LoadFactor > 0 && h.LoadFactor <= 1 {
		r.At("load_factor").Hintf("write 1.25, or 0 for no bound", "leaves no room for an uneven spread")
	}
}

// Compile returns the key.
func (h *Hash) Compile() (*affinity.Key, error) {
	return affinity.ParseKey(h.Key, h.SourceIPv4, h.SourceIPv6)
}

// Sticky is the section `sticky` of a pool: a cookie keeps a client at the member that answered it first. The cookie holds a signed
// name of the member, which every lbd of the fleet knows and from which no address can be read.
type Sticky struct {
	Cookie       string        `yaml:"cookie" short:"true" default:"EVERUP_LB" min:"1" max:"63" doc:"Name of the cookie."`
	Path         string        `yaml:"path" default:"/" min:"1" max:"255" doc:"Path of the site that the cookie is for."`
	MaxAge       conf.Duration `yaml:"max_age" default:"0" max:"400d" doc:"How long browsers keep the cookie; 0 means until they are closed."`
	HTTPOnly     bool          `yaml:"http_only" default:"true" doc:"Hide the cookie from scripts."`
	Secure       bool          `yaml:"secure" default:"false" doc:"Send the cookie over TLS alone."`
	SameSite     string        `yaml:"same_site" default:"lax" enum:"strict|lax|none|off" doc:"Whether the cookie goes with requests that other sites cause; none wants secure, off says nothing."`
	DrainTimeout conf.Duration `yaml:"drain_timeout" default:"0" max:"30d" doc:"Sessions leave a drained member after so long; 0 means that they stay until it is drained with --force, or down."`
}

// Validate checks what goes into Set-Cookie.
func (s *Sticky) Validate(r *conf.Report) {
	if _, err := affinity.ParseKey("cookie "+s.Cookie, 0, 0); err != nil {
		r.At("cookie").Errorf("%q is no cookie's name", s.Cookie)
	}
	if s.Path[:1] != "/" || strings.IndexFunc(s.Path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ';' }) >= 0 {
		r.At("path").Errorf("%q is no path", s.Path)
	}
	if s.SameSite == "none" && !s.Secure {
		r.At("same_site").Hintf("add secure: true", "browsers refuse a cookie of none that is not secure")
	}
	if s.MaxAge > 0 && s.MaxAge.Std() < time.Second {
		r.At("max_age").Errorf("is less than a second")
	}
}

// Attributes returns what Set-Cookie says beside name and value.
func (s *Sticky) Attributes() affinity.Attributes {
	return affinity.Attributes{
		Path: s.Path, HTTPOnly: s.HTTPOnly, Secure: s.Secure, MaxAge: s.MaxAge.Std(),
		SameSite: map[string]string{"strict": "Strict", "lax": "Lax", "none": "None"}[s.SameSite],
	}
}
