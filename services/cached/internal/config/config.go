// Package config is cached's configuration.
package config

import (
	"cmp"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
)

// SmallestMemory is the least that Memory may be, bytes.
const SmallestMemory = 8 << 20

// Config is /etc/everup/cached.yaml.
type Config struct {
	daemon.Common `yaml:",inline"`

	Listen      []Endpoint    `yaml:"listen" default:"[127.0.0.1:11211]" max:"16" doc:"Where memcached's protocols are spoken: addresses and unix sockets, each with prefixes in memcached's manner: tls:, mtls: (client certificate required), proto[ascii]:, proto[binary]:, tag[NAME]:."`
	SocketMode  FileMode      `yaml:"socket_mode" default:"0660" doc:"Permissions of unix sockets, octal."`
	Protocol    string        `yaml:"protocol" default:"auto" enum:"auto|text|binary" doc:"What listeners speak that name no protocol: auto tells by a connection's first byte."`
	Threads     int           `yaml:"threads" min:"0" max:"256" doc:"Event loops; 0 means one for each CPU."`
	Memory      conf.Size     `yaml:"memory" default:"64MiB" min:"8MiB" doc:"Bound of all memory for items: keys, values, index and tables. What is least worth keeping goes first."`
	MaxItem     conf.Size     `yaml:"max_item" default:"1MiB" min:"1KiB" max:"1GiB" doc:"Largest item, as memcached counts: key, value and some 60 bytes."`
	Evict       bool          `yaml:"evict" default:"true" doc:"Whether full memory evicts; false: stores fail instead."`
	CAS         bool          `yaml:"cas" default:"true" doc:"Whether items have unique numbers for cas; false: they are 0."`
	Connections int           `yaml:"connections" default:"1024" min:"1" max:"1000000" doc:"Connections at once, of all protocols."`
	Full        string        `yaml:"connections_full" default:"refuse" enum:"refuse|wait" doc:"A connection too many is told so and closed, or waits in the kernel's queue until another ends."`
	Idle        conf.Duration `yaml:"idle" default:"0" doc:"A connection silent for so long is closed; 0 means never."`
	Write       conf.Duration `yaml:"write_timeout" default:"30s" min:"1s" doc:"A client that takes none of its answers for so long is cut off."`

	Commands Commands `yaml:"commands" doc:"Commands of operators that any client may give."`
	Auth     *Auth    `yaml:"auth" doc:"Users and where they must say who they are."`
	TLS      *TLS     `yaml:"tls" doc:"Certificates, for listeners with tls: or mtls:."`
	UDP      *UDP     `yaml:"udp" doc:"memcached's protocols over UDP; off without this section."`
	RESP     *RESP    `yaml:"resp" doc:"Redis's protocol on the same items; off without this section."`
	Warm     string   `yaml:"warm" doc:"File on a tmpfs (/dev/shm/…) that holds the items and outlives a restart; empty means memory of the process."`
	Publish  []string `yaml:"publish" enum:"deletes|stores" max:"2" doc:"Which changes by own clients are told on the bus, key and metadata only: deletes, stores."`
}

// Commands are switches for commands that show or destroy more than a client's own items.
type Commands struct {
	Flush    bool `yaml:"flush" default:"true" doc:"flush_all and FLUSHALL."`
	Dump     bool `yaml:"dump" default:"true" doc:"Listing keys: lru_crawler metadump, mgdump, stats cachedump."`
	Watch    bool `yaml:"watch" default:"true" doc:"watch: the stream of other clients' commands."`
	Shutdown bool `yaml:"shutdown" default:"false" doc:"shutdown: ends the daemon."`
}

// Auth says who may come in.
type Auth struct {
	Users string `yaml:"users" required:"true" doc:"File of users and passwords, readable by the daemon alone. Read again on reload."`
	Form  string `yaml:"form" default:"lines" enum:"lines|database" doc:"Of the file: at most 8 lines of user:password as memcached's -Y has them, or the longer lists of MEMCACHED_SASL_PWDB."`
	Text  bool   `yaml:"text" default:"true" doc:"Demand a login on text connections: set x 0 0 N with \"user password\" as the value."`
	SASL  bool   `yaml:"sasl" default:"true" doc:"Demand SASL PLAIN on binary connections."`
	RESP  bool   `yaml:"resp" default:"true" doc:"Demand AUTH on RESP connections."`
}

