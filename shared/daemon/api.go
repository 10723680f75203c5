package daemon

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// Status is what a daemon says of itself: `lbd status`, GET /v1/status and the verb "status" on the bus.
type Status struct {
	Node    string          `json:"node"`
	Service string          `json:"service"`
	Version buildinfo.Info  `json:"version"`
	PID     int             `json:"pid"`
	Since   time.Time       `json:"since"`
	Ready   bool            `json:"ready"`
	Reasons []string        `json:"reasons,omitempty"` // why not ready
	Worst   health.Level    `json:"worst"`
	Health  []health.Status `json:"health"`
	Config  ConfigStatus    `json:"config"`
	Bus     bus.State       `json:"bus"`
	Fleet   string          `json:"fleet"`
	Members int             `json:"members"` // alive, this one included
	// Detail is the service's own. A list of {name, value} under its key summary is shown to people, here and in the console.
	Detail any `json:"detail,omitempty"`
}

// ConfigStatus tells which configuration is in force.
type ConfigStatus struct {
	File    string    `json:"file,omitempty"`
	Hash    string    `json:"hash,omitempty"`
	Loaded  time.Time `json:"loaded"`
	Error   string    `json:"error,omitempty"` // why the newest file was refused
	Restart []string  `json:"restart,omitempty"`
}

// Status returns the daemon's state now.
func (i *Instance[C]) Status() Status {
	f := i.floor
	ready, reasons := f.Health.Ready()
	s := Status{
		Node: f.Node, Service: f.service, Version: buildinfo.Read(), PID: os.Getpid(), Since: f.started,
		Ready: ready, Reasons: reasons, Worst: f.Health.Worst(), Health: f.Health.Snapshot(),
		Bus: f.Bus.State(), Fleet: fleetName(f.common.Cluster), Members: len(f.Fleet.View().Alive("")), Detail: i.service.Status(),
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	s.Config = ConfigStatus{Loaded: i.loaded, Restart: i.later}
	if i.now.Doc != nil {
		s.Config.File, _ = i.now.Doc.Source()
		s.Config.Hash = i.now.Doc.Hash()
	}
	if i.reject != nil {
		s.Config.Error = i.reject.Error()
	}
	return s
}

// routes registers the calls every daemon answers, on the admin socket and, those that other nodes may ask, on the bus.
func (i *Instance[C]) routes() error {
	f := i.floor
	f.Admin.Handle("GET /v1/status", "What the daemon is doing.", func(context.Context, *admin.Request) (any, error) {
		return i.Status(), nil
	})
	f.Admin.Handle("GET /v1/members", "The fleet as this daemon sees it.", func(context.Context, *admin.Request) (any, error) {
		return f.Fleet.View(), nil
	})
	f.Admin.Handle("GET /v1/fleet", "Every daemon's status, asked over the bus.", func(ctx context.Context, _ *admin.Request) (any, error) {
		return i.fleetStatus(ctx)
	})
	f.Admin.Handle("GET /v1/events", "The last events of this daemon (?n=), or with ?follow=1 those of the fleet as they come.", i.events)
	f.Admin.Handle("GET /v1/config", "The configuration in force (?origin=1 with where each value came from).", i.showConfig)
	f.Admin.Handle("POST /v1/reload", "Read the configuration again and swap to it.", func(ctx context.Context, _ *admin.Request) (any, error) {
		return i.Reload(context.WithoutCancel(ctx)) // a caller who leaves does not cut it off half-way
	})
	if i.spec.Upgrades {
		f.Admin.Handle("POST /v1/upgrade", "Replace this process by one of the program on disk; connections live on.", func(ctx context.Context, _ *admin.Request) (any, error) {
			return i.Upgrade(ctx)
		})
	}
	return f.Bus.Handle("status", "What the daemon is doing.", func(context.Context, string, []byte) (any, error) {
		return i.Status(), nil
	})
}

// FleetStatus is the whole fleet: what gossip knows and what each daemon answered.
type FleetStatus struct {
	Fleet   string            `json:"fleet"`
	Asked   string            `json:"asked"` // member id of the daemon that gathered it
	Members []member.Member   `json:"members"`
	Daemons []json.RawMessage `json:"daemons"`          // a Status each
	Silent  []member.ID       `json:"silent,omitempty"` // alive by gossip, but no answer
}

// fleetAnswer bounds the wait for the daemons' answers.
const fleetAnswer = 2 * time.Second

func (i *Instance[C]) fleetStatus(ctx context.Context) (FleetStatus, error) {
	f := i.floor
	view := f.Fleet.View()
	out := FleetStatus{Fleet: fleetName(f.common.Cluster), Asked: string(view.Self), Members: view.Members}
	own, err := json.Marshal(i.Status())
	if err != nil {
		return out, fault.Wrap(fault.Internal, err, "daemon: print the status")
	}
	out.Daemons = append(out.Daemons, own)
	answered := map[member.ID]bool{view.Self: true}
	alive := view.Alive("")
	if f.Bus.State() != bus.Off && len(alive) > 1 {
		ctx, cancel := context.WithTimeout(ctx, fleetAnswer)
		defer cancel()
		replies, err := f.Bus.RequestAll(ctx, "", "status", nil, len(alive))
		if err != nil && fault.Of(err) != fault.Timeout {
			f.Log.Warn().Err(err).Msg("the fleet was not asked")
		}
		for _, r := range replies {
			id := member.ID(r.Node + "/" + r.Service)
			if r.Err == nil && !answered[id] {
				out.Daemons = append(out.Daemons, r.Body)
				answered[id] = true
			}
		}
	}
	for _, m := range alive {
		if !answered[m.ID] {
			out.Silent = append(out.Silent, m.ID)
		}
	}
	return out, nil
}

// showConfig prints the configuration in force as YAML text.
func (i *Instance[C]) showConfig(_ context.Context, r *admin.Request) (any, error) {
	i.mu.Lock()
	doc := i.now.Doc
	i.mu.Unlock()
	if doc == nil {
		return nil, fault.New(fault.NotFound, "daemon: this instance was started without a file")
	}
	var b strings.Builder
	if err := doc.WriteEffective(&b, r.Query.Get("origin") != ""); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "daemon: print the configuration")
	}
	return map[string]string{"hash": doc.Hash(), "yaml": b.String()}, nil
}

// maxRecent bounds the events of one answer.
const maxRecent = 1024

func (i *Instance[C]) events(ctx context.Context, r *admin.Request) (any, error) {
	if r.Query.Get("follow") == "" {
		n, err := strconv.Atoi(r.Query.Get("n"))
		if err != nil || n < 1 {
			n = 100
		}
		return i.floor.Bus.Recent(min(n, maxRecent)), nil
	}
	return i.followEvents(r.Query.Get("service"), r.Query.Get("kind")), nil
}
