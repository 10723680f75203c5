package resp

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tidwall/redcon"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// section is a part of INFO; the names of the lines are Redis', which dashboards read.
type section struct {
	name  string
	lines func(s *Service, st *engine.Stats, line func(name string, value any))
}

func sections() []section {
	return []section{
		{"Server", infoServer},
		{"Clients", infoClients},
		{"Memory", infoMemory},
		{"Persistence", func(_ *Service, _ *engine.Stats, line func(string, any)) {
			line("loading", 0)
			line("rdb_changes_since_last_save", 0)
			line("rdb_last_bgsave_status", "ok")
			line("aof_enabled", 0)
		}},
		{"Stats", infoStats},
		{"Replication", func(_ *Service, _ *engine.Stats, line func(string, any)) {
			line("role", "master")
			line("connected_slaves", 0)
		}},
		{"CPU", infoCPU},
		{"Cluster", func(_ *Service, _ *engine.Stats, line func(string, any)) { line("cluster_enabled", 0) }},
		{"Keyspace", func(_ *Service, st *engine.Stats, line func(string, any)) {
			if st.Items > 0 {
				line("db0", fmt.Sprintf("keys=%d,expires=0,avg_ttl=0", st.Items))
			}
		}},
	}
}

func infoServer(s *Service, _ *engine.Stats, line func(string, any)) {
	up := max(s.o.Env.Clock.Now()-s.o.Env.Started, 0)
	line("redis_version", redisVersion)
	line("redis_mode", "standalone")
	line("cached_version", s.o.Version)
	line("os", runtime.GOOS)
	line("arch_bits", strconv.IntSize)
	line("process_id", os.Getpid())
	line("tcp_port", s.o.Port)
	line("uptime_in_seconds", up)
	line("uptime_in_days", up/86400)
}

func infoClients(s *Service, _ *engine.Stats, line func(string, any)) {
	line("connected_clients", s.Connected())
	line("maxclients", s.o.Clients)
	line("blocked_clients", 0)
}

func infoMemory(s *Service, st *engine.Stats, line func(string, any)) {
	line("used_memory", st.Used)
	line("used_memory_human", human(st.Used))
	line("used_memory_dataset", st.Bytes)
	line("maxmemory", st.Limit)
	line("maxmemory_human", human(st.Limit))
	line("maxmemory_policy", s.o.Policy)
}

func infoStats(s *Service, st *engine.Stats, line func(string, any)) {
	t := s.o.Traffic()
	line("total_connections_received", t.Accepted)
	line("total_commands_processed", s.counts.Commands.Load())
	line("total_net_input_bytes", t.BytesRead)
	line("total_net_output_bytes", t.BytesWritten)
	line("rejected_connections", t.Rejected)
	line("expired_keys", st.Reclaimed)
	line("evicted_keys", st.Evictions)
	line("keyspace_hits", st.Counts[engine.GetHits])
	line("keyspace_misses", st.Counts[engine.GetMisses])
	line("unexpected_error_replies", 0)
}

func infoCPU(_ *Service, _ *engine.Stats, line func(string, any)) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		line("used_cpu_sys", fmt.Sprintf("%d.%06d", u.Stime.Sec, u.Stime.Usec))
		line("used_cpu_user", fmt.Sprintf("%d.%06d", u.Utime.Sec, u.Utime.Usec))
	}
}

// human writes bytes as Redis does, with two digits and a letter.
func human(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"K", "M", "G", "T"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.2f%s", f, unit)
}

// info answers INFO, with the sections asked for or all.
func (c *conn) info(args [][]byte, out *session.Out) {
	want := func(name string) bool {
		return len(args) == 0 || slices.ContainsFunc(args, func(a []byte) bool {
			return strings.EqualFold(string(a), name) || is(a, "ALL") || is(a, "DEFAULT") || is(a, "EVERYTHING")
		})
	}
	st := c.env.Store.Stats()
	var b strings.Builder
	for _, s := range sections() {
		if !want(s.name) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "# %s\r\n", s.name)
		s.lines(c.svc, &st, func(name string, value any) { fmt.Fprintf(&b, "%s:%v\r\n", name, value) })
	}
	out.Buf = redcon.AppendBulkString(out.Buf, b.String())
}

