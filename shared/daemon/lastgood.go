package daemon

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

// lastGoodName is the file in the state directory that keeps the last accepted configuration, overlay included.
const (
	lastGoodName    = "last-good.json"
	lastGoodKind    = "configuration"
	lastGoodVersion = 1
)

// lastGood is an accepted configuration as it was read: before expansion, so that no secret of a credential file is copied.
type lastGood struct {
	Sources []conf.Source `json:"sources"`
}

// keepLastGood saves doc. A daemon that cannot save it runs on: the file only matters at a later boot.
func keepLastGood(dir *state.Dir, doc *conf.Document, log *zerolog.Logger) {
	if doc == nil {
		return
	}
	if err := dir.Save(lastGoodName, lastGoodKind, lastGoodVersion, lastGood{Sources: doc.Sources()}); err != nil {
		log.Warn().Err(err).Msg("the accepted configuration was not kept for the next boot")
	}
}

// ParseLastGood reads the configuration kept under the state directory into cfg.
func parseLastGood(stateDir string, into any, o conf.Options) (*conf.Document, error) {
	dir, err := state.Open(stateDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var kept lastGood
	if err := dir.Load(lastGoodName, lastGoodKind, lastGoodVersion, &kept); err != nil {
		return nil, err
	}
	return conf.ParseSources(kept.Sources, into, o)
}

// itemLastGood warns while a daemon runs on the configuration it kept, because the file is bad.
const itemLastGood = "config.last-good"

func warnLastGood(h *health.Registry, why error) {
	h.Item(itemLastGood, health.Options{Title: "the daemon runs on the last good configuration, not on its file"}).
		Warn(why.Error(), "mend the file, then reload")
}

// hasLastGood reports whether the state directory holds one, without touching it.
func hasLastGood(stateDir string) bool {
	_, err := os.Stat(filepath.Join(stateDir, lastGoodName))
	return err == nil
}

// bootConfig reads path; where it is refused and a last good one exists, that one is taken and the refusal is returned
// as why. A path that does not exist is never papered over: the operator named another file.
func bootConfig[C any](spec Spec[C], path string, o conf.Options, strict bool) (l Loaded[C], why error, err error) {
	l, err = readConfig[C](path, o)
	if err == nil || strict || !errors.Is(err, fault.Config) || missing(path) {
		return l, nil, err
	}
	dir := spec.Common(salvage[C](path, o)).State // the default where not even that can be read
	if dir == "" {
		dir = StatePath(spec.Name)
	}
	if !hasLastGood(dir) {
		return l, nil, err
	}
	kept := new(C)
	doc, keptErr := parseLastGood(dir, kept, o)
	if keptErr != nil {
		return l, nil, errors.Join(err, fault.Wrap(fault.Config, keptErr, "daemon: the last good configuration cannot be used either"))
	}
	return Loaded[C]{Config: kept, Doc: doc}, err, nil
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func readConfig[C any](path string, o conf.Options) (Loaded[C], error) {
	c := new(C)
	doc, err := conf.Load(path, c, o)
	return Loaded[C]{Config: c, Doc: doc}, err
}

// salvage reads what it can of a file that may be broken. The error is told by whoever reads the file in earnest.
func salvage[C any](path string, o conf.Options) *C {
	c := new(C)
	o.Salvage = true
	conf.Load(path, c, o)
	return c
}
