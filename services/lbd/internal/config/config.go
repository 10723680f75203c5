// Package config is lbd's configuration.
package config

import (
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/vip"
)

// Config is /etc/everup/lbd.yaml.
type Config struct {
	daemon.Common `yaml:",inline"`

	Listen       []Listener          `yaml:"listen" default:"[127.0.0.1:8080]" min:"1" max:"16" doc:"TCP addresses that clients connect to."`
	TLS          map[conf.Name]*TLS  `yaml:"tls" max:"16" doc:"TLS with clients: sections by the names that listeners give."`
	Connections  int                 `yaml:"connections" default:"10000" min:"1" max:"1000000" doc:"Client connections at once over all addresses; further ones wait in the kernel's queue."`
	MaxHeader    conf.Size           `yaml:"max_header" default:"64KiB" min:"1KiB" max:"1MiB" doc:"Largest head of a request; a larger one is answered 431. Changes with a restart."`
	Handshakes   Handshakes          `yaml:"handshakes" doc:"How many TLS handshakes there may be."`
	Timeouts     Timeouts            `yaml:"timeouts" doc:"Patience with clients."`
	Trusted      []conf.Prefix       `yaml:"trusted" doc:"Proxies in front whose X-Forwarded-For, -Proto, -Host and -Port, Forwarded and X-Request-Id are believed and kept; from others they are dropped."`
	ReasonHeader bool                `yaml:"reason_header" default:"false" doc:"Say in X-Everup-Reason why lbd itself answered with an error."`
	RequestID    RequestID           `yaml:"request_id" doc:"The id that each request has: in access logs, and told to members as their pool's forwarded says."`
	Routes       []Route             `yaml:"routes" max:"1024" doc:"What becomes of requests: the first route whose conditions all hold and that has an outcome decides, none means 404."`
	Pools        map[conf.Name]*Pool `yaml:"pools" max:"256" doc:"Groups of servers that answer alike."`
	DoS          []DoS               `yaml:"dos" single:"true" max:"8" doc:"Which clients ask too much: a section, or a list of several with names; absent means that nobody is suspect."`
	Sources      Sources             `yaml:"sources" doc:"What one client may have open."`
	Tarpits      int                 `yaml:"tarpits" default:"1000" min:"0" max:"100000" doc:"Requests at once that wait by tarpit; further ones do not wait."`
	Buffers      Buffers             `yaml:"buffers" doc:"Room for what is buffered and compressed."`
	AccessLog    []AccessLog         `yaml:"access_log" single:"true" max:"8" doc:"One line per request: a section, or a list of several logs."`
	ErrorPages   ErrorPages          `yaml:"error_pages" max:"64" doc:"Pages by status for errors of lbd's own, where the client asks for HTML: 404, 4xx, 5xx and so on; others get a line of text. Read when the configuration is."`
	Maintenance  Maintenance         `yaml:"maintenance" doc:"How requests are answered for what is under maintenance."`
	VIPs         vip.Config          `yaml:"vips" max:"64" doc:"Virtual addresses that this daemon offers together with others. One whose track names no value gets {value: backends, weight: -100}: it goes to a host that reaches a backend."`
}

// Timeouts is the section `timeouts`.
type Timeouts struct {
	Header conf.Duration `yaml:"header" default:"10s" min:"100ms" max:"10m" doc:"Longest time for a request's head to come in. Changes with a restart."`
	Idle   conf.Duration `yaml:"idle" default:"60s" min:"100ms" max:"1d" doc:"A connection without a request is closed after so long. Changes with a restart."`
	Read   conf.Duration `yaml:"read" default:"30s" min:"100ms" max:"1h" doc:"Longest wait for the next bytes of a request's body, unless its answer goes on meanwhile; a pool may have its own."`
	Write  conf.Duration `yaml:"write" default:"30s" min:"100ms" max:"1h" doc:"Longest wait for a client to take the next bytes of an answer."`
	Tunnel conf.Duration `yaml:"tunnel" default:"1h" min:"1s" max:"30d" doc:"An upgraded connection (WebSocket) silent both ways for so long is closed."`
	Retire conf.Duration `yaml:"retire" default:"1d" min:"1s" max:"30d" doc:"After an upgrade the old process lives on for its connections, so long at most."`
}

