package site

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/everup/everup/shared/fault"
)

// Layout is where the suite keeps its things.
type Layout struct {
	Dir    string // absolute
	Config string
	State  string
	Run    string // the admin sockets
	Log    string
}

const (
	// maxSocket is the longest path of a unix socket: sun_path has 108 bytes, one of which ends it.
	maxSocket = 107
	// longest is the longest name of a socket.
	longest = "/storaged.sock"
)

// layout names the directories below dir. Where the path is too long for a socket's, the sockets go to a directory of
// their own below tmp.
func layout(dir, tmp string, uid int) (Layout, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Layout{}, fault.Wrap(fault.Invalid, err, "site: directory %s", dir)
	}
	if strings.ContainsFunc(abs, awkward) {
		return Layout{}, fault.New(fault.Invalid, "site: the directory %q has characters that cannot stand in a configuration; name another by --dir", abs)
	}
	l := Layout{
		Dir: abs, Config: filepath.Join(abs, "config"), State: filepath.Join(abs, "state"),
		Run: filepath.Join(abs, "run"), Log: filepath.Join(abs, "log"),
	}
	if len(l.Run)+len(longest) > maxSocket {
		sum := sha256.Sum256([]byte(abs))
		l.Run = filepath.Join(tmp, fmt.Sprintf("everup-%d-%x", uid, sum[:6]))
	}
	return l, nil
}

// awkward reports characters that mean something in YAML or in ${file:…}.
func awkward(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+@=~ ", r)
}

// Socket returns the admin socket of a daemon.
func (l Layout) Socket(daemon string) string { return filepath.Join(l.Run, daemon+".sock") }

// make makes the directories, for the user alone.
func (l Layout) make() error {
	for _, d := range []string{l.Dir, l.Config, l.State, l.Log, l.Run} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fault.Wrap(fault.Of(err), err, "site: make directory")
		}
	}
	if err := ours(l.Run); err != nil {
		return err
	}
	return l.link()
}

// ours refuses a directory that another user has put in our way.
func ours(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "site: directory of the sockets")
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.IsDir() || int(sys.Uid) != os.Getuid() || st.Mode().Perm()&0o022 != 0 {
		return fault.New(fault.Denied, "site: %s is not a directory of user %s alone", dir, strconv.Itoa(os.Getuid()))
	}
	return nil
}

// link makes Dir/run point to sockets that lie elsewhere, so that they are found from Dir.
func (l Layout) link() error {
	at := filepath.Join(l.Dir, "run")
	if l.Run == at {
		return nil
	}
	if to, err := os.Readlink(at); err == nil && to == l.Run {
		return nil
	}
	os.Remove(at) // an old link; if it is something else the next call says so
	return fault.Wrap(fault.Conflict, os.Symlink(l.Run, at), "site: link the directory of the sockets")
}
