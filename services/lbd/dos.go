package lbd

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/limit"
)

const (
	kindSuspect   = "dos-suspect"   // one client, for people
	kindOffenders = "dos-offenders" // many, for the other balancers: dos.Message

	dosFeed     = 4096                   // changes that wait to be told
	dosGap      = 100 * time.Millisecond // between two messages
	dosRecall   = time.Minute            // those who are held are told again, for balancers that came or missed something
	maxToldKeys = 4096                   // clients whose events are counted each by itself
)

// teller tells people and the fleet who is suspect.
type teller struct {
	s     *Service
	feed  *dos.Feed
	seed  maphash.Seed
	all   limit.Bucket // of events
	rate  limit.Rate
	byKey *limit.Keyed // of one client's
}

func (s *Service) newTeller() (*teller, error) {
	t := &teller{s: s, seed: maphash.MakeSeed()}
	perKey, err := limit.NewRate(1, time.Minute, 2)
	if err == nil {
		t.rate, err = limit.NewRate(10, time.Second, 50)
	}
	if err == nil {
		t.byKey, err = limit.NewKeyed(perKey, maxToldKeys)
	}
	if err != nil {
		return nil, err
	}
	t.feed = s.guards.detectors.Follow(dosFeed)
	return t, nil
}

// run tells until ctx ends: what has changed at once, then what has gathered in dosGap.
func (t *teller) run(ctx context.Context) {
	defer t.feed.Close()
	gap := time.NewTimer(0)
	defer gap.Stop()
	recall := time.NewTicker(dosRecall)
	defer recall.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-recall.C:
			t.recall()
		case <-t.feed.Wake():
			t.take()
		}
		gap.Reset(dosGap)
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
	}
}

// fleet tells the other balancers.
func (t *teller) fleet(changes []dos.Change) {
	g := t.s.guards
	if m := g.detectors.Tell(changes, g.now()); m != nil {
		t.s.env.Bus.Emit(kindOffenders, "", m)
	}
}

// take tells what has changed. Where changes were lost it is those who are held now.
func (t *teller) take() {
	changes, lost := t.feed.Take(dos.MaxMessage)
	for _, c := range changes {
		t.people(c)
	}
	t.fleet(changes)
	if lost {
		t.s.counters.dos.lost.Inc()
		t.recall()
	}
}

// recall tells of each detector those who are held on this balancer's word, the worst first, as many as a message has room for.
func (t *teller) recall() {
	for _, d := range t.s.guards.detectors.All() {
		t.fleet(d.Recall(t.s.guards.now()))
	}
}

// people logs a change and makes an event of a level that has risen here: a few a minute of one client, and so many of all that events of
// other things have their place.
func (t *teller) people(c dos.Change) {
	if c.By == dos.Shared || c.Level == c.Before {
		return
	}
	now := t.s.guards.now()
	who := struct {
		detector string
		key      dos.Key
	}{c.Detector, c.Key}
	if ok, _ := t.byKey.Allow(maphash.Comparable(t.seed, who), now, 1); !ok {
		t.s.counters.dos.quiet.Inc()
		return
	}
	if ok, _ := t.all.Allow(t.rate, now, 1); !ok {
		t.s.counters.dos.quiet.Inc()
		return
	}
	left := time.Duration(max(c.Until-now, 0)).Round(time.Second)
	t.s.env.Log.Warn().Str("client", c.Key.String()).Str("detector", c.Detector).Str("held", c.Level.String()).Str("was", c.Before.String()).
		Uint64("requests", c.Count).Stringer("left", left).Str("by", c.By.String()).Msg("a client's level has changed")
	if c.Level < c.Before {
		return
	}
	t.s.events.Emit(kindSuspect, "client/"+c.Key.String(), map[string]any{
		"client": c.Key, "level": c.Level.String(), "was": c.Before.String(), "requests": c.Count, "left": conf.Duration(left), "by": c.By.String(),
		"detector": c.Detector,
	})
}

// heard takes what another balancer tells.
func (s *Service) heard(e bus.Event) {
	if e.Node == s.env.Node {
		return
	}
	var m dos.Message
	err := json.Unmarshal(e.Data, &m)
	taken, unfit := 0, 0
	if err == nil {
		taken, unfit, err = s.guards.detectors.Heard(&m, s.guards.now())
	}
	if err != nil {
		s.counters.dos.heard.With("malformed").Inc()
		s.env.Log.Debug().Err(err).Str("from", e.Node).Msg("a message on suspect clients is left out")
		return
	}
	s.counters.dos.heard.With("unfit").Add(uint64(unfit))
	s.counters.dos.heard.With("taken").Add(uint64(taken))
}

// followDoS tells of suspect clients, and hears of others', until ctx ends.
func (s *Service) followDoS(ctx context.Context) error {
	t, err := s.newTeller()
	if err != nil {
		return err
	}
	cancel, err := s.env.Bus.Subscribe("lbd", kindOffenders, s.heard)
	if err != nil {
		t.feed.Close()
		return err
	}
	defer cancel()
	t.run(ctx)
	return nil
}
