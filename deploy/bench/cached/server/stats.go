package server

import (
	"bufio"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/fault"
)

// statsLimit bounds the exchange for Stats.
const statsLimit = 10 * time.Second

// Stats returns what the server answers to `stats`.
func (s *Server) Stats() (map[string]string, error) {
	c, err := net.DialTimeout(s.Network, s.Address, statsLimit)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "server: stats")
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(statsLimit))
	if _, err := c.Write([]byte("stats\r\n")); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "server: stats")
	}
	stats := map[string]string{}
	in := bufio.NewScanner(c)
	for in.Scan() {
		line := in.Text()
		if line == "END" {
			return stats, nil
		}
		rest, ok := strings.CutPrefix(line, "STAT ")
		if !ok {
			return nil, fault.New(fault.Corrupt, "server: %q among the stats", line)
		}
		key, value, _ := strings.Cut(rest, " ")
		stats[key] = value
	}
	return nil, fault.New(fault.Corrupt, "server: stats without an end: %v", in.Err())
}

// Stat returns one number of the stats.
func (s *Server) Stat(key string) (int64, error) {
	stats, err := s.Stats()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(stats[key], 10, 64)
	if err != nil {
		return 0, fault.Wrap(fault.Corrupt, err, "server: stat %s is %q", key, stats[key])
	}
	return n, nil
}
