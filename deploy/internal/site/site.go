// Package site runs the whole suite on loopback for one user: the five daemons and two instances of the demo application
// behind lbd, as `everup up` does and as the end-to-end tests want it.
//
// The directory of a suite holds config/ (the rendered examples and the fleet's secret), state/, run/ (admin sockets) and
// log/. One suite at a time may run in it. All ports are those of the examples plus an offset.
package site

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/everup/everup/deploy/internal/supervise"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/run"
	"github.com/everup/everup/shared/state"
)

// Fleet and Node are the names in the examples.
const (
	Fleet = "demo"
	Node  = "demo"
)

// Options say where and how a suite runs.
type Options struct {
	Dir       string   // "" means .everup
	Bin       string   // directory of the programs
	Offset    int      // added to every port
	Upstreams []string // resolvers that dnsd forwards to; none: it refuses other names
	// Report is told of errors and deaths of the children, in one line each; nil: nobody is. It may be called from several goroutines.
	Report func(child, line string)
}

// Suite is a running suite. Make it with New, then call Run.
type Suite struct {
	Options
	Layout

	lock  *state.Dir
	log   *supervise.LogFile
	group *supervise.Group
	news  *news
}

// New prepares the directory, writes the configurations and sees that programs and ports are there. Nothing runs yet.
// A port that is taken is fault.Conflict and named with its holder; a suite that runs in the same directory too.
func New(o Options) (_ *Suite, err error) {
	if o.Dir == "" {
		o.Dir = ".everup"
	}
	if o.Report == nil {
		o.Report = func(string, string) {}
	}
	if err := checkOffset(o.Offset); err != nil {
		return nil, err
	}
	l, err := layout(o.Dir, os.TempDir(), os.Getuid())
	if err != nil {
		return nil, err
	}
	s := &Suite{Options: o, Layout: l}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if s.news, err = newNews(l, o.Offset, s.log); err != nil {
		return nil, err
	}
	s.group, err = supervise.New(supervise.Config{
		Commands: s.commands(), LogDir: l.Log, Report: o.Report, Restarted: s.news.restarted,
	})
	return s, err
}

func (s *Suite) prepare() (err error) {
	for _, program := range []string{"lbd", "dnsd", "cached", "storaged", "logd", "everup-demo"} {
		if err := supervise.CheckBinary(filepath.Join(s.Bin, program)); err != nil {
			return err
		}
	}
	if err := s.Layout.make(); err != nil {
		return err
	}
	if s.lock, err = state.Open(filepath.Join(s.State, "everup")); err != nil {
		return err
	}
	if err := checkPorts(s.Offset); err != nil {
		return err
	}
	if err := WriteConfig(s.Layout, s.Offset, s.Upstreams); err != nil {
		return err
	}
	s.log, err = supervise.OpenLog(filepath.Join(s.Log, "everup.log"), supervise.MaxLog, func(string) {})
	return err
}

func (s *Suite) close() {
	if s.log != nil {
		s.log.Close() // nothing is kept in memory that closing could lose
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// commands are the children. Ranks: what others need comes first and goes last.
func (s *Suite) commands() []supervise.Command {
	return []supervise.Command{
		s.daemon("logd", 0),
		s.daemon("dnsd", 1),
		s.daemon("storaged", 2),
		s.daemon("cached", 3),
		s.web("web1", PortWeb1),
		s.web("web2", PortWeb2),
		s.daemon("lbd", 5),
	}
}

func (s *Suite) daemon(name string, rank int) supervise.Command {
	socket := s.Socket(name)
	return supervise.Command{
		Child: supervise.Child{Name: name, Rank: rank},
		Path:  filepath.Join(s.Bin, name),
		Args:  []string{"run", "-c", filepath.Join(s.Config, name+".yaml")},
		Ready: func(ctx context.Context) error {
			c := admin.Dial(socket)
			defer c.Close()
			return c.Do(ctx, http.MethodGet, "/readyz", nil, nil)
		},
	}
}

func (s *Suite) web(name string, port int) supervise.Command {
	listen := s.Addr(port)
	return supervise.Command{
		Child: supervise.Child{Name: name, Rank: 4},
		Path:  filepath.Join(s.Bin, "everup-demo"),
		Args:  []string{"-listen", listen, "-name", name, "-memcached", s.Addr(PortCache), "-syslog", s.Addr(PortSyslog)},
		Ready: func(ctx context.Context) error { return answers(ctx, "http://"+listen+"/healthz") },
	}
}

// answers returns nil when a GET of the URL is answered with 200.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "site: ask")
	}
	t := &http.Transport{DisableKeepAlives: true}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "site: ask")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fault.New(fault.Unavailable, "site: %s answers %s", url, resp.Status)
	}
	return nil
}

// Addr returns the address of one of the suite's ports (PortSite and so on) with the offset.
func (s *Suite) Addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port+s.Offset) }

// URL returns the address of the site through lbd, without a slash at its end.
func (s *Suite) URL() string { return "http://" + s.Addr(PortSite) }

// Children returns the names of the children in the order of their start.
func (s *Suite) Children() []string {
	var names []string
	for _, c := range s.commands() {
		names = append(names, c.Name)
	}
	return names
}

// Pid returns the process id of a child, 0 while it does not run.
func (s *Suite) Pid(child string) int { return s.group.Pid(child) }

// Ready is closed when all is ready for the first time.
func (s *Suite) Ready() <-chan struct{} { return s.group.Ready() }

// Stop asks for the orderly end: lbd first, logd last. The second call asks for an end at once. It does not wait.
func (s *Suite) Stop() { s.group.Stop() }

// newsTime bounds what is done for events at the end.
const newsTime = 2 * time.Second

// Run starts everything and keeps it until Stop or the end of ctx, which counts as a Stop. It returns nil after an orderly
// end. It may be called once, and must be called to release what New has opened.
func (s *Suite) Run(ctx context.Context) error {
	defer s.close()
	events := run.NewGroup(context.WithoutCancel(ctx))
	events.Go("news", func(ctx context.Context) error { return s.news.run(ctx, s.Ready()) })
	err := s.group.Run(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), newsTime)
	defer cancel()
	s.news.close(end)
	events.Cancel()
	events.Wait() // it only ever ends by Cancel
	if child := s.group.Failed(); child != "" {
		return fault.New(fault.Of(err), "%v\n%s ends:\n%s", err, filepath.Join(s.Log, child+".log"), s.group.Tail(child))
	}
	return err
}
