package lbd

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/shared/health"
)

// liveRoute is what lbd itself answers requests of a route with.
type liveRoute struct {
	tree      *files.Tree      // nil: it has no files
	compress  *encoding.Policy // of files; nil: they go as they are
	pages     *page.Set        // those of all routes included; nil: none
	intercept bool
}

// pages are the pages of a configuration, read.
type pages struct {
	all         *page.Set
	routes      []*page.Set // by route, those of all included
	maintenance *page.Set
}

// readPages reads the files of pages.
func readPages(c *Config) (*pages, error) {
	var p pages
	var err error
	if p.all, err = c.ErrorPages.Set(); err != nil {
		return nil, err
	}
	if p.maintenance, err = c.Maintenance.Pages(); err != nil {
		return nil, err
	}
	for i := range c.Routes {
		own, err := c.Routes[i].ErrorPages.Set()
		if err != nil {
			return nil, err
		}
		p.routes = append(p.routes, own.Over(p.all))
	}
	return &p, nil
}

// roots are the directories that files are served from. Service.mu guards it.
type roots struct {
	gate    *files.Gate
	dirs    map[string]*files.Dir
	retired []retired
}

// retired is a directory that no route has any more, but perhaps a request that is being decided.
type retired struct {
	dir  *files.Dir
	when time.Time
}

// retireFor is how long a directory is kept that no route has any more: deciding takes microseconds.
const retireFor = 10 * time.Second

// configure opens and retires directories, and returns the trees by route.
func (r *roots) configure(routes []config.Route, now time.Time) []*files.Tree {
	out := make([]*files.Tree, len(routes))
	used := map[string]bool{}
	for i := range routes {
		f := routes[i].Files
		if f == nil {
			continue
		}
		used[f.Root] = true
		if r.dirs[f.Root] == nil {
			r.dirs[f.Root] = files.OpenDir(f.Root, r.gate)
		}
		out[i] = files.New(r.dirs[f.Root], f.Options())
	}
	for path, d := range r.dirs {
		if !used[path] {
			r.retired = append(r.retired, retired{d, now})
			delete(r.dirs, path)
		}
	}
	return out
}

// sweep closes what was retired before a time.
func (r *roots) sweep(before time.Time) {
	kept := r.retired[:0]
	for _, old := range r.retired {
		if old.when.Before(before) {
			old.dir.CloseDir()
			continue
		}
		kept = append(kept, old)
	}
	r.retired = kept
}

// close closes all.
func (r *roots) close() {
	for _, d := range r.dirs {
		d.CloseDir()
	}
	for _, old := range r.retired {
		old.dir.CloseDir()
	}
	r.dirs, r.retired = nil, nil
}

func noRoot(path string) string { return "lbd.files.no-root." + path }

// lookAtRoots sees which directories their paths name now.
func (s *Service) lookAtRoots(now time.Time) {
	s.rootsMu.Lock()
	defer s.rootsMu.Unlock()
	s.mu.Lock()
	s.roots.sweep(now.Add(-retireFor))
	dirs := make([]*files.Dir, 0, len(s.roots.dirs))
	for _, d := range s.roots.dirs {
		dirs = append(dirs, d)
	}
	s.mu.Unlock()
	told := map[string]bool{}
	for _, d := range dirs {
		told[d.Path()] = true
		item := s.env.Health.Item(noRoot(d.Path()), health.Options{Title: "files cannot be served from " + d.Path()})
		if err := d.Refresh(); err != nil {
			item.Fail(err.Error(), "make the directory, or change files.root")
			continue
		}
		item.OK()
	}
	for path := range s.toldRoots {
		if !told[path] {
			s.env.Health.Remove(noRoot(path))
		}
	}
	s.toldRoots = told
}

// plan makes a plan of what the rules have decided.
func (l *live) plan(c *scratch, r *engine.Request, p *engine.Plan) {
	v := &c.verdict
	if v.Rule >= 0 {
		p.Pages, p.Intercept = l.own[v.Rule].pages, l.own[v.Rule].intercept
	}
	if n := l.shut.covers(v, c.facts.Client); n.on {
		p.Response = v.Response
		l.shut.answer(n, time.Now(), p)
		return
	}
	l.follow(c, r, p)
}

// serve answers with a file.
func (l *live) serve(c *scratch, r *engine.Request, p *engine.Plan) {
	c.files = files.Request{Head: r.Head, Bytes: r.Bytes, Path: c.verdict.Path, Now: time.Now(), Random: c.facts.Random}
	own := &l.own[c.verdict.Rule]
	own.tree.Answer(&c.files, &c.answer)
	p.File, p.Status = &c.answer, c.answer.Status
	if !c.verdict.Plain {
		p.Compress = own.compress
	}
}
