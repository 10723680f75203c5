// Package config is logd's configuration.
package config

import (
	"time"

	"github.com/everup/everup/services/logd/internal/ingest"
	"github.com/everup/everup/services/logd/internal/text"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
)

// Config is /etc/everup/logd.yaml.
type Config struct {
	daemon.Common `yaml:",inline"`

	Listen  Listen        `yaml:"listen" doc:"Where messages come in. Ports below 1024 need the capability CAP_NET_BIND_SERVICE."`
	Dir     string        `yaml:"dir" doc:"Directory of the log files, DIR/YYYY/MM/DD/HOST.log; empty means $LOGS_DIRECTORY, or logs below the state directory."`
	Zone    string        `yaml:"zone" default:"Local" doc:"Time zone of days and of time stamps without one: Local, UTC or a name like Europe/Berlin."`
	Sync    string        `yaml:"sync" default:"interval" enum:"always|interval|never" doc:"When lines are put on stable storage: always (after every batch), interval (a power cut loses at most sync_interval), never (when the kernel likes)."`
	Every   conf.Duration `yaml:"sync_interval" default:"1s" min:"10ms" max:"1m" doc:"Time between syncs."`
	Keep    conf.Duration `yaml:"keep" default:"30d" doc:"Days that ended longer ago are deleted; 0 keeps all."`
	Message Message       `yaml:"message" doc:"Bounds of what a sender may do."`
	Queue   Queue         `yaml:"queue" doc:"The queue between receivers and files. When it is full TCP senders wait and datagrams are dropped and counted."`
	Files   Files         `yaml:"files" doc:"Bounds of the files."`
	Tail    Tail          `yaml:"tail" doc:"The last lines, held in memory to be followed."`
}

// Listen is the section listen.
type Listen struct {
	UDP  []conf.Addr `yaml:"udp" default:"[127.0.0.1:1514]" max:"16" doc:"UDP addresses (RFC 5426)."`
	TCP  []conf.Addr `yaml:"tcp" default:"[127.0.0.1:1514]" max:"16" doc:"TCP addresses (RFC 6587, both framings)."`
	Unix []string    `yaml:"unix" max:"16" doc:"Paths of datagram sockets, like /dev/log. Everybody on the host may write to them."`
}

// Message is the section message.
type Message struct {
	Max         conf.Size     `yaml:"max" default:"64KiB" min:"480" max:"1MiB" doc:"Largest message; what is longer is cut and counted."`
	Connections int           `yaml:"connections" default:"1024" min:"1" max:"65536" doc:"TCP connections at once; further ones are closed."`
	Idle        conf.Duration `yaml:"idle" default:"1h" min:"1s" doc:"Longest silence of a TCP connection."`
	Frame       conf.Duration `yaml:"frame" default:"30s" min:"100ms" doc:"Longest time for one message to arrive over TCP."`
}

// Queue is the section queue.
type Queue struct {
	Messages int       `yaml:"messages" default:"16384" min:"1" max:"10000000" doc:"Messages held."`
	Memory   conf.Size `yaml:"memory" default:"32MiB" min:"64KiB" doc:"Memory held. As much again may be on its way to the files."`
}

// Files is the section files.
type Files struct {
	Open  int `yaml:"open" default:"256" min:"1" max:"65536" doc:"Files open at once."`
	Hosts int `yaml:"hosts" default:"10000" min:"1" max:"1000000" doc:"Hosts with a file of their own a day; the lines of further ones go to _other.log."`
}

// Tail is the section tail.
type Tail struct {
	Lines  int       `yaml:"lines" default:"10000" min:"1" max:"10000000" doc:"Lines held."`
	Memory conf.Size `yaml:"memory" default:"16MiB" min:"64KiB" doc:"Memory held."`
}

// Of returns the part of c that all daemons share.
func Of(c *Config) *daemon.Common { return &c.Common }

// Validate checks what the fields' bounds cannot.
func (c *Config) Validate(r *conf.Report) {
	if _, err := time.LoadLocation(c.Zone); err != nil {
		r.At("zone").Errorf("%q is no time zone known here", c.Zone)
	}
	if len(c.Listen.UDP)+len(c.Listen.TCP)+len(c.Listen.Unix) == 0 {
		r.At("listen").Errorf("nothing to listen on")
	}
	if c.Keep != 0 && c.Keep.Std() < time.Hour {
		r.At("keep").Errorf("is less than an hour")
	}
}

// Location is the zone; Validate has seen that it exists.
func (c *Config) Location() *time.Location {
	loc, err := time.LoadLocation(c.Zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// Limits are the receivers' limits.
func (c *Config) Limits() ingest.Limits {
	return ingest.Limits{
		Message: int(c.Message.Max), Connections: c.Message.Connections, Idle: c.Message.Idle.Std(), Frame: c.Message.Frame.Std(),
	}
}

// Text are the options of the files.
func (c *Config) Text(node string, onSync func(time.Duration)) text.Options {
	return text.Options{
		Location: c.Location(), Policy: text.Policy(c.Sync), OpenFiles: c.Files.Open, HostsPerDay: c.Files.Hosts, Node: node, OnSync: onSync,
	}
}
