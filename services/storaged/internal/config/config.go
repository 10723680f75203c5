// Package config is storaged's configuration.
package config

import (
	"github.com/everup/everup/services/storaged/internal/web"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
)

// Config is /etc/everup/storaged.yaml.
type Config struct {
	daemon.Common `yaml:",inline"`

	Listen      conf.Addr     `yaml:"listen" default:"127.0.0.1:8090" doc:"TCP address or unix socket for HTTP. Reading is open to whoever reaches it."`
	Dir         string        `yaml:"dir" doc:"Directory of the objects, for one daemon alone; empty means objects below the state directory."`
	MaxObject   conf.Size     `yaml:"max_object" default:"5GiB" min:"1" doc:"Largest body."`
	MaxObjects  int           `yaml:"max_objects" default:"1000000" min:"1" max:"100000000" doc:"Number of objects; a new name beyond it is refused with 507. Each costs about 200 bytes of memory and its name."`
	Connections int           `yaml:"connections" default:"1024" min:"1" max:"65536" doc:"Connections at once; further ones wait."`
	Uploads     int           `yaml:"uploads" default:"64" min:"1" max:"65536" doc:"PUT requests at once; further ones get 503 with Retry-After."`
	Reserve     conf.Size     `yaml:"reserve" default:"64MiB" doc:"Room on the disk that uploads leave free: less than it, and PUT gets 507."`
	AllowWrite  []conf.Prefix `yaml:"allow_write" default:"[127.0.0.0/8, \"::1\"]" doc:"Client networks that may PUT and DELETE. The address is that of the connection: behind a proxy, the proxy's. Clients of a unix socket may always: its permissions decide."`
	Events      bool          `yaml:"events" default:"true" doc:"Publish object-stored and object-deleted on the bus."`
	Upload      Upload        `yaml:"upload" doc:"How slow an upload may be."`
	Idle        conf.Duration `yaml:"idle" default:"2m" min:"1s" doc:"Longest silence between requests of a connection, and longest wait for a reader to take more of an answer."`
}

// Upload is the section upload.
type Upload struct {
	Idle  conf.Duration `yaml:"idle" default:"30s" min:"100ms" doc:"Longest silence within a body."`
	Grace conf.Duration `yaml:"grace" default:"10s" doc:"No rate is asked for so long."`
	Rate  conf.Size     `yaml:"rate" default:"1KiB" doc:"Least average rate in bytes a second after that; 0 asks for none."`
}

// Of returns the part of c that all daemons share.
func Of(c *Config) *daemon.Common { return &c.Common }

// Limits are what c sets that can change while the daemon runs.
func (c *Config) Limits() web.Limits {
	l := web.Limits{
		Object: int64(c.MaxObject), Uploads: c.Uploads, WriteIdle: c.Idle.Std(), Reserve: int64(c.Reserve),
		Pace: web.Pace{Idle: c.Upload.Idle.Std(), Grace: c.Upload.Grace.Std(), Rate: int64(c.Upload.Rate)},
	}
	for _, p := range c.AllowWrite {
		l.Writers = append(l.Writers, p.Prefix)
	}
	return l
}
