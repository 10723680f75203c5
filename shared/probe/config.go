package probe

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/conf"
)

// Type says which protocol a check speaks.
type Type string

// The types of check.
const (
	ICMP      Type = "icmp"
	TCP       Type = "tcp"
	TLS       Type = "tls"
	HTTP      Type = "http"
	HTTPS     Type = "https"
	DNS       Type = "dns"
	MySQL     Type = "mysql"
	Redis     Type = "redis"
	Memcached Type = "memcached"
	SMTP      Type = "smtp"
	GRPC      Type = "grpc"
	Exec      Type = "exec"
)

// Config is one check in a configuration file. Its defaults come from conf; a Config made in code needs
// conf.SetDefaults first.
type Config struct {
	Type         Type          `yaml:"type" default:"tcp" enum:"icmp|tcp|tls|http|https|dns|mysql|redis|memcached|smtp|grpc|exec" doc:"What to ask: the protocol of the check."`
	Interval     conf.Duration `yaml:"interval" default:"2s" min:"50ms" max:"24h" doc:"Time from the start of one check to the start of the next, while the state is settled."`
	FastInterval conf.Duration `yaml:"fast_interval" default:"0" max:"24h" doc:"Interval while the state is unsettled: after a first failure, while rising, before the first result. 0 means a quarter of interval."`
	DownInterval conf.Duration `yaml:"down_interval" default:"0" max:"24h" doc:"Interval while the target is down and fails every check. 0 means interval."`
	Timeout      conf.Duration `yaml:"timeout" default:"0" max:"10m" doc:"Longest wait for a check, from connect to last byte. At most interval. 0 means 1s, or interval where that is shorter."`
	Rise         int           `yaml:"rise" default:"2" min:"1" max:"1000" doc:"Successes in a row that bring a target up."`
	Fall         int           `yaml:"fall" default:"3" min:"1" max:"1000" doc:"Failures in a row that take a target down."`
	Jitter       int           `yaml:"jitter" default:"10" min:"0" max:"50" doc:"Each interval is longer or shorter by up to this many percent, at random."`
	Start        State         `yaml:"start" default:"unknown" enum:"unknown|up|down" doc:"State before the first result. With unknown the first result decides at once; with up or down, rise and fall apply from the start."`
	Address      netip.Addr    `yaml:"address" doc:"IP address to check in place of the target's own."`
	Port         uint16        `yaml:"port" default:"0" doc:"Port to check in place of the target's own. 0 means the target's."`
	Source       netip.Addr    `yaml:"source" doc:"IP address to check from."`
	Interface    string        `yaml:"interface" doc:"Network interface to check through (SO_BINDTODEVICE)."`
	Mark         uint32        `yaml:"mark" default:"0" doc:"Firewall mark of the check's packets (SO_MARK, needs CAP_NET_ADMIN). 0 means none."`

	Flap  *FlapConfig  `yaml:"flap" doc:"Holds a target down that goes up and down too often. Absent: no damping."`
	TLS   *TLSConfig   `yaml:"tls" doc:"TLS of the check. For redis, mysql, smtp and grpc its presence turns TLS on, for dns its protocol does."`
	TCP   *TCPConfig   `yaml:"tcp" doc:"Options of type tcp."`
	HTTP  *HTTPConfig  `yaml:"http" doc:"Options of types http and https."`
	DNS   *DNSConfig   `yaml:"dns" doc:"Options of type dns (required for it)."`
	MySQL *MySQLConfig `yaml:"mysql" doc:"Options of type mysql (required for it)."`
	Redis *RedisConfig `yaml:"redis" doc:"Options of type redis."`
	SMTP  *SMTPConfig  `yaml:"smtp" doc:"Options of type smtp."`
	GRPC  *GRPCConfig  `yaml:"grpc" doc:"Options of type grpc."`
	ICMP  *ICMPConfig  `yaml:"icmp" doc:"Options of type icmp."`
	Exec  *ExecConfig  `yaml:"exec" doc:"Options of type exec (required for it)."`
}

