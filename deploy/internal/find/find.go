// Package find finds the daemons of this host by their admin sockets.
package find

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/fault"
)

// Daemons are the services of everup, in the order in which they are asked: the one that is asked for the whole fleet should be
// one whose work does not suffer from it.
func Daemons() []string { return []string{"logd", "storaged", "dnsd", "cached", "lbd"} }

// Daemon is a daemon whose socket was found; it need not answer.
type Daemon struct {
	Name   string
	Socket string
}

// Client returns a client for the daemon.
func (d Daemon) Client() *admin.Client { return admin.Dial(d.Socket) }

// Dirs returns where sockets may be: in dir alone when it is named, else in the suite of the working directory, in the user's
// runtime directory and in the system's.
func Dirs(dir string) []string {
	if dir != "" {
		return []string{filepath.Join(dir, "run"), dir}
	}
	dirs := []string{filepath.Join(".everup", "run")}
	if x := os.Getenv("XDG_RUNTIME_DIR"); x != "" {
		dirs = append(dirs, filepath.Join(x, "everup"))
	}
	return append(dirs, "/run/everup")
}

// In returns the daemons of the first of the directories that has a socket that answers, those that do not answer
// included. None is fault.Unavailable and names the directories.
func In(ctx context.Context, dirs []string) ([]Daemon, error) {
	for _, dir := range dirs {
		found := list(dir)
		if slices.ContainsFunc(found, func(d Daemon) bool { return d.answers(ctx) }) {
			return found, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "no daemon answers in %s; does one run, and may you use its socket? (--dir names another directory)",
		strings.Join(dirs, ", "))
}

// list returns the sockets in dir, <daemon>.sock or <daemon>/<daemon>.sock.
func list(dir string) []Daemon {
	// The directory may be a link to a shorter path: a socket's path is bounded.
	if to, err := filepath.EvalSymlinks(dir); err == nil {
		dir = to
	}
	var out []Daemon
	for _, name := range Daemons() {
		for _, path := range []string{filepath.Join(dir, name+".sock"), filepath.Join(dir, name, name+".sock")} {
			if st, err := os.Stat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
				out = append(out, Daemon{name, path})
				break
			}
		}
	}
	return out
}

func (d Daemon) answers(ctx context.Context) bool {
	c := d.Client()
	defer c.Close()
	return c.Do(ctx, http.MethodGet, "/v1/version", nil, nil) == nil
}

// One returns the named daemon among those found; fault.NotFound where its socket is not there.
func One(found []Daemon, name string) (Daemon, error) {
	i := slices.IndexFunc(found, func(d Daemon) bool { return d.Name == name })
	if i >= 0 {
		return found[i], nil
	}
	if slices.Contains(Daemons(), name) {
		return Daemon{}, fault.New(fault.NotFound, "%s does not run here", name)
	}
	return Daemon{}, fault.New(fault.Invalid, "%q is no daemon: %s", name, strings.Join(Daemons(), ", "))
}
