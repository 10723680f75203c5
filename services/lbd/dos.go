package lbd

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/limit"
)

const (
	kindSuspect   = "dos-suspect"   // one client, for people
	kindOffenders = "dos-offenders" // many, for the other balancers: dos.Message

	dosFeed     = 4096                   // changes that wait to be told
	dosGap      = 100 * time.Millisecond // between two messages
	dosRecall   = time.Minute            // those who are held are told again, for balancers that came or missed something
	maxShown    = 1000                   // offenders of an answer
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
	t.feed = s.guards.detector.Follow(dosFeed)
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
		var changes []dos.Change
		select {
		case <-ctx.Done():
			return
		case <-recall.C:
			changes = t.held()
		case <-t.feed.Wake():
			changes = t.take()
		}
		if m := dos.Tell(changes, t.s.guards.now()); m != nil && t.s.shares() {
			t.s.env.Bus.Emit(kindOffenders, "", m)
		}
		gap.Reset(dosGap)
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
	}
}

// take returns what has changed, and tells people of it. Where changes were lost it is those who are held now.
func (t *teller) take() []dos.Change {
	changes, lost := t.feed.Take(dos.MaxMessage)
	for _, c := range changes {
		t.people(c)
	}
	if lost {
		t.s.counters.dos.lost.Inc()
		return t.held()
	}
	return changes
}

// held returns those who are held on this balancer's word, the worst first, as many as a message has room for.
func (t *teller) held() []dos.Change {
	all := dos.Recall(t.s.guards.detector.Offenders(dos.Suspect, t.s.guards.now()))
	return all[:min(len(all), dos.MaxMessage)]
}

// people logs a change and makes an event of a level that has risen here: a few a minute of one client, and so many of all that events of
// other things have their place.
func (t *teller) people(c dos.Change) {
	if c.By == dos.Shared || c.Level == c.Before {
		return
	}
	now := t.s.guards.now()
	if ok, _ := t.byKey.Allow(maphash.Comparable(t.seed, c.Key), now, 1); !ok {
		t.s.counters.dos.quiet.Inc()
		return
	}
	if ok, _ := t.all.Allow(t.rate, now, 1); !ok {
		t.s.counters.dos.quiet.Inc()
		return
	}
	left := time.Duration(max(c.Until-now, 0)).Round(time.Second)
	t.s.env.Log.Warn().Str("client", c.Key.String()).Str("level", c.Level.String()).Str("was", c.Before.String()).
		Uint64("requests", c.Count).Stringer("left", left).Str("by", c.By.String()).Msg("a client's level has changed")
	if c.Level < c.Before {
		return
	}
	t.s.events.Emit(kindSuspect, "client/"+c.Key.String(), map[string]any{
		"client": c.Key, "level": c.Level.String(), "was": c.Before.String(), "requests": c.Count, "left": conf.Duration(left), "by": c.By.String(),
	})
}

// shares reports whether levels are shared with the fleet.
func (s *Service) shares() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.DoS != nil && s.cfg.DoS.Share
}