// config answers CONFIG GET for what clients and dashboards ask, and CONFIG RESETSTAT.
func (c *conn) config(args [][]byte, out *session.Out) {
	switch {
	case is(args[0], "GET") && len(args) > 1:
		c.configGet(args[1:], out)
	case is(args[0], "RESETSTAT") && len(args) == 1:
		c.env.Store.ResetStats()
		if c.env.Reset != nil {
			c.env.Reset()
		}
		out.Buf = redcon.AppendOK(out.Buf)
	case is(args[0], "GET"), is(args[0], "RESETSTAT"):
		out.Buf = redcon.AppendError(out.Buf, wrongNumber("config|"+strings.ToLower(string(args[0]))))
	case is(args[0], "SET"), is(args[0], "REWRITE"):
		out.Buf = redcon.AppendError(out.Buf, "ERR the configuration is changed by cached's own means")
	default:
		out.Buf = redcon.AppendError(out.Buf, unknownSub(args[0], "CONFIG"))
	}
}

func (c *conn) configGet(patterns [][]byte, out *session.Out) {
	s := c.svc
	settings := [][2]string{
		{"maxmemory", strconv.FormatInt(c.env.Store.Limit(), 10)},
		{"maxmemory-policy", s.o.Policy},
		{"maxclients", strconv.Itoa(s.o.Clients)},
		{"save", ""},
		{"appendonly", "no"},
		{"databases", "1"},
		{"timeout", strconv.Itoa(int(s.o.Idle.Seconds()))},
		{"proto-max-bulk-len", strconv.FormatInt(c.bulkMost(), 10)},
	}
	settings = slices.DeleteFunc(settings, func(kv [2]string) bool {
		return !slices.ContainsFunc(patterns, func(p []byte) bool {
			return match([]byte(strings.ToLower(string(p))), []byte(kv[0]))
		})
	})
	out.Buf = redcon.AppendArray(out.Buf, 2*len(settings))
	for _, kv := range settings {
		out.Buf = redcon.AppendBulkString(redcon.AppendBulkString(out.Buf, kv[0]), kv[1])
	}
}

// commandCmd answers COMMAND.
func (c *conn) commandCmd(args [][]byte, out *session.Out) {
	table := c.svc.table
	switch {
	case len(args) == 0:
		out.Buf = redcon.AppendArray(out.Buf, len(table))
		for _, name := range sorted(table) {
			out.Buf = table[name].describe(out.Buf)
		}
	case is(args[0], "COUNT") && len(args) == 1:
		out.Buf = redcon.AppendInt(out.Buf, int64(len(table)))
	case is(args[0], "LIST") && len(args) == 1:
		out.Buf = redcon.AppendArray(out.Buf, len(table))
		for _, name := range sorted(table) {
			out.Buf = redcon.AppendBulkString(out.Buf, name)
		}
	case is(args[0], "DOCS"):
		out.Buf = redcon.AppendArray(out.Buf, 0)
	case is(args[0], "INFO"):
		out.Buf = redcon.AppendArray(out.Buf, len(args)-1)
		for _, name := range args[1:] {
			if cmd := c.svc.lookup(name); cmd != nil {
				out.Buf = cmd.describe(out.Buf)
			} else {
				out.Buf = append(out.Buf, "*-1\r\n"...)
			}
		}
	default:
		out.Buf = redcon.AppendError(out.Buf, unknownSub(args[0], "COMMAND"))
	}
}

func sorted(table map[string]*command) []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// describe appends what COMMAND tells of cmd: the six elements that every version of Redis has.
func (cmd *command) describe(b []byte) []byte {
	b = redcon.AppendBulkString(redcon.AppendArray(b, 6), cmd.name)
	b = redcon.AppendArray(redcon.AppendInt(b, int64(cmd.arity)), len(cmd.flags))
	for _, f := range cmd.flags {
		b = redcon.AppendString(b, f)
	}
	for _, k := range cmd.keys {
		b = redcon.AppendInt(b, int64(k))
	}
	return b
}
