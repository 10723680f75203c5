package daemon

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/state"
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

// itemKeep warns while the configuration in force is not kept for the next boot.
const itemKeep = "config.not-kept"

// keepLastGood saves doc. A daemon that cannot save it runs on, and warns: the file only matters at a later boot.
func keepLastGood(f *floor, doc *conf.Document) {
	if doc == nil {
		return
	}
	item := f.Health.Item(itemKeep, health.Options{Title: "the accepted configuration is not kept for the next boot"})
	if err := f.State.Save(lastGoodName, lastGoodKind, lastGoodVersion, lastGood{Sources: doc.Sources()}); err != nil {
		item.Warn(err.Error(), "make room or give access in the state directory, then reload")
		return
	}
	item.OK()
}

// parseLastGood reads the configuration kept under the state directory into cfg; fault.NotFound where none was kept.
func parseLastGood(stateDir string, into any, o conf.Options) (*conf.Document, error) {
	if _, err := os.Stat(filepath.Join(stateDir, lastGoodName)); err != nil { // state.Open would make the directory
		return nil, fault.Wrap(fault.NotFound, err, "daemon: no last good configuration")
	}
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

var lastGoodItem = health.Options{Title: "the daemon runs on the last good configuration, not on its file"}

// boot reads path and makes the daemon. Where the file is refused, by its reader or by the service, and a last good one is
// kept, the daemon is made from that one, and says so. A path that does not exist is never papered over: the
// operator named another file.
func boot[C any](spec Spec[C], path string, o conf.Options, strict bool, out io.Writer) (*Instance[C], error) {
	load := func() (Loaded[C], error) { return readConfig[C](path, o) }
	loaded, err := load()
	if err == nil {
		var inst *Instance[C]
		if inst, err = New(spec, loaded, load, out); err == nil {
			return inst, nil
		}
	}
	if strict || !errors.Is(err, fault.Config) || missing(path) {
		return nil, err
	}
	kept, keptErr := readLastGood(spec, path, o)
	if errors.Is(keptErr, fault.NotFound) || keptErr == nil && loaded.Doc != nil && kept.Doc.Hash() == loaded.Doc.Hash() {
		return nil, err
	}
	var inst *Instance[C]
	if keptErr == nil {
		inst, keptErr = New(spec, kept, load, out)
	}
	if keptErr != nil {
		return nil, errors.Join(err, fault.Wrap(fault.Config, keptErr, "daemon: the last good configuration cannot be used either"))
	}
	inst.runsOnLastGood(err)
	return inst, nil
}

// readLastGood reads the configuration kept in the state directory that path names, as far as path can be read.
func readLastGood[C any](spec Spec[C], path string, o conf.Options) (Loaded[C], error) {
	dir := spec.Common(salvage[C](path, o)).State
	if dir == "" {
		dir = StatePath(spec.Name)
	}
	c := new(C)
	doc, err := parseLastGood(dir, c, o)
	return Loaded[C]{Config: c, Doc: doc}, err
}

// runsOnLastGood makes the refusal of the file visible: in the log, the health, the status, the metrics and as an event.
func (i *Instance[C]) runsOnLastGood(why error) {
	i.mu.Lock()
	i.reject, i.kept = why, true
	i.mu.Unlock()
	i.floor.Log.Error().Err(why).Msg("the configuration is refused: running on the last good one")
	i.floor.Health.Item(itemLastGood, lastGoodItem).Warn(why.Error(), "mend the file, then reload")
	i.emitRejected(why)
}

// keepConfig saves the configuration in force, once it has proved itself, for a boot with a bad file.
func (i *Instance[C]) keepConfig() {
	i.mu.Lock()
	doc, kept := i.now.Doc, i.kept
	i.mu.Unlock()
	if !kept {
		keepLastGood(i.floor, doc)
	}
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
	o.Salvage, o.Offline = true, true
	conf.Load(path, c, o)
	return c
}
