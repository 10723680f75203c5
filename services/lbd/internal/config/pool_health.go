package config

import (
	"github.com/everup/everup/shared/conf"
)

// Outliers is the section `outliers` of a pool: members are judged by what users' requests come to, besides their checks. One that is
// ejected gets none for a time, and comes back through a slow start.
type Outliers struct {
	Consecutive int           `yaml:"consecutive" default:"5" min:"0" max:"1000000" doc:"Failures in a row that eject a member: no connection, no answer in time, a broken one, or a status of the pool's failures; 0 means that they do not."`
	Interval    conf.Duration `yaml:"interval" default:"10s" min:"100ms" max:"1h" doc:"Time over which success rates are compared."`
	Deviations  float64       `yaml:"deviations" default:"1.9" min:"0" max:"100" doc:"A success rate so many standard deviations below the members' mean ejects; 0 means that it does not."`
	MinMembers  int           `yaml:"min_members" default:"5" min:"2" max:"512" doc:"Success rates are compared where so many members had min_requests."`
	MinRequests int           `yaml:"min_requests" default:"100" min:"1" max:"1000000" doc:"Requests within the interval that make a success rate."`
	Ejection    conf.Duration `yaml:"ejection" default:"30s" min:"100ms" max:"1d" doc:"Time of a first ejection; each further one is longer by as much, less one for each interval without."`
	MaxEjection conf.Duration `yaml:"max_ejection" default:"5m" min:"100ms" max:"1d" doc:"Longest ejection."`
	MaxEjected  int           `yaml:"max_ejected" default:"10" min:"0" max:"100" doc:"Members ejected at once in per cent of all, but one of several always may be."`
}

// Validate checks times against each other.
func (o *Outliers) Validate(r *conf.Report) {
	if o.MaxEjection < o.Ejection {
		r.At("max_ejection").Errorf("is shorter than ejection")
	}
}

// Breaker is the section `breaker` of a pool: a member's circuit opens where too many of its requests fail, so that it has none for a
// time; then a few are let through to see.
type Breaker struct {
	Failures    int           `yaml:"failures" default:"50" min:"1" max:"100" doc:"Failures in per cent of a member's requests that open its circuit."`
	Window      conf.Duration `yaml:"window" default:"10s" min:"100ms" max:"1h" doc:"Time over which they are counted."`
	MinRequests int           `yaml:"min_requests" default:"20" min:"1" max:"1000000" doc:"Requests within the window, for it to open."`
	Open        conf.Duration `yaml:"open" default:"5s" min:"100ms" max:"1h" doc:"Time that it is open, before it is half open."`
	Trials      int           `yaml:"trials" default:"3" min:"1" max:"1000" doc:"Requests that a half-open circuit lets through; if all of them succeed it closes, if one fails it opens again."`
}

// Queue is the section `queue` of a pool: requests wait where max_requests is reached, by their routes' priority, then in the
// order of coming.
type Queue struct {
	Length  int           `yaml:"length" short:"true" default:"100" min:"1" max:"100000" doc:"Requests that wait at once; further ones are answered 503 (queue-full)."`
	Timeout conf.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"1h" doc:"Longest wait; 503 after it (queue-timeout)."`
}