// Pool is a group of servers that answer alike.
type Pool struct {
	Members     []Member      `yaml:"members" max:"256" doc:"Servers by address."`
	From        *From         `yaml:"from" doc:"Servers from the fleet's gossip, besides members."`
	Balance     string        `yaml:"balance" default:"wrr" enum:"wrr|least|random|ewma|hash" doc:"wrr: smooth weighted round robin. least: fewest requests under way for its weight. random: of two drawn by weight the one with less to do, by latency and requests under way. ewma: likewise, and quick to see that a member has become slow (peak EWMA). hash: equal keys to the same member."`
	Check       *probe.Config `yaml:"check" doc:"How members are checked; absent means a TCP connection every 2s."`
	Retries     Retries       `yaml:"retries" doc:"What happens when a member fails before it answers."`
	Connect     conf.Duration `yaml:"connect" default:"2s" min:"10ms" max:"1m" doc:"Longest wait for a connection to a member."`
	Timeout     conf.Duration `yaml:"timeout" default:"60s" min:"10ms" max:"1d" doc:"Longest wait for the head of the answer over all tries (504 after it), and longest silence within an answer's body."`
	Read        conf.Duration `yaml:"read" default:"0" max:"1d" doc:"Longest wait for the next bytes of a request's body, unless its answer goes on meanwhile, such as for streams of gRPC; 0 means timeouts.read."`
	MaxBody     conf.Size     `yaml:"max_body" default:"0" doc:"Largest body of a request, 413 beyond it; 0 means no bound, as bodies are passed on as they come."`
	Forwarded   Forwarded     `yaml:"forwarded" doc:"What members are told of the client and the request's way."`
	TLS         *MemberTLS    `yaml:"tls" doc:"Speak TLS with members; absent means plain."`
	HTTP2       bool          `yaml:"http2" default:"false" doc:"Speak HTTP/2 with members, over TLS or at once (h2c)."`
	Proxy       string        `yaml:"proxy_protocol" default:"off" enum:"off|v1|v2" doc:"Tell members the client's address before all else, by the PROXY protocol's version 1 or 2."`
	Maintenance bool          `yaml:"maintenance" default:"false" doc:"The pool is under maintenance: requests are answered 503, but for those from exempt networks."`
	KeepAlive   bool          `yaml:"keep_alive" default:"true" doc:"Use connections to members for further requests; false means one for each request."`
	Reuse       string        `yaml:"reuse" default:"safe" enum:"safe|always" doc:"Which requests may go on a connection that has served others. safe: those that can be sent once more if the member closes it at that moment (idempotent, body at hand); others get a connection of their own. always: all, as HAProxy's http-reuse always; one that is not idempotent is sent again only where its bytes had provably not arrived, and may be answered 502 when a member restarts."`
	Choosing    `yaml:",inline"`
	Content     `yaml:",inline"`
}

// Member is a server of a pool.
type Member struct {
	Addr     conf.Addr `yaml:"addr" required:"true" doc:"host:port of the server."`
	Weight   int       `yaml:"weight" default:"100" min:"0" max:"1000" doc:"Share of the requests (the load factor of mod_proxy_balancer); 0 means none but those of sessions that stick to it."`
	Backup   bool      `yaml:"backup" default:"false" doc:"Serve only while no member without backup may."`
	Requests int       `yaml:"max_requests" default:"0" min:"0" max:"1000000" doc:"Requests under way at once; 0 means the pool's max_requests_per_member."`
}

// From takes members from gossip.
type From struct {
	Service  string `yaml:"service" required:"true" doc:"Service whose daemons are members, such as storaged."`
	Endpoint string `yaml:"endpoint" default:"http" doc:"Name of the endpoint they announce."`
}

// Retries is the section `retries` of a pool.
type Retries struct {
	Max      int            `yaml:"max" default:"2" min:"0" max:"10" doc:"Further tries of a request, each on another member where there is one."`
	PerTry   conf.Duration  `yaml:"per_try_timeout" default:"0" max:"1d" doc:"Longest wait for the head of the answer in one try; 0 means only the pool's timeout."`
	Percent  int            `yaml:"budget" default:"20" min:"0" max:"100" doc:"Retries in per cent of the requests of the last 10 s; 10 per second are always allowed."`
	AtOnce   int            `yaml:"max_at_once" default:"0" min:"0" max:"1000000" doc:"Retries under way at once in the pool; 0 means no bound but the budget."`
	Statuses probe.Statuses `yaml:"statuses" doc:"Statuses of answers in place of which another member is tried, such as 502-504: for idempotent requests whose body is still at hand, as nothing of such an answer has been sent; the last one's passes."`
}

// Of returns the part of c that all daemons share.
func Of(c *Config) *daemon.Common { return &c.Common }