// heard takes what another balancer tells.
func (s *Service) heard(e bus.Event) {
	if e.Node == s.env.Node || !s.shares() {
		return
	}
	var m dos.Message
	err := json.Unmarshal(e.Data, &m)
	unfit := 0
	if err == nil {
		unfit, err = s.guards.detector.Heard(&m, s.guards.now())
	}
	if err != nil {
		s.counters.dos.heard.With("malformed").Inc()
		s.env.Log.Debug().Err(err).Str("from", e.Node).Msg("a message on suspect clients is left out")
		return
	}
	s.counters.dos.heard.With("unfit").Add(uint64(unfit))
	s.counters.dos.heard.With("taken").Add(uint64(len(m.Held) - unfit + len(m.Ended) + len(m.Lifted)))
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

// DoSStatus is the answer of GET /v1/dos.
type DoSStatus struct {
	On       bool          `json:"on"`
	Room     int           `json:"room"`    // clients that can be remembered
	Tracked  int           `json:"tracked"` // clients with requests of late, or held
	Suspects int           `json:"suspects"`
	Hard     int           `json:"hard"`
	Clients  []DoSOffender `json:"clients"` // who is suspect or hard, the worst first; at most 1000
}

// DoSOffender is a client that is held for something.
type DoSOffender struct {
	Client   dos.Key       `json:"client"`
	Level    string        `json:"level"`
	Left     conf.Duration `json:"left"`
	Requests uint64        `json:"requests"` // over the period
	By       string        `json:"by"`       // counted, shared or manual
}

// DoS returns who is held.
func (s *Service) DoS() DoSStatus {
	d, now := s.guards.detector, s.guards.now()
	use := d.Use(now)
	st := DoSStatus{On: d.Keys() > 0, Room: d.Keys(), Tracked: use.Tracked, Suspects: use.Suspects, Hard: use.Hard, Clients: []DoSOffender{}}
	all := d.Offenders(dos.Suspect, now)
	for _, o := range all[:min(len(all), maxShown)] {
		left := time.Duration(o.Until - now).Round(time.Second)
		st.Clients = append(st.Clients, DoSOffender{o.Key, o.Level.String(), conf.Duration(left), o.Count, o.Origin.String()})
	}
	return st
}

// Ban is the body of a call that holds a client, or lets it go.
type Ban struct {
	Client string        `json:"client"`          // an address, or a key as it is shown
	Level  string        `json:"level,omitempty"` // suspect or hard; empty: hard
	For    conf.Duration `json:"for,omitempty"`   // 0: as long as dos.ban says
	Reason string        `json:"reason,omitempty"`
}

// ban holds a client.
func (s *Service) ban(b Ban, by string) error {
	s.mu.Lock()
	c := s.cfg.DoS
	s.mu.Unlock()
	if c == nil {
		return fault.New(fault.Conflict, "lbd: there is no section dos in the configuration, which says how clients are told apart")
	}
	level, lasts := dos.Hard, b.For.Std()
	switch b.Level {
	case "", dos.Hard.String():
	case dos.Suspect.String():
		level = dos.Suspect
	default:
		return fault.New(fault.Invalid, "lbd: level %q is neither suspect nor hard", b.Level)
	}
	if lasts == 0 {
		lasts = c.Ban.Std()
	}
	if lasts < time.Second || lasts > dos.MaxShared {
		return fault.New(fault.Invalid, "lbd: for is %v, must be from 1s to %v", lasts, dos.MaxShared)
	}
	k, err := dos.ParseKey(b.Client)
	if err != nil {
		return err
	}
	k = s.guards.detector.Whole(k)
	if err := s.guards.detector.Hold(k, level, lasts, dos.Manual, s.guards.now()); err != nil {
		return err
	}
	s.env.Log.Info().Str("client", k.String()).Str("level", level.String()).Stringer("for", lasts).Str("reason", b.Reason).Str("by", by).
		Msg("a client is held by hand")
	return nil
}

// unban lets a client go.
func (s *Service) unban(b Ban, by string) error {
	k, err := dos.ParseKey(b.Client)
	if err != nil {
		return err
	}
	k = s.guards.detector.Whole(k)
	if !s.guards.detector.Lift(k, dos.Manual, s.guards.now()) {
		return fault.New(fault.NotFound, "lbd: %s is held for nothing", k)
	}
	s.env.Log.Info().Str("client", k.String()).Str("reason", b.Reason).Str("by", by).Msg("a client is let go by hand")
	return nil
}

// dosAPI registers the calls.
func (s *Service) dosAPI() {
	s.env.Admin.Handle("GET /v1/dos", "Who is suspect or hard, the worst first.",
		func(context.Context, *admin.Request) (any, error) { return s.DoS(), nil })
	for verb, call := range map[string]struct {
		doc string
		f   func(Ban, string) error
	}{
		"ban":   {"Hold a client for suspect or hard (client, level, for, reason), here and on the fleet's other lbd.", s.ban},
		"unban": {"Let a client go (client, reason), here and on the fleet's other lbd; its requests count anew.", s.unban},
	} {
		s.env.Admin.Handle("POST /v1/dos/"+verb, call.doc, func(_ context.Context, r *admin.Request) (any, error) {
			var b Ban
			if err := json.Unmarshal(r.Body, &b); err != nil {
				return nil, fault.Wrap(fault.Invalid, err, "lbd: read the request")
			}
			if err := call.f(b, r.By); err != nil {
				return nil, err
			}
			return s.DoS(), nil
		})
	}
}
