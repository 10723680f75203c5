package traffic

import (
	"cmp"
	"slices"
	"time"
)

// By is what lines are about.
type By string

// What lines may be about.
const (
	Routes  By = "route"
	Pools   By = "pool"
	Members By = "member"
)

// Line is the traffic of a route, pool or member between two readings.
type Line struct {
	Name     string  `json:"name"`
	Pool     string  `json:"pool,omitempty"` // of a member
	Rate     float64 `json:"rate"`           // requests per second
	Errors   float64 `json:"errors"`         // of them answered by 5xx
	Refused  float64 `json:"refused"`        // by 4xx
	Retries  float64 `json:"retries"`        // per second
	P50      float64 `json:"p50"`            // seconds from the head to the end of the answer
	P99      float64 `json:"p99"`
	Sent     float64 `json:"sent"` // bytes of answers per second
	Received float64 `json:"received"`
	InFlight int64   `json:"in_flight"`
	Total    uint64  `json:"total"` // requests since lbd began
}

// View is what lbd top shows.
type View struct {
	Time   time.Time     `json:"time"`
	Span   time.Duration `json:"span"` // between the readings, ns
	By     By            `json:"by"`
	Total  Line          `json:"total"`
	Lines  []Line        `json:"lines"` // the most requests first
	Active int           `json:"active"`
}

// Rates makes a view of two readings. A reading that is nil, or not later than the one before, gives rates of 0.
func Rates(before, now *Snapshot, by By) *View {
	v := &View{Time: now.Time, By: by, Lines: []Line{}}
	if before == nil {
		before = &Snapshot{Time: now.Time}
	}
	v.Span = max(now.Time.Sub(before.Time), 0)
	old := index(before)
	all, was := now.Sum(), before.Sum()
	v.Total = line("total", "", &all, &was, v.Span)
	add := func(kind By, pool, name string, c *Counts) {
		b := old[key{kind, pool, name}]
		if b == nil {
			b = new(Counts)
		}
		l := line(name, pool, c, b, v.Span)
		if l.Rate > 0 || l.InFlight > 0 {
			v.Active++
		}
		v.Lines = append(v.Lines, l)
	}
	switch by {
	case Routes:
		for i := range now.Routes {
			add(Routes, "", now.Routes[i].Name, &now.Routes[i].Counts)
		}
	case Pools:
		for i := range now.Pools {
			sum := now.Pools[i].Sum()
			add(Pools, "", now.Pools[i].Name, &sum)
		}
	case Members:
		for i := range now.Pools {
			p := &now.Pools[i]
			for k := range p.Members {
				add(Members, p.Name, p.Members[k].Name, &p.Members[k].Counts)
			}
		}
	}
	slices.SortStableFunc(v.Lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.InFlight, a.InFlight), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Name, b.Name))
	})
	return v
}

// key names what counts.
type key struct {
	by         By
	pool, name string
}

func index(s *Snapshot) map[key]*Counts {
	out := map[key]*Counts{}
	for i := range s.Routes {
		out[key{Routes, "", s.Routes[i].Name}] = &s.Routes[i].Counts
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		sum := p.Sum()
		out[key{Pools, "", p.Name}] = &sum
		for k := range p.Members {
			out[key{Members, p.Name, p.Members[k].Name}] = &p.Members[k].Counts
		}
	}
	return out
}

// line makes the line of what c counts now and counted before.
func line(name, pool string, c, before *Counts, span time.Duration) Line {
	l := Line{Name: name, Pool: pool, InFlight: c.InFlight, Total: c.Requests()}
	if span <= 0 {
		return l
	}
	d := c.since(before)
	per := func(n uint64) float64 { return float64(n) / span.Seconds() }
	l.Rate, l.Refused, l.Errors = per(d.Requests()), per(d.Class[4]), per(d.Class[5])
	l.Retries, l.Sent, l.Received = per(d.Retries), per(d.Sent), per(d.Received)
	l.P50, l.P99 = quantile(&d.Buckets, 0.5).Seconds(), quantile(&d.Buckets, 0.99).Seconds()
	return l
}