// FlapConfig damps flapping as routers do (RFC 2439): each fall from up to down adds 1000 points, which decay
// by half every half_life. At suppress points or more the target is held down; at reuse or fewer it is let go.
type FlapConfig struct {
	HalfLife    conf.Duration `yaml:"half_life" default:"1m" min:"1s" max:"24h" doc:"Time in which the points decay by half."`
	Suppress    int           `yaml:"suppress" default:"3500" min:"1000" max:"100000" doc:"Points at which the target is held down: 3500 is the fourth fall in quick succession."`
	Reuse       int           `yaml:"reuse" default:"1500" min:"1" max:"100000" doc:"Points at which it is let go. Less than suppress."`
	MaxSuppress conf.Duration `yaml:"max_suppress" default:"5m" min:"1s" max:"24h" doc:"Longest time a target is held down after its last fall."`
}

// Patience returns how long a check may take.
func (c *Config) Patience() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout.Std()
	}
	return min(time.Second, c.Interval.Std())
}

// Validate reports what single fields cannot tell.
func (c *Config) Validate(r *conf.Report) {
	if c.Timeout > c.Interval {
		r.At("timeout").Errorf("is longer than interval (%s)", c.Interval.Std())
	}
	if c.FastInterval > c.Interval {
		r.At("fast_interval").Errorf("is longer than interval (%s)", c.Interval.Std())
	}
	c.validateSections(r)
	if c.Flap != nil && c.Flap.Reuse >= c.Flap.Suppress {
		r.At("flap").At("reuse").Errorf("must be less than suppress (%d)", c.Flap.Suppress)
	}
}

// sections returns the keys of the sections that are present, and what those of the given type may be.
func (c *Config) sections() (present, allowed []string) {
	for _, s := range []struct {
		key string
		has bool
	}{
		{"tls", c.TLS != nil}, {"tcp", c.TCP != nil}, {"http", c.HTTP != nil}, {"dns", c.DNS != nil},
		{"mysql", c.MySQL != nil}, {"redis", c.Redis != nil}, {"smtp", c.SMTP != nil},
		{"grpc", c.GRPC != nil}, {"icmp", c.ICMP != nil}, {"exec", c.Exec != nil},
	} {
		if s.has {
			present = append(present, s.key)
		}
	}
	switch c.Type {
	case HTTP:
		return present, []string{"http"}
	case HTTPS:
		return present, []string{"http", "tls"}
	case DNS, MySQL, Redis, SMTP, GRPC:
		return present, []string{string(c.Type), "tls"}
	}
	return present, []string{string(c.Type)}
}

func (c *Config) validateSections(r *conf.Report) {
	present, allowed := c.sections()
	for _, key := range present {
		if !slices.Contains(allowed, key) {
			r.At(key).Errorf("does not belong to type %s, which takes: %s", c.Type, strings.Join(allowed, ", "))
		}
	}
	if c.TLS != nil && c.DNS != nil && c.DNS.Protocol != "tls" {
		r.At("tls").Errorf("has no meaning for dns over %s", c.DNS.Protocol)
	}
	missing := c.Type == DNS && c.DNS == nil || c.Type == MySQL && c.MySQL == nil || c.Type == Exec && c.Exec == nil
	if missing {
		r.At(string(c.Type)).Errorf("is required for type %s", c.Type)
	}
}

// fast returns the interval while the state is unsettled.
func (c *Config) fast() time.Duration {
	if c.FastInterval > 0 {
		return c.FastInterval.Std()
	}
	return c.Interval.Std() / 4
}

// down returns the interval while the target is down.
func (c *Config) down() time.Duration {
	if c.DownInterval > 0 {
		return c.DownInterval.Std()
	}
	return c.Interval.Std()
}

// sectionOr returns s, or a section with the defaults where the key is absent.
func sectionOr[T any](s *T) *T {
	if s == nil {
		s = new(T)
		conf.SetDefaults(s)
	}
	return s
}

// checkPattern reports a regular expression (RE2) that does not compile.
func checkPattern(r *conf.Report, key, pattern string) {
	if _, err := regexp.Compile(pattern); err != nil {
		r.At(key).Errorf("is not a regular expression: %v", err)
	}
}

// checkAbsolute reports a path that is not absolute; empty is fine.
func checkAbsolute(r *conf.Report, key any, path string) {
	if path != "" && !filepath.IsAbs(path) {
		r.At(key).Errorf("%q is not an absolute path", path)
	}
}
