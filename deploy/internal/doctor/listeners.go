package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"go.yaml.in/yaml/v3"
)

// Listener is an address that a daemon will listen on.
type Listener struct {
	Daemon string
	Key    string // of the configuration
	Proto  string
	Port   int
	Shared bool // the first daemon that binds it serves it for all
}

func daemons() []string { return []string{"lbd", "dnsd", "cached", "storaged", "logd", "everup"} }

// listenKey is a key whose value is one address or a list of them.
type listenKey struct {
	path, proto, otherwise string
	shared                 bool
}

// keysOf returns where a daemon's configuration names ports, with the defaults.
func keysOf(daemon string) []listenKey {
	gossip := map[string]string{"lbd": "7941", "dnsd": "7942", "cached": "7943", "storaged": "7944", "logd": "7945"}[daemon]
	keys := []listenKey{
		{"admin.http", "tcp", "", false},
		{"cluster.listen", "tcp", gossip, false}, {"cluster.listen", "udp", gossip, false},
		{"bus.listen", "tcp", "4222", true}, {"bus.routes", "tcp", "6222", true},
	}
	switch daemon {
	case "lbd":
		return append(keys, listenKey{"listen", "tcp", "8080", false})
	case "dnsd":
		return append(keys, listenKey{"listen", "tcp", "5300", false}, listenKey{"listen", "udp", "5300", false})
	case "cached":
		return append(keys, listenKey{"listen", "tcp", "11211", false}, listenKey{"udp.listen", "udp", "11211", false}, listenKey{"resp.listen", "tcp", "6379", false})
	case "storaged":
		return append(keys, listenKey{"listen", "tcp", "8090", false})
	}
	return append(keys, listenKey{"listen.udp", "udp", "1514", false}, listenKey{"listen.tcp", "tcp", "1514", false})
}

// maxConfig bounds a configuration that is read here.
const maxConfig = 1 << 20

// ReadConfigs returns what the daemons with a file in dir listen on, their state directories that exist, and their virtual addresses. The files are only
// read for that, not checked. A directory without any is fault.NotFound.
func ReadConfigs(dir string) (Subject, error) {
	var s Subject
	found := false
	for _, daemon := range daemons() {
		path := filepath.Join(dir, daemon+".yaml")
		st, err := os.Stat(path)
		if err != nil {
			continue
		}
		if st.Size() > maxConfig {
			return s, fault.New(fault.Full, "doctor: %s is larger than 1 MiB", path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return s, fault.Wrap(fault.Of(err), err, "doctor: read configuration")
		}
		var tree map[string]any
		if err := yaml.Unmarshal(b, &tree); err != nil {
			return s, fault.Wrap(fault.Config, err, "doctor: %s", path)
		}
		found = true
		s.Listeners = append(s.Listeners, listenersOf(daemon, tree)...)
		s.VIPs = append(s.VIPs, vipsOf(daemon, tree)...)
		if st, err := os.Stat(stateDir(daemon, tree)); err == nil && st.IsDir() {
			s.StateDirs = append(s.StateDirs, stateDir(daemon, tree))
		}
	}
	if !found {
		return s, fault.New(fault.NotFound, "doctor: there is no configuration of a daemon in %s", dir)
	}
	return s, nil
}

func stateDir(daemon string, tree map[string]any) string {
	if dir, ok := tree["state"].(string); ok && dir != "" {
		return dir
	}
	return filepath.Join("/var/lib/everup", daemon)
}

func listenersOf(daemon string, tree map[string]any) []Listener {
	var out []Listener
	for _, k := range keysOf(daemon) {
		if section, ok := switches()[k.path]; ok {
			if _, on := tree[section]; !on {
				continue
			}
		}
		for _, addr := range addrs(lookup(tree, k.path), k.otherwise) {
			if _, port, ok := addr.HostPort(); ok && port > 0 {
				out = append(out, Listener{daemon, k.path, k.proto, int(port), k.shared})
			}
		}
	}
	return out
}

// switches are the sections without which a key opens no port, empty ones included.
func switches() map[string]string {
	return map[string]string{
		"cluster.listen": "cluster", "bus.listen": "cluster", "bus.routes": "cluster", "udp.listen": "udp", "resp.listen": "resp",
	}
}

func lookup(tree map[string]any, path string) any {
	key, rest, more := strings.Cut(path, ".")
	if !more {
		return tree[key]
	}
	sub, _ := tree[key].(map[string]any)
	return lookup(sub, rest)
}

// prefixes are what cached takes in front of an address: tls:, mtls:, proto[ascii]:, tag[NAME]:.
var prefixes = regexp.MustCompile(`^(?:(?:notls|m?tls|proto\[\w*\]|tag\[[^]]*\]):)+`)

// addrs returns the addresses of a value: one, or a list.
func addrs(v any, otherwise string) []conf.Addr {
	var texts []string
	switch v := v.(type) {
	case nil:
		texts = []string{otherwise}
	case string:
		texts = []string{v}
	case int:
		texts = []string{strconv.Itoa(v)}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				texts = append(texts, s)
			}
		}
	}
	var out []conf.Addr
	for _, t := range texts {
		var a conf.Addr
		t = prefixes.ReplaceAllString(t, "")
		if t != "" && a.UnmarshalText([]byte(t)) == nil {
			out = append(out, a)
		}
	}
	return out
}
