package cached

import (
	"net/netip"
	"time"

	"github.com/everup/everup/services/cached/internal/auth"
	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/spread"
	"github.com/everup/everup/services/cached/internal/watch"
	"github.com/rs/zerolog"
)

// openSessions fills in what all sessions share.
func (s *Service) openSessions() error {
	c := &s.cfg
	e := &s.sessions
	e.Store, e.Clock, e.Started = s.store, &session.Clock{}, s.start.Unix()
	e.Clock.Set(s.start.Unix())
	e.NoFlush, e.NoDump, e.NoWatch, e.NoCAS = !c.Commands.Flush, !c.Commands.Dump, !c.Commands.Watch, !c.CAS
	if c.Commands.Shutdown {
		e.Shutdown = s.shutdown
	}
	e.Verbosity, e.Limit = s.setVerbosity, s.setLimit
	if c.TLS != nil {
		e.Certs = s.readCerts
	}
	e.General, e.Settings, e.Conns, e.Reset = s.general, s.settings, s.connections, s.resetCounts
	e.Flushed, e.Changed = s.flushed, s.changed
	e.Publish.Store(len(c.Publish) > 0)
	if o := s.front.options; o != nil {
		e.CrawlerOff.Store(!o.Kept.LRUCrawler)
		e.Prefixes.Delimiter = o.Delimiter
		e.Prefixes.Enable(o.Detail)
	}
	if s.logins != nil {
		e.Password, e.SASL, e.TextAuth = s.logins.check, c.Auth.SASL, c.Auth.Text
	}
	s.watchers = watch.Install(&e.Watch, watch.Options{Evictions: s.store.Watch})
	s.events = spread.NewPublisher(s.start.Unix(), func(b spread.Batch) { s.env.Bus.Emit("items-changed", "", b) })
	return nil
}

// setVerbosity is the command verbosity. It changes what `stats settings` shows and nothing else: the log belongs to the operator, and any client
// may give the command.
func (s *Service) setVerbosity(level int) { s.verbosity.Store(int64(level)) }

// setLimit is the command cache_memlimit.
func (s *Service) setLimit(bytes int64) error {
	before := s.store.Limit()
	if err := s.store.SetLimit(bytes); err != nil {
		return err
	}
	s.env.Log.Warn().Int64("from", before).Int64("to", bytes).Msg("a client changed the limit of memory")
	s.limitChanged(before, bytes)
	return nil
}

func (s *Service) limitChanged(before, now int64) {
	s.env.Bus.Emit("memory-limit-changed", "", map[string]int64{"from": before, "to": now})
}

func (s *Service) flushed(delay int64) {
	s.env.Bus.Emit("cache-flushed", "", map[string]int64{"delay_s": delay})
}

// changed publishes what the configuration says is to be told.
func (s *Service) changed(c session.Change) {
	if c.Deleted && s.insight.publishDeletes.Load() || !c.Deleted && s.insight.publishStores.Load() {
		s.events.Add(c)
	}
}

// logins checks users and passwords for all protocols.
type logins struct {
	path string
	file *auth.File
	gate *auth.Gate
	log  zerolog.Logger
}

func newLogins(c *config.Auth, log zerolog.Logger) (*logins, error) {
	form := auth.Lines
	if c.Form == "database" {
		form = auth.Database
	}
	f, warnings, err := auth.Open(c.Users, form)
	if err != nil {
		return nil, err
	}
	l := &logins{path: c.Users, file: f, gate: auth.NewGate(f, auth.DefaultPolicy()), log: log}
	l.warn(warnings)
	return l, nil
}

func (l *logins) warn(warnings []string) {
	for _, w := range warnings {
		l.log.Warn().Str("file", l.path).Msg("users: " + w)
	}
}

// prepare reads the users again; commit lets them in.
func (l *logins) prepare() (commit func(), err error) {
	set, warnings, err := l.file.Prepare(l.path)
	if err != nil {
		return nil, err
	}
	return func() { set(); l.warn(warnings) }, nil
}

// check is session.Env.Password. A source that guesses is slowed; unix sockets share one place.
func (l *logins) check(user, password []byte, peer *session.Peer) bool {
	var source netip.Addr
	if at, err := netip.ParseAddrPort(peer.Remote); err == nil {
		source = at.Addr()
	}
	switch l.gate.Login(source, user, password, time.Now()) {
	case auth.Granted:
		return true
	case auth.Waiting:
		l.log.Debug().Str("client", peer.Remote).Msg("a login was refused unseen: too many failed from there")
	default:
		l.log.Info().Str("client", peer.Remote).Msg("a login failed")
	}
	return false
}
