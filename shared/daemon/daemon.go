// Package daemon puts the floor under a service: from its configuration type and its New it makes a complete command with
// logs, state, sockets, admin API, gossip, bus, systemd notification, reload and drain. It is the only place that knows
// all of shared; a service sees its Env.
//
// # Who owns what
//
// Main parses the command line and the configuration and owns the process: signals, sd_notify, exit code. An Instance is one
// running daemon inside a process; tests start several in one. The instance owns every goroutine of the floor (admin,
// gossip, bus, announcer, events) in one run.Group and waits for them; the service owns its own and ends them when Run's
// context ends.
//
// # Order of a start
//
// sockets that were handed in → state directory (lock) → admin socket → gossip port → service (its sockets) → serve. Everything that can be refused is refused before
// the daemon says it is ready; an error names the object and leaves nothing behind.
//
// # Order of a stop
//
// not ready → pause (limits.not_ready) → leave gossip → service drains (limits.drain) → service stops → bus closes → admin closes.
//
// # An upgrade
//
// A daemon whose Service is Replaceable can be replaced by the program that is on disk now: the new program checks the configuration → bus and
// gossip end without a good-bye, for the successor is the same member → the successor starts with the sockets and the lock of the state
// directory → it is ready → the service steps aside and tells the successor what that needs to know → it retires: its connections end when they
// end, and then the process. If the successor does not become ready, one of the old program is started in its place.
package daemon

import (
	"context"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// Common is the part of the configuration that every daemon shares; a daemon's Config embeds it inline.
type Common struct {
	Node    conf.Name      `yaml:"node" doc:"Name of this host in the fleet; empty means the host name up to the first dot."`
	State   string         `yaml:"state" doc:"Directory for the daemon's own small files; empty means $STATE_DIRECTORY or /var/lib/everup/<daemon>."`
	Cluster *member.Config `yaml:"cluster" doc:"Membership of a fleet; without it the daemon stands alone."`
	Bus     bus.Config     `yaml:"bus" doc:"Events and requests over NATS."`
	Admin   admin.Config   `yaml:"admin" doc:"The local API."`
	Log     logx.Config    `yaml:"log" doc:"The daemon's own log."`
	Limits  Limits         `yaml:"limits" doc:"Bounds of the process."`
}

// Limits is the section `limits`.
type Limits struct {
	Memory   conf.Size     `yaml:"memory" doc:"Soft limit for the memory of the Go runtime; 0 means none."`
	Drain    conf.Duration `yaml:"drain" default:"30s" min:"0" max:"1h" doc:"Longest wait for work under way when the daemon stops."`
	NotReady conf.Duration `yaml:"not_ready" default:"0" max:"5m" doc:"Pause between saying not ready and closing the listeners, for load balancers to notice."`
}

// Env is what a service gets. All fields but Keys and Predecessor are set, also when the daemon stands alone.
type Env struct {
	Node    string
	Log     zerolog.Logger
	Metrics *metric.Registry
	Health  *health.Registry
	Net     *netio.Set
	Admin   *admin.Server
	Fleet   *member.Fleet
	Bus     *bus.Bus
	State   *state.Dir
	// Predecessor is the process that this one takes the place of, nil for none (Replaceable).
	Predecessor *Predecessor
	// Keys are the fleet's, for what a service authenticates beside gossip and bus. nil: it stands alone, or the fleet has no secret.
	Keys *pki.Keys
	// Announce changes what gossip tells of this daemon (endpoints, weight). f runs under a lock and must not block.
	Announce func(f func(*member.Announcement))
}

// Service is a daemon's engine.
type Service[C any] interface {
	// Run serves until ctx ends or it cannot go on. The service binds its sockets (Env.Net) in New, so that a port in use
	// is known before readiness.
	Run(ctx context.Context) error
	// Reload swaps to cfg: provision new, swap, retire old; on error nothing has changed.
	Reload(ctx context.Context, cfg *C) error
	// Drain stops accepting, lets work under way end until ctx ends, and flushes. Run is cancelled after it.
	Drain(ctx context.Context) error
	// Status is printed by `lbd status` and shown in the console. It must not block.
	Status() any
}

// Spec describes a daemon to Main and Start.
type Spec[C any] struct {
	Name   string           // "lbd"
	Short  string           // one sentence for --help
	Common func(*C) *Common // where Common lies in C
	New    func(cfg *C, env *Env) (Service[C], error)
	// Upgrades says that the Service is Replaceable: the daemon has the verb upgrade.
	Upgrades bool
	// Commands returns the daemon's own verbs; socket returns the admin socket to talk to. May be nil.
	Commands func(socket func() string) []*cobra.Command
	// Amend changes the root command, which is complete otherwise: its help, its options. May be nil.
	Amend func(root *cobra.Command)
}
