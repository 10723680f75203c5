package daemon

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// ConfigPath returns the configuration file a daemon reads when none is named: $CONFIGURATION_DIRECTORY/<daemon>.yaml
// under systemd, /etc/everup/<daemon>.yaml elsewhere.
func ConfigPath(name string) string {
	return filepath.Join(firstDir("CONFIGURATION_DIRECTORY", "/etc/everup"), name+".yaml")
}

// StatePath returns the state directory of a daemon whose configuration names none.
func StatePath(name string) string {
	return firstDir("STATE_DIRECTORY", filepath.Join("/var/lib/everup", name))
}

// SocketPath returns the admin socket of a daemon whose configuration names none: in systemd's runtime directory, in
// /run/everup for root, else in the user's own runtime directory.
func SocketPath(name string) string {
	base := "/run/everup"
	if os.Geteuid() != 0 {
		if x := os.Getenv("XDG_RUNTIME_DIR"); x != "" {
			base = filepath.Join(x, "everup")
		}
	}
	return filepath.Join(firstDir("RUNTIME_DIRECTORY", base), name+".sock")
}

// runningSocket returns where a running daemon whose configuration names no socket is asked: SocketPath, or where its
// unit puts the socket (below units), for somebody who has not the unit's environment.
func runningSocket(name, units string) string {
	path := SocketPath(name)
	unit := filepath.Join(units, name, name+".sock")
	if !exists(path) && exists(unit) {
		return unit
	}
	return path
}

// unitSockets is above the directories that the units name as RuntimeDirectory.
const unitSockets = "/run/everup"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// firstDir returns the first of the directories systemd lists in the variable, or fallback.
func firstDir(env, fallback string) string {
	first, _, _ := strings.Cut(os.Getenv(env), ":")
	if first == "" {
		return fallback
	}
	return first
}

// nodeName returns the configured name, or the host's up to the first dot in lower case.
func nodeName(configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	h, err := os.Hostname()
	if err != nil {
		return "", fault.Wrap(fault.Config, err, "daemon: no node name is configured and the host's cannot be read")
	}
	h, _, _ = strings.Cut(strings.ToLower(h), ".")
	if h == "" || h == "localhost" {
		return "", fault.New(fault.Config, "daemon: the host has no name of its own: set `node` in the configuration")
	}
	return h, nil
}
