package cached

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/everup/everup/services/cached/internal/insight"
	"github.com/everup/everup/services/cached/internal/spread"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/member"
)

// Docs of the calls.
const (
	docFlush      = "Forget every item."
	docInvalidate = "Delete keys (keys, keys_base64) or all keys with a prefix (prefix)."
	docSpread     = "Invalidate on every cache of the fleet, this one included, and tell what each did."
	docHot        = "The keys asked for most, and their share of all accesses."
	docCurve      = "The hit ratio that other limits of memory would have had."
)

// openBus registers cached's calls on the bus and on the admin socket.
func (s *Service) openBus() error {
	s.insight.publish(s.cfg.Publish)
	s.env.Admin.Handle("GET /v1/cache/hot", docHot, func(context.Context, *admin.Request) (any, error) { return s.insight.hot.Top(hotShown), nil })
	s.env.Admin.Handle("GET /v1/cache/curve", docCurve, func(context.Context, *admin.Request) (any, error) {
		return s.insight.estimates(s.store.Limit()), nil
	})
	s.env.Admin.Handle("POST /v1/cache/flush", docFlush, func(context.Context, *admin.Request) (any, error) { return s.flush(), nil })
	s.env.Admin.Handle("POST /v1/cache/invalidate", docSpread, func(ctx context.Context, r *admin.Request) (any, error) {
		return s.invalidateAll(ctx, r.Body)
	})
	handlers := []struct {
		verb, doc string
		f         bus.HandlerFunc
	}{
		{"flush", docFlush, func(context.Context, string, []byte) (any, error) { return s.flush(), nil }},
		{"hot", docHot, func(context.Context, string, []byte) (any, error) { return s.insight.hot.Top(hotShown), nil }},
		{"invalidate", docInvalidate, func(ctx context.Context, _ string, body []byte) (any, error) { return s.invalidate(ctx, body) }},
	}
	for _, h := range handlers {
		if err := s.env.Bus.Handle(h.verb, h.doc, h.f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) flush() map[string]bool {
	now := s.sessions.Clock.Now()
	s.store.FlushAll(now, now)
	s.flushed(0)
	return map[string]bool{"flushed": true}
}

// invalidate applies a request here.
func (s *Service) invalidate(ctx context.Context, body []byte) (spread.Result, error) {
	var r spread.Request
	if err := json.Unmarshal(body, &r); err != nil {
		return spread.Result{}, fault.Wrap(fault.Invalid, err, "cached: read the request")
	}
	return spread.Apply(ctx, s.store, r, s.sessions.Clock.Now())
}

// Applied is what one cache did with an invalidation.
type Applied struct {
	Node    string `json:"node"`
	Deleted int    `json:"deleted"`
	Error   string `json:"error,omitempty"`
}

// Spread is the answer to an invalidation on every cache.
type Spread struct {
	Caches  []Applied `json:"caches"`          // those that answered
	Applied int       `json:"applied"`         // how many of them did it
	Missing []string  `json:"missing"`         // nodes with a cache that did not answer in time, sorted
	Deleted int       `json:"deleted"`         // by all
	Error   string    `json:"error,omitempty"` // why the others could not be asked
}

// spreadWait is the longest wait for the other caches' answers.
const spreadWait = 10 * time.Second

// invalidateAll asks every cache of the fleet; alone it asks itself. A cache that gossip holds for dead is not waited for, yet it is missing when it
// does not answer: whether it has ended, or is cut off and serves what should be gone, cannot be told from here.
func (s *Service) invalidateAll(ctx context.Context, body []byte) (Spread, error) {
	ctx, cancel := context.WithTimeout(ctx, spreadWait)
	defer cancel()
	out := Spread{Missing: []string{}}
	own, err := s.invalidate(ctx, body)
	if err != nil {
		return out, err
	}
	out.add(Applied{Node: s.env.Node, Deleted: own.Deleted})
	others, alive := s.others()
	if len(others) == 0 {
		return out, nil
	}
	replies, err := s.env.Bus.RequestAll(ctx, "cached", "invalidate", json.RawMessage(body), alive+1)
	if err != nil && fault.Of(err) != fault.Partial {
		out.Error = err.Error()
	}
	for _, r := range replies {
		if r.Node == s.env.Node {
			continue // asked above, also when the bus is not there
		}
		delete(others, r.Node)
		out.add(applied(r))
	}
	out.Missing = slices.AppendSeq(out.Missing, maps.Keys(others))
	slices.Sort(out.Missing)
	return out, nil
}

// others are the nodes of the fleet's other caches that did not say good-bye, and how many of them are alive.
func (s *Service) others() (nodes map[string]bool, alive int) {
	nodes = map[string]bool{}
	for _, m := range s.env.Fleet.View().Members {
		if m.Service != "cached" || m.Node == s.env.Node || m.State == member.Left {
			continue
		}
		nodes[m.Node] = true
		if m.State == member.Alive {
			alive++
		}
	}
	return nodes, alive
}

func (o *Spread) add(a Applied) {
	o.Caches = append(o.Caches, a)
	if a.Error == "" {
		o.Applied++
		o.Deleted += a.Deleted
	}
}

func applied(r bus.Reply) Applied {
	a := Applied{Node: r.Node}
	var res spread.Result
	switch {
	case r.Err != nil:
		a.Error = r.Err.Error()
	case json.Unmarshal(r.Body, &res) != nil:
		a.Error = "an answer that cannot be read"
	default:
		a.Deleted = res.Deleted
	}
	return a
}

// Status is the service's part of `cached status`.
type Status struct {
	Summary     []Line             `json:"summary"`
	Listen      []string           `json:"listen"`
	Connections int64              `json:"connections"`
	Items       int64              `json:"items"`
	Memory      Memory             `json:"memory"`
	HitRatio    map[string]float64 `json:"hit_ratio"`
	Evictions   uint64             `json:"evictions"`
	Hot         []insight.Hot      `json:"hot"`
	Curve       []Estimate         `json:"curve"`
	Policy      string             `json:"policy"` // of eviction, that suits the traffic now
}

// Memory is what items take and may take, bytes.
type Memory struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

// Line is one line for people.
type Line struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
