// Package member tells who is in the fleet: which daemons run on which nodes, where, in what health, with what load
// and weight. It is hashicorp/memberlist behind everup's own types, with what memberlist leaves out: it heals
// partitions, remembers peers over restarts, refuses strangers by name and says so, and carries a small replicated
// state. Gossip advises; nothing here decides who holds an address or kills a backend whose own check passes.
//
// Every daemon is a member of its own; the members of one node share its Node name.
//
// What is promised:
//   - A death is known to all within the time of the profile; a partition that ends is healed by the members themselves
//     within seconds, however long it lasted, as long as one member of each side remembers or is configured with one of
//     the other.
//   - A member whose process says that it goes is Left, not Dead, even where its death is noticed first.
//   - View, Get, Entries, Put, Announce and Watch never wait for the network, and no reader, however slow, delays gossip.
//   - The replicated state reaches every member that is or becomes connected; of two writes the later one by hybrid
//     logical clock wins everywhere. It survives restarts of up to 24 h.
//   - Processes of another fleet, without or with another secret, and those that claim a living member's ID are
//     refused, and both sides say so: health items member.stranger, member.join-refused and member.name-conflict.
package member

import (
	"net/netip"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

// Config is the section `cluster`.
type Config struct {
	Fleet     conf.Name     `yaml:"fleet" required:"true" doc:"Name of the fleet; fleets of different names never mix."`
	Listen    conf.Addr     `yaml:"listen" doc:"UDP and TCP address for gossip; empty means loopback and the daemon's own port (lbd 7941, dnsd 7942, cached 7943, storaged 7944, logd 7945)."`
	Advertise conf.Addr     `yaml:"advertise" doc:"Address the others reach this daemon at; empty means listen's, or for a wildcard the source address of the route to the first join address."`
	Join      []string      `yaml:"join" doc:"Hosts, or host:port, of the fleet to begin with; a host alone stands for all five daemons' ports."`
	Secrets   []conf.Secret `yaml:"secrets" doc:"The fleet's secrets, at least 16 bytes each: the first encrypts, all are accepted. Needed beyond loopback."`
	Timing    string        `yaml:"timing" default:"lan" enum:"lan|fast|calm" doc:"How fast a death is noticed: lan 1 s, fast 0.6 s, calm 6 s."`
	Zone      string        `yaml:"zone" doc:"Where the node stands (rack, room); told to the others."`
}

// ID names a member: "node/service".
type ID string

// State of a member as this one sees it.
type State uint8

const (
	Alive State = iota + 1
	Dead        // stopped answering
	Left        // said good-bye
)

// Endpoint is an address at which a member serves.
type Endpoint struct {
	Name  string         `json:"name"`  // "http", "dns", "memcached", "syslog"
	Proto string         `json:"proto"` // "tcp" or "udp"
	Addr  netip.AddrPort `json:"addr"`
}

// Load is how busy a node is, in per cent.
type Load struct {
	CPU    uint8 `json:"cpu"`
	IOWait uint8 `json:"iowait"`
	Mem    uint8 `json:"mem"`
	Disk   uint8 `json:"disk"`
}

// Figure is a number by which a service tells how it does, beside the load of its node: a cache's hit ratio.
type Figure struct {
	Name     string `json:"name"`      // "hit_ratio"; at most 16 bytes
	PerMille uint16 `json:"per_mille"` // 0 to 1000
}

// Announcement is what a member tells the others of itself. In JSON, numbers of 64 bits are strings: many readers keep no
// more than 53 bits of a number.
type Announcement struct {
	Health    health.Level   `json:"health"` // "ok", "warn" or "fail"
	Draining  bool           `json:"draining,omitempty"`
	Weight    uint16         `json:"weight"` // 0 to 1000, 100 is normal
	Load      Load           `json:"load"`
	Config    uint64         `json:"config,omitempty,string"` // first 8 bytes of the configuration's hash
	Endpoints []Endpoint     `json:"endpoints,omitempty"`     // at most 12
	Figures   []Figure       `json:"figures,omitempty"`       // at most 4; tell them when they have changed enough to be worth a message
	Bus       netip.AddrPort `json:"bus,omitzero"`            // route address while this process runs the host's bus server, else zero
}

// Member is a copy of what is known of one. Its JSON is part of what `everup status -o json` and the admin API print; the
// fields of its announcement stand beside its own.
type Member struct {
	ID         ID             `json:"id"`
	Node       string         `json:"node"`
	Service    string         `json:"service"`
	Zone       string         `json:"zone,omitempty"`
	Version    string         `json:"version"`
	Addr       netip.AddrPort `json:"addr,omitzero"`     // gossip address
	State      State          `json:"state"`             // "alive", "dead" or "left"
	Since      time.Time      `json:"since"`             // of State
	Generation uint64         `json:"generation,string"` // start of the process, ns: a restarted member differs
	Announcement
}

// View is a consistent copy of the fleet, sorted by ID. Members that died or left stay for 24 h.
type View struct {
	Self    ID       `json:"self"`
	Members []Member `json:"members"`
}

// Alive returns the members of service that are alive ("" means all).
func (v View) Alive(service string) []Member {
	var out []Member
	for _, m := range v.Members {
		if m.State == Alive && (service == "" || m.Service == service) {
			out = append(out, m)
		}
	}
	return out
}

// Minority reports whether most of the nodes that belong to the fleet cannot be heard: of those that did not say good-bye, fewer than
// half have a member alive. This node is then on the small side of a partition, or nearly all others have failed: gossip cannot tell
// which, so that it is a reason to stand back where others may be better placed, and none to stop. Half of the nodes are no minority.
func (v View) Minority() bool {
	alive := map[string]bool{} // by node; no entry: it has left
	for _, m := range v.Members {
		if m.State == Alive || m.State == Dead {
			alive[m.Node] = alive[m.Node] || m.State == Alive
		}
	}
	n := 0
	for _, a := range alive {
		if a {
			n++
		}
	}
	return 2*n < len(alive)
}

// Env is what New needs.
type Env struct {
	Node, Service, Version string
	Keys                   *pki.Keys  // nil: clear text, loopback only
	State                  *state.Dir // nil: no snapshot (tests)
	Log                    zerolog.Logger
	Metrics                *metric.Registry
	Health                 *health.Registry
	Transport              Transport // nil: UDP and TCP
}

// String returns "alive", "dead" or "left".
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Dead:
		return "dead"
	case Left:
		return "left"
	}
	return "unknown"
}

// MarshalText gives String's form, also in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; a word of a later version is the state unknown.
func (s *State) UnmarshalText(b []byte) error {
	*s = 0
	for _, v := range []State{Alive, Dead, Left} {
		if string(b) == v.String() {
			*s = v
		}
	}
	return nil
}

// Entry is one value of the replicated state.
type Entry struct {
	Key   string    `json:"key"`
	Value []byte    `json:"value"` // nil: deleted
	Time  time.Time `json:"time"`
	By    string    `json:"by"` // node
}
