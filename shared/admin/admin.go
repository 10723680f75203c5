// Package admin is the daemon's local API: JSON over HTTP on a unix socket, with /metrics, /healthz, /readyz and
// pprof. On TCP it serves only where the configuration says so, and only to look at.
//
// Who may use the unix socket is decided by its file's owner, group and mode (netio makes it 0660). The peer's
// credentials (SO_PEERCRED) only name the caller in Request.By and in the log.
//
// Bounds: 64 calls and 32 streams at once (more get status 503, class full), 8 MiB of body, 30 s a call, 256
// connections a listener (more wait). /healthz and /readyz have 16 places of their own, so that they answer while calls hang.
package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

// Config is the section `admin` of every daemon.
type Config struct {
	Socket string        `yaml:"socket" doc:"Path of the unix socket; empty means /run/everup/<daemon>.sock, or $XDG_RUNTIME_DIR/everup/<daemon>.sock when not root."`
	HTTP   conf.Addr     `yaml:"http" doc:"TCP address for metrics, health and the console; empty means none."`
	Allow  []conf.Prefix `yaml:"allow" doc:"Client networks that may use http; empty means loopback only."`
}

// Bounds of a server.
const (
	MaxBody     = 8 << 20  // bytes of a request's body
	MaxAnswer   = 32 << 20 // bytes of an answer to Call and to a Client
	maxCalls    = 64
	maxStreams  = 32
	maxProbes   = 16
	maxConns    = 256
	callTimeout = 30 * time.Second
	stopTimeout = 5 * time.Second
)

// Request is what a handler gets.
type Request struct {
	Path     map[string]string // wildcards of the pattern
	Query    url.Values
	Body     []byte // at most 8 MiB
	By       string // who asks: "root", "uid 1000", or a bus client
	ReadOnly bool   // came by TCP: only GET handlers run
}

// Handler answers one call; the result is printed as JSON, an error by its fault class. The result may also be a
// Stream or a Raw; nil prints {}. ctx ends after 30 s or when the caller goes away; the caller then has its answer,
// and a handler that does not stop keeps one of the 64 places. It must not touch the request after it returned.
type Handler func(ctx context.Context, r *Request) (any, error)

// Stream is a result without an end (follow): it writes lines of JSON to w, each Write being sent at once, until ctx
// ends (the caller left, the daemon stops) or an error, which ends the connection early. A caller that takes more
// than 10 s for a Write is cut off.
type Stream func(ctx context.Context, w io.Writer) error

// Raw is a result that is not JSON.
type Raw struct {
	Type string // media type
	Body []byte
}

// Log is what the server needs of the daemon's log; *logx.Root has it.
type Log interface {
	Recent(n int) []json.RawMessage
	Level() string
	SetLevel(level string) error
}

// Server routes and serves. Handlers are registered before Serve.
type Server struct {
	service string
	reg     *metric.Registry
	health  *health.Registry
	log     zerolog.Logger

	api    *http.ServeMux // the calls, for the unix socket and Call
	debug  *http.ServeMux // pprof, for the unix socket only
	mounts *http.ServeMux // plain handlers for TCP
	calls  []CallInfo     // the list, in the order of registration

	slots, probes, streams slots // a handler keeps its place until it returns, also when its caller has gone

	requests *metric.CounterVec
	seconds  *metric.HistogramVec

	liveness atomic.Pointer[func() error]
	logs     atomic.Pointer[Log]
	allow    atomic.Pointer[[]netip.Prefix]
	hosts    atomic.Pointer[map[string]bool]

	stopOnce sync.Once
	stopping chan struct{} // closed when Serve begins to stop: streams end
}

// CallInfo is one entry of GET /v1/.
type CallInfo struct {
	Call string `json:"call"` // "GET /v1/pools/{pool}"
	Doc  string `json:"doc"`
}

// New returns a server with the built-in calls. It registers its metrics in reg.
func New(service string, reg *metric.Registry, h *health.Registry, log zerolog.Logger) *Server {
	s := &Server{
		service: service, reg: reg, health: h, log: log,
		api: http.NewServeMux(), debug: http.NewServeMux(), mounts: http.NewServeMux(),
		slots: make(slots, maxCalls), probes: make(slots, maxProbes), streams: make(slots, maxStreams),
		stopping: make(chan struct{}),
	}
	s.requests = reg.CounterVec("admin_requests_total", "Calls of the admin API.", 512, "call", "status")
	s.seconds = reg.HistogramVec("admin_request_seconds", "Time to answer a call of the admin API.", metric.LatencyBuckets(), 256, "call")
	s.registerHealthMetrics()
	s.SetAllow(nil)
	s.SetHosts()
	s.registerBuiltin()
	s.registerDebug()
	return s
}

// SetLiveness gives /healthz its check: a non-nil error means that the process makes no progress. It may be called
// at any time, and f from several goroutines; f must not block for long. Without one /healthz answers 200.
func (s *Server) SetLiveness(f func() error) { s.liveness.Store(&f) }

// SetLog gives /v1/log its lines and POST /v1/log/level its switch.
func (s *Server) SetLog(l Log) { s.logs.Store(&l) }

// SetAllow says which clients may use TCP; none means loopback only. It may be called at any time (reload).
func (s *Server) SetAllow(networks []conf.Prefix) {
	list := make([]netip.Prefix, 0, len(networks))
	for _, p := range networks {
		list = append(list, p.Prefix)
	}
	if len(list) == 0 {
		list = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	s.allow.Store(&list)
}

// SetHosts says under which names, besides localhost and IP addresses, this host may be asked on TCP. A page of
// another site that points its own name at this host (DNS rebinding) is refused by it.
func (s *Server) SetHosts(names ...string) {
	m := map[string]bool{"localhost": true}
	for _, n := range names {
		m[normalHost(n)] = true
	}
	s.hosts.Store(&m)
}

// registerHealthMetrics shows the health registry in the metrics.
func (s *Server) registerHealthMetrics() {
	s.reg.GaugeFunc("ready", "1 while traffic may come, else 0.", func() float64 {
		if ok, _ := s.health.Ready(); ok {
			return 1
		}
		return 0
	})
	s.reg.GaugeVecFunc("health_items", "Health items by the level that shows.", 3, []string{"level"}, func(emit func(float64, ...string)) {
		var n [health.Fail + 1]float64
		for _, st := range s.health.Snapshot() {
			n[st.Level]++
		}
		for l, v := range n {
			emit(v, health.Level(l).String())
		}
	})
}
