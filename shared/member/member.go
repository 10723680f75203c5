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
type Load struct{ CPU, IOWait, Mem, Disk uint8 }

// Announcement is what a member tells the others of itself.
type Announcement struct {
	Health    health.Level
	Draining  bool
	Weight    uint16 // 0 to 1000, 100 is normal
	Load      Load
	Config    uint64         // first 8 bytes of the configuration's hash
	Endpoints []Endpoint     // at most 12
	Bus       netip.AddrPort // route address while this process runs the host's bus server, else zero
}

// Member is a copy of what is known of one.
type Member struct {
	ID         ID
	Node       string
	Service    string
	Zone       string
	Version    string
	Addr       netip.AddrPort // gossip address
	State      State
	Since      time.Time // of State
	Generation uint64    // start of the process, ns: a restarted member differs
	Announcement
}

// View is a consistent copy of the fleet, sorted by ID. Members that died or left stay for 24 h.
type View struct {
	Self    ID
	Members []Member
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

// Entry is one value of the replicated state.
type Entry struct {
	Key   string
	Value []byte // nil: deleted
	Time  time.Time
	By    string // node
}
