package dnsd

import (
	"context"
	"time"

	"github.com/everup/everup/services/dnsd/internal/forward"
	"github.com/everup/everup/shared/health"
)

// upstreamsEvery is how often is looked at what became of the questions that were sent on.
const upstreamsEvery = 5 * time.Second

// watchUpstreams shows upstreams that answer nothing, or not everything, until ctx ends.
func (s *Service) watchUpstreams(ctx context.Context) {
	tick := time.NewTicker(upstreamsEvery)
	defer tick.Stop()
	var before outcome
	for {
		now := outcomeOf(s.data.Load().Forward)
		l, detail, known := judge(before, now)
		if now.of != nil && len(s.cfg.Load().VIPs) > 0 && (!known || l == health.Fail) {
			l, detail, known = s.probeUpstreams(ctx, now.of, l, detail)
		}
		if known && ctx.Err() == nil {
			s.ups.Set(l, detail, "are the addresses in forward.upstreams right, and reachable from here?")
			s.tell(valueUpstreams, truth(l != health.Fail))
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// probeUpstreams finds out by a question of our own, where clients' tell nothing: none came, as on a host without the addresses, or all
// were for names whose servers are dead.
func (s *Service) probeUpstreams(ctx context.Context, f *forward.Forwarder, l health.Level, detail string) (health.Level, string, bool) {
	ctx, cancel := context.WithTimeout(ctx, upstreamsEvery)
	defer cancel()
	if err := f.Probe(ctx); err != nil {
		return health.Fail, "none of them answers", true
	}
	if l == health.Fail {
		return health.Warn, "they answer, but no question of the last seconds", true
	}
	return health.OK, detail, true
}

// truth returns what is told of a thing that is or is not.
func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// outcome is what became of a forwarder's questions so far.
type outcome struct {
	of            *forward.Forwarder
	asked, failed uint64
}

func outcomeOf(f *forward.Forwarder) outcome {
	if f == nil {
		return outcome{}
	}
	return outcome{f, f.Answered.Load() + f.Failures.Load(), f.Failures.Load()}
}

// judge says how the upstreams did between two looks; ok is false when nothing was asked and so nothing is known.
func judge(before, now outcome) (l health.Level, detail string, ok bool) {
	if before.of != now.of {
		before = outcome{}
	}
	asked, failed := now.asked-before.asked, now.failed-before.failed
	switch {
	case now.of == nil:
		return health.OK, "", true
	case asked == 0:
		return health.OK, "", false
	case failed == asked:
		return health.Fail, "none of them answers", true
	case failed*2 >= asked:
		return health.Warn, "half of the questions or more go unanswered", true
	}
	return health.OK, "", true
}
