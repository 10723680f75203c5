package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// RedisConfig is a check by PING and, where a role is wanted, by INFO replication.
type RedisConfig struct {
	User     string        `yaml:"user" doc:"User for AUTH (Redis 6 and later). Default: the default user."`
	Password conf.Secret   `yaml:"password" doc:"Password for AUTH. Absent: no AUTH."`
	Role     string        `yaml:"role" default:"any" enum:"any|primary|replica" doc:"Role that is well. A replica must also be linked to its primary and have finished its sync."`
	MaxLag   conf.Duration `yaml:"max_lag" default:"0" max:"24h" doc:"A replica that has not heard of its primary for longer is not well (whole seconds). 0 means no limit."`
}

type redisCheck struct {
	*RedisConfig
	dialer dialer
	tls    *tlsSection // nil: plain
}

func newRedis(cfg *Config, d dialer) (checkFunc, error) {
	c := &redisCheck{RedisConfig: sectionOr(cfg.Redis), dialer: d}
	var err error
	c.tls, err = optionalTLS(cfg.TLS)
	return c.check, err
}

func (c *redisCheck) check(ctx context.Context, t Target) (outcome, error) {
	nc, err := c.dialer.dial(ctx, "tcp", t)
	if err != nil {
		return outcome{}, err
	}
	defer nc.Close()
	link, out, err := c.tls.wrap(ctx, nc, t)
	if err != nil {
		return outcome{}, err
	}
	s := &respSession{w: link, in: newLines(link)}
	detail, err := c.ask(s)
	if err != nil {
		return outcome{}, fault.Wrap(classOf(ctx, err), err, "redis")
	}
	return out.prefix(detail), nil
}

func (c *redisCheck) ask(s *respSession) (detail string, err error) {
	if c.Password != "" {
		auth := []string{"AUTH", c.User, c.Password.Reveal()}
		if c.User == "" {
			auth = []string{"AUTH", c.Password.Reveal()}
		}
		if err := s.expect("OK", auth...); err != nil {
			return "", err
		}
	}
	if err := s.expect("PONG", "PING"); err != nil {
		return "", err
	}
	if c.Role == "any" && c.MaxLag == 0 {
		return "PONG", nil
	}
	text, err := s.do("INFO", "replication")
	if err != nil {
		return "", err
	}
	return c.judge(parseInfo(text))
}

// judge compares INFO replication with the role wanted.
func (c *redisCheck) judge(info map[string]string) (detail string, err error) {
	role := map[string]string{"master": "primary", "slave": "replica"}[info["role"]]
	switch {
	case role == "":
		return "", fault.New(fault.Corrupt, "INFO tells no role")
	case c.Role != "any" && c.Role != role:
		return "", fault.New(fault.Unavailable, "role is %s, wanted %s", role, c.Role)
	case role == "primary":
		return "primary with " + info["connected_slaves"] + " replicas", nil
	case info["master_sync_in_progress"] == "1":
		return "", fault.New(fault.Unavailable, "replica is being synced")
	case info["master_link_status"] != "up":
		return "", fault.New(fault.Unavailable, "replica's link to its primary is %q", info["master_link_status"])
	}
	silent, err := strconv.Atoi(info["master_last_io_seconds_ago"])
	if err != nil || silent < 0 {
		return "", fault.New(fault.Unavailable, "replica has not heard of its primary")
	}
	if limit := int(c.MaxLag.Std().Seconds()); limit > 0 && silent > limit {
		return "", fault.New(fault.Unavailable, "replica heard of its primary %d s ago, limit %d s", silent, limit)
	}
	return fmt.Sprintf("replica, heard of its primary %d s ago", silent), nil
}

// parseInfo reads the "key:value" lines of INFO.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	return info
}

// respSession speaks RESP2 (redis.io, "Redis serialization protocol specification").
type respSession struct {
	w  io.Writer
	in lines
}

// expect sends a command that must be answered by the simple string want.
func (s *respSession) expect(want string, command ...string) error {
	got, err := s.do(command...)
	if err == nil && got != want {
		return fault.New(fault.Corrupt, "%s answered %q", command[0], got[:min(len(got), 80)])
	}
	return err
}

// do sends a command and returns its answer: a simple or a bulk string. An error answer is an error.
func (s *respSession) do(command ...string) (string, error) {
	b := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, arg := range command {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := s.w.Write(b); err != nil {
		return "", err
	}
	return readRESP(s.in)
}

// readRESP reads one simple string, error or bulk string of at most maxReply bytes.
func readRESP(in lines) (string, error) {
	line, err := in.next()
	if err != nil {
		return "", err
	}
	if line == "" {
		return "", fault.New(fault.Corrupt, "empty answer")
	}
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return "", respError(line[1:])
	case '$':
		return readBulk(in.r, line[1:])
	}
	return "", fault.New(fault.Corrupt, "answer %q is not RESP", line[:min(len(line), 80)])
}

func readBulk(r *bufio.Reader, length string) (string, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > maxReply {
		return "", fault.New(fault.Corrupt, "bulk string of length %q", length)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	if string(b[n:]) != "\r\n" {
		return "", fault.New(fault.Corrupt, "bulk string without end")
	}
	return string(b[:n]), nil
}

// respError classes an error answer by its first word.
func respError(text string) error {
	word, _, _ := strings.Cut(text, " ")
	class := fault.Unavailable // LOADING, MASTERDOWN, ERR …
	switch word {
	case "NOAUTH", "WRONGPASS", "NOPERM":
		class = fault.Denied
	}
	return fault.New(class, "answered %s", text)
}
