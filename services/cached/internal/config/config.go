// Package config is cached's configuration.
package config

import (
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
)

// Config is /etc/everup/cached.yaml.
type Config struct {
	daemon.Common `yaml:",inline"`

	Listen      []conf.Addr   `yaml:"listen" default:"[127.0.0.1:11211]" min:"1" max:"16" doc:"TCP addresses or unix sockets for the memcached text protocol. The protocol has no authentication here: beyond loopback only behind a firewall."`
	Memory      conf.Size     `yaml:"memory" default:"64MiB" min:"1MiB" doc:"Bound for keys, values and what an item costs beyond them; the least recently used go first."`
	MaxItem     conf.Size     `yaml:"max_item" default:"1MiB" min:"1KiB" max:"1GiB" doc:"Largest value."`
	Connections int           `yaml:"connections" default:"1024" min:"1" max:"1000000" doc:"Connections at once; one more is told so and closed."`
	Idle        conf.Duration `yaml:"idle" default:"0" doc:"A connection silent for so long is closed; 0 means never."`
	Write       conf.Duration `yaml:"write_timeout" default:"30s" min:"1s" doc:"Longest wait for a client to take its answers."`
}

// Of returns the part of c that all daemons share.
func Of(c *Config) *daemon.Common { return &c.Common }

// Validate checks what one field alone cannot tell.
func (c *Config) Validate(r *conf.Report) {
	if c.MaxItem > c.Memory/2 {
		r.At("max_item").Errorf("is more than half of memory: one item would evict everything else")
	}
}