// TLS is what listeners with tls: and mtls: use. The files are read again on reload.
type TLS struct {
	Cert    string `yaml:"cert" required:"true" doc:"File of the certificate and its chain, PEM."`
	Key     string `yaml:"key" required:"true" doc:"File of the private key, PEM."`
	CA      string `yaml:"ca" doc:"File of the CA certificates that clients' certificates come from, PEM."`
	Verify  string `yaml:"verify" default:"none" enum:"none|request|require" doc:"Client certificates on tls: listeners: not asked for, checked when shown, required. mtls: listeners always require one."`
	Version string `yaml:"min_version" default:"1.2" enum:"1.0|1.1|1.2|1.3" doc:"Lowest version of TLS."`
}

// UDP says who may ask over UDP. What a source that is not trusted asks for is never answered by more than it sent.
type UDP struct {
	Listen  []conf.Addr   `yaml:"listen" default:"[127.0.0.1:11211]" min:"1" max:"16" doc:"Addresses to listen on."`
	Trusted []conf.Prefix `yaml:"trusted" default:"[127.0.0.0/8, \"::1/128\"]" max:"256" doc:"Networks whose sources cannot be forged: they may give every command and get full answers."`
	Rate    int           `yaml:"rate" default:"1000" min:"1" max:"10000000" doc:"Requests a second of one other network (/24, /56); more are dropped."`
}

// RESP is the section resp.
type RESP struct {
	Listen []conf.Addr `yaml:"listen" default:"[127.0.0.1:6379]" min:"1" max:"16" doc:"Addresses or unix sockets."`
}

// Of returns the part of c that all daemons share.
func Of(c *Config) *daemon.Common { return &c.Common }

// Validate checks what one field alone cannot tell.
func (c *Config) Validate(r *conf.Report) {
	if c.MaxItem > c.Memory/2 {
		r.At("max_item").Errorf("is more than half of memory: one item would evict everything else")
	}
	if len(c.Listen) == 0 && c.UDP == nil && c.RESP == nil {
		r.At("listen").Errorf("is empty, and there is neither udp nor resp: nobody could connect")
	}
	for i, e := range c.Listen {
		if e.TLS && c.TLS == nil {
			r.At("listen").At(i).Errorf("wants TLS: the section tls is missing")
		}
		if _, unix := e.Addr.Unix(); unix && e.TLS {
			r.At("listen").At(i).Errorf("is a unix socket: TLS is for TCP only")
		}
		if e.Mutual && c.TLS != nil && c.TLS.CA == "" {
			r.At("listen").At(i).Errorf("requires client certificates: tls.ca is missing")
		}
	}
	if c.TLS != nil && c.TLS.Verify != "none" && c.TLS.CA == "" {
		r.At("tls").At("verify").Errorf("needs tls.ca")
	}
	if c.Auth != nil && (c.Auth.SASL || c.Auth.Text) && c.UDP != nil {
		r.At("udp").Errorf("knows no login: with auth.text or auth.sasl it must be left out")
	}
}

// Open returns the listeners beyond loopback on which anybody may come in without saying who they are.
func (c *Config) Open() []string {
	var open []string
	for _, e := range c.Listen {
		protocol := cmp.Or(e.Protocol, c.Protocol)
		text := protocol != "binary"
		binary := protocol != "text"
		guarded := c.Auth != nil && (!text || c.Auth.Text) && (!binary || c.Auth.SASL)
		if !e.Addr.Loopback() && !guarded && !e.Mutual && !(e.TLS && c.TLS != nil && c.TLS.Verify == "require") {
			open = append(open, e.String())
		}
	}
	if c.UDP != nil { // whom it does not trust it lets read
		for _, a := range c.UDP.Listen {
			if !a.Loopback() {
				open = append(open, "udp "+a.String())
			}
		}
	}
	if c.RESP != nil && (c.Auth == nil || !c.Auth.RESP) {
		for _, a := range c.RESP.Listen {
			if !a.Loopback() {
				open = append(open, "resp "+a.String())
			}
		}
	}
	return open
}
