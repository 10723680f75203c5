// Package admin is the daemon's local API: JSON over HTTP on a unix socket, with /metrics, /healthz, /readyz and
// pprof. On TCP it serves only where the configuration says so.
package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
	"net"
)

// Config is the section `admin` of every daemon.
type Config struct {
	Socket string        `yaml:"socket" doc:"Path of the unix socket; empty means /run/everup/<daemon>.sock, or $XDG_RUNTIME_DIR/everup/<daemon>.sock when not root."`
	HTTP   conf.Addr     `yaml:"http" doc:"TCP address for metrics, health and the console; empty means none."`
	Allow  []conf.Prefix `yaml:"allow" doc:"Client networks that may use http; empty means loopback only."`
}

// Request is what a handler gets.
type Request struct {
	Path     map[string]string // wildcards of the pattern
	Query    url.Values
	Body     []byte // at most 8 MiB
	By       string // who asks: "root", "uid 1000", or a bus client
	ReadOnly bool   // came by TCP: only GET handlers run
}

// Handler answers one call; the result is printed as JSON, an error by its fault class.
type Handler func(ctx context.Context, r *Request) (any, error)

// Server routes and serves. Handlers are registered before Serve.
type Server struct{}

func New(service string, reg *metric.Registry, h *health.Registry, log zerolog.Logger) *Server {
	panic("skeleton")
}

// Handle registers pattern ("GET /v1/pools/{pool}") with a sentence for GET /v1/ (the list of calls).
func (s *Server) Handle(pattern, doc string, h Handler) { panic("skeleton") }

// Call runs a registered call in process: the bus and the console use it.
func (s *Server) Call(ctx context.Context, method, path string, body []byte, by string) (status int, answer []byte) {
	panic("skeleton")
}

// Mount adds a plain http.Handler on the TCP side (the console).
func (s *Server) Mount(prefix string, h http.Handler) { panic("skeleton") }

// Serve serves on unix (always) and tcp (nil: none) until ctx ends.
func (s *Server) Serve(ctx context.Context, unix, tcp net.Listener) error { panic("skeleton") }

// Client calls a daemon's unix socket.
type Client struct{}

func Dial(socket string) *Client { panic("skeleton") }

// Do calls and decodes the JSON answer into out (nil: ignored). A daemon that does not answer is fault.Unavailable;
// an error answer comes back with its class.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error { panic("skeleton") }

// Get returns the raw body of path (for /metrics).
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) { panic("skeleton") }
