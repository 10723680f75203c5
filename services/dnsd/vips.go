package dnsd

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/everup/everup/services/dnsd/internal/config"
	"github.com/everup/everup/services/dnsd/internal/selfquery"
	"github.com/everup/everup/services/dnsd/internal/serve"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/vip"
	"github.com/miekg/dns"
)

const (
	valueAnswers   = config.ValueAnswers
	valueUpstreams = config.ValueUpstreams
)

// openVIPs makes the manager of c's virtual addresses, which starts nothing yet.
func (s *Service) openVIPs(c *Config) (err error) {
	env := s.env
	s.vips, err = vip.New(c.Tracked(), vip.Env{
		Service: "dnsd", Node: env.Node, Log: env.Log, Metrics: env.Metrics, Health: env.Health, Bus: env.Bus, Admin: env.Admin,
		Keys: env.Keys, State: env.State, Isolated: func() bool { return env.Fleet.View().Minority() },
	})
	if err != nil {
		return err
	}
	s.tell, s.serves = s.vips.Set, s.vips.Ready
	s.answers = env.Health.Item("dnsd.answers", health.Options{Title: "the server answers its own questions"})
	s.vipsNew = make(chan struct{}, 1)
	s.asking, s.endAsk = context.WithCancel(context.Background())
	return nil
}

// watchAnswers asks the server itself while there are virtual addresses, which are to leave it when it does not answer. With the first
// good answer it takes part in who holds them. It ends with ctx, or when a drain begins.
func (s *Service) watchAnswers(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.asking, cancel)()
	tick := time.NewTicker(selfquery.Every)
	defer tick.Stop()
	var m selfquery.Machine
	ready := false
	for {
		if len(s.cfg.Load().VIPs) == 0 {
			m = selfquery.Machine{}
			s.answers.OK()
			select {
			case <-ctx.Done():
				return
			case <-s.vipsNew:
			}
			continue
		}
		err := selfquery.Round(ctx, s.targets, question(s.data.Load), s.engine)
		if ctx.Err() != nil {
			return
		}
		answers, known := m.Step(err == nil)
		if known {
			s.tell(valueAnswers, truth(answers))
			s.showAnswers(answers, err)
		}
		if answers && !ready {
			ready = true
			s.serves()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// showAnswers sets the health item. It does not gate readiness: whoever asks at another address may be answered.
func (s *Service) showAnswers(answers bool, err error) {
	switch {
	case answers:
		s.answers.OK()
	case err != nil:
		s.answers.Fail(err.Error(), "the virtual addresses leave this host: dnsd vip status. See its log, and whether a packet filter stands between it and itself")
	}
}

// engine answers without the network.
func (s *Service) engine(q *dns.Msg) *dns.Msg {
	return s.data.Load().Answer(context.Background(), q, s.targets[0].Addr(), false)
}

// question returns what the server asks itself: the SOA of its first zone by name, else that of the fleet's domain. One that
// has neither is asked for the name of its version (CHAOS), which everup's server refuses: that too is an answer, and nobody else's.
func question(data func() *serve.Data) selfquery.Question {
	d := data()
	names := slices.Sorted(maps.Keys(d.Zones))
	switch {
	case len(names) > 0:
		serial := d.Zones[names[0]].Serial()
		return soa(names[0], func(got uint32) bool {
			now := data().Zones[names[0]] // a reload may come in between
			return got == serial || now == nil || got == now.Serial()
		})
	case d.Fleet != nil:
		return soa(d.Fleet.Origin(), func(uint32) bool { return true })
	}
	q := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	q.Question[0].Qclass = dns.ClassCHAOS
	return selfquery.Question{Ask: q, Check: func(m *dns.Msg) error {
		if m.Rcode != dns.RcodeRefused {
			return fault.New(fault.Corrupt, "the answer is %s, not REFUSED", dns.RcodeToString[m.Rcode])
		}
		return nil
	}}
}

// soa is the question for a zone's SOA, which right holds to be of a serial that is served.
func soa(zone string, right func(serial uint32) bool) selfquery.Question {
	return selfquery.Question{Ask: new(dns.Msg).SetQuestion(zone, dns.TypeSOA), Check: func(m *dns.Msg) error {
		if m.Rcode != dns.RcodeSuccess || !m.Authoritative || len(m.Answer) != 1 {
			return fault.New(fault.Corrupt, "the answer for the SOA of %s is %s, authoritative %v, with %d records",
				zone, dns.RcodeToString[m.Rcode], m.Authoritative, len(m.Answer))
		}
		rr, ok := m.Answer[0].(*dns.SOA)
		if !ok || dns.CanonicalName(rr.Hdr.Name) != zone || !right(rr.Serial) {
			return fault.New(fault.Corrupt, "the answer for the SOA of %s is %s", zone, m.Answer[0])
		}
		return nil
	}}
}

// leaveShare is the part of a drain's time that giving the addresses away may take: the work under way needs the rest.
const leaveShare = 2

// leave gives the virtual addresses to other hosts.
func (s *Service) leave(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/leaveShare)
		defer cancel()
	}
	return s.vips.Leave(ctx)
}
