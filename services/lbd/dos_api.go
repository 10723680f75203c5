package lbd

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// maxShown bounds the offenders of an answer.
const maxShown = 1000

// DoSStatus is the answer of GET /v1/dos.
type DoSStatus struct {
	On        bool          `json:"on"`
	Room      int           `json:"room"`    // clients that can be remembered, by all detectors
	Tracked   int           `json:"tracked"` // clients with requests of late, or held
	Suspects  int           `json:"suspects"`
	Hard      int           `json:"hard"`
	Detectors []DoSDetector `json:"detectors"`
	Clients   []DoSOffender `json:"clients"` // who is suspect or hard, the worst first; at most 1000
}

// DoSDetector is one detector of several.
type DoSDetector struct {
	Name     string `json:"name"`
	Room     int    `json:"room"`
	Tracked  int    `json:"tracked"`
	Suspects int    `json:"suspects"`
	Hard     int    `json:"hard"`
}

// DoSOffender is a client that is held for something.
type DoSOffender struct {
	Client   dos.Key       `json:"client"`
	Level    string        `json:"level"`
	Left     conf.Duration `json:"left"`
	Requests uint64        `json:"requests"` // over the period
	By       string        `json:"by"`       // counted, shared or manual
	Detector string        `json:"detector"`
}

// DoS returns who is held.
func (s *Service) DoS() DoSStatus {
	now := s.guards.now()
	st := DoSStatus{Detectors: []DoSDetector{}, Clients: []DoSOffender{}}
	for _, d := range s.guards.detectors.All() {
		use, room := d.Use(now), d.Keys()
		st.On = true
		st.Detectors = append(st.Detectors, DoSDetector{d.Name(), room, use.Tracked, use.Suspects, use.Hard})
		st.Room, st.Tracked, st.Suspects, st.Hard = st.Room+room, st.Tracked+use.Tracked, st.Suspects+use.Suspects, st.Hard+use.Hard
		for _, o := range d.Offenders(dos.Suspect, maxShown, now) {
			left := time.Duration(o.Until - now).Round(time.Second)
			st.Clients = append(st.Clients, DoSOffender{o.Key, o.Level.String(), conf.Duration(left), o.Count, o.Origin.String(), d.Name()})
		}
	}
	slices.SortStableFunc(st.Clients, func(a, b DoSOffender) int { // "hard" comes before "suspect"
		return cmp.Or(strings.Compare(a.Level, b.Level), cmp.Compare(b.Left, a.Left))
	})
	st.Clients = st.Clients[:min(len(st.Clients), maxShown)]
	return st
}

// Ban is the body of a call that holds a client, or lets it go.
type Ban struct {
	Client   string        `json:"client"`             // an address, or a key as it is shown
	Detector string        `json:"detector,omitempty"` // empty: the one there is, or the one called default; to let go, all
	Level    string        `json:"level,omitempty"`    // suspect or hard; empty: hard
	For      conf.Duration `json:"for,omitempty"`      // 0: as long as the detector's ban says
	Reason   string        `json:"reason,omitempty"`
}

// detectorsOf returns those that b names. What it does not name is meant where that is clear; all says that it means all then.
func (s *Service) detectorsOf(b *Ban, all bool) ([]*dos.Detector, error) {
	have := s.guards.detectors.All()
	name := b.Detector
	switch {
	case len(have) == 0:
		return nil, fault.New(fault.Conflict, "lbd: there is no section dos in the configuration, which says how clients are told apart")
	case name == "" && (all || len(have) == 1):
		return have, nil
	case name == "":
		name = dos.Default
	}
	if i := slices.IndexFunc(have, func(d *dos.Detector) bool { return d.Name() == name }); i >= 0 {
		return have[i : i+1], nil
	}
	var names []string
	for _, d := range have {
		names = append(names, d.Name())
	}
	if b.Detector == "" {
		return nil, fault.New(fault.Invalid, "lbd: which detector is meant: %s?", strings.Join(names, ", "))
	}
	return nil, fault.New(fault.NotFound, "lbd: there is no detector %q, but %s", name, strings.Join(names, ", "))
}

// ban holds a client.
func (s *Service) ban(b Ban, by string) error {
	which, err := s.detectorsOf(&b, false)
	if err != nil {
		return err
	}
	d := which[0]
	level, lasts := dos.Hard, b.For.Std()
	switch b.Level {
	case "", dos.Hard.String():
	case dos.Suspect.String():
		level = dos.Suspect
	default:
		return fault.New(fault.Invalid, "lbd: level %q is neither suspect nor hard", b.Level)
	}
	if lasts == 0 {
		lasts = s.banOf(d.Name())
	}
	if lasts < time.Second || lasts > dos.MaxShared {
		return fault.New(fault.Invalid, "lbd: for is %v, must be from 1s to %v", lasts, dos.MaxShared)
	}
	k, err := dos.ParseKey(b.Client)
	if err != nil {
		return err
	}
	k = d.Whole(k)
	if err := d.Hold(k, level, lasts, dos.Manual, s.guards.now()); err != nil {
		return err
	}
	s.env.Log.Info().Str("client", k.String()).Str("detector", d.Name()).Str("held", level.String()).Stringer("for", lasts).Str("reason", b.Reason).Str("by", by).
		Msg("a client is held by hand")
	s.kept.save()
	return nil
}

// banOf returns how long a detector's bans last.
func (s *Service) banOf(detector string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.cfg.DoS, func(d config.DoS) bool { return string(d.Name) == detector })
	if i < 0 { // it has just gone
		return 0
	}
	return s.cfg.DoS[i].Ban.Std()
}

// unban lets a client go.
func (s *Service) unban(b Ban, by string) error {
	which, err := s.detectorsOf(&b, true)
	if err != nil {
		return err
	}
	k, err := dos.ParseKey(b.Client)
	if err != nil {
		return err
	}
	var from []string
	for _, d := range which {
		if d.Lift(d.Whole(k), dos.Manual, s.guards.now()) {
			from = append(from, d.Name())
		}
	}
	if len(from) == 0 {
		return fault.New(fault.NotFound, "lbd: %s is held for nothing", k)
	}
	s.env.Log.Info().Str("client", k.String()).Strs("detectors", from).Str("reason", b.Reason).Str("by", by).Msg("a client is let go by hand")
	s.kept.save()
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
		"ban":   {"Hold a client for suspect or hard (client, detector, level, for, reason), here and on the fleet's other lbd.", s.ban},
		"unban": {"Let a client go (client, detector, reason), here and on the fleet's other lbd; its requests count anew.", s.unban},
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
