package cached

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/buildinfo"
)

// maxListed bounds `stats conns`.
const maxListed = 100_000

// pairs collects lines of statistics.
type pairs []session.Pair

func (p *pairs) add(name string, value any) {
	*p = append(*p, session.Pair{Name: name, Value: fmt.Sprint(value)})
}

// general are the lines of `stats` about the process and its connections.
func (s *Service) general() []session.Pair {
	var use syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &use) // fails only for a bad address
	gate, sum, c := s.gate.Counts(), s.counts(), s.config()
	now := time.Now()
	var p pairs
	p.add("pid", os.Getpid())
	p.add("uptime", int64(now.Sub(s.start).Seconds()))
	p.add("time", now.Unix())
	p.add("version", stats.Version)
	p.add("pointer_size", strconv.IntSize)
	p.add("rusage_user", seconds(use.Utime))
	p.add("rusage_system", seconds(use.Stime))
	p.add("max_connections", gate.Limit)
	p.add("curr_connections", gate.Current)
	p.add("total_connections", gate.Total)
	p.add("rejected_connections", gate.Rejected)
	p.add("connection_structures", gate.Current)
	p.add("cmd_flush", sum.flush)
	p.add("auth_cmds", sum.auths)
	p.add("auth_errors", sum.authErrors)
	p.add("bytes_read", sum.read)
	p.add("bytes_written", sum.written)
	p.add("accepting_conns", b2i(gate.Accepting))
	p.add("listen_disabled_num", gate.ShutTimes)
	p.add("time_in_listen_disabled_us", gate.ShutFor.Microseconds())
	p.add("threads", threads(&c))
	p.add("conn_yields", sum.yields)
	if c.Idle > 0 {
		p.add("idle_kicks", sum.kicks)
	}
	w := s.watchers.Counts()
	p.add("log_watcher_skipped", w.Skipped)
	p.add("log_watcher_sent", w.Sent)
	p.add("log_watchers", w.Watchers)
	if s.tls != nil {
		s.tlsStats(&p)
	}
	p.add("everup_version", buildinfo.Read().Version)
	return p
}

// stats are the groups of statistics that the binary protocol asks for by name.
func (s *Service) stats(sub string) (out []session.Pair, ok bool) {
	emit := func(name, value string) { out = append(out, session.Pair{Name: name, Value: value}) }
	e := &s.sessions
	switch sub {
	case "":
		stats.General(e, emit)
	case "settings":
		stats.Settings(e, emit)
	case "items":
		stats.Items(e, emit)
	case "slabs":
		stats.Slabs(e, emit)
	case "sizes":
		emit("sizes_status", "disabled")
	case "conns":
		out = s.connections()
	case "reset":
		stats.Reset(e)
	case "detail on":
		e.Prefixes.Enable(true)
	case "detail off":
		e.Prefixes.Enable(false)
	case "detail dump":
		emit("detailed", string(e.Prefixes.AppendDump(nil)))
	default:
		return nil, false
	}
	return out, true
}

func seconds(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// counted are the sums over all carriers.
type counted struct {
	read, written, flush, auths, authErrors, yields, kicks, slow, errors uint64
	bugs, buffersFull                                                    uint64
}

// counts sums what the carriers count.
func (s *Service) counts() (sum counted) {
	for _, n := range s.loopCounts() {
		sum.read += n.BytesRead.Load()
		sum.written += n.BytesWritten.Load()
		sum.flush += n.CmdFlush.Load()
		sum.auths += n.AuthCmds.Load()
		sum.authErrors += n.AuthErrors.Load()
		sum.yields += n.Yields.Load()
		sum.kicks += n.IdleKicks.Load()
		sum.slow += n.SlowReaders.Load()
		sum.errors += n.ProtocolErrors.Load()
	}
	loops := s.loops.Stats()
	sum.bugs, sum.buffersFull = loops.Bugs, loops.BuffersFull
	if s.tls != nil {
		streams := s.tls.Stats()
		sum.bugs += streams.Bugs
		sum.buffersFull += streams.BuffersFull
	}
	return sum
}

func (s *Service) loopCounts() []*session.LoopCount {
	all := s.loops.Counts()
	if s.tls != nil {
		all = append(all, s.tls.Counts()...)
	}
	for _, d := range s.beside {
		all = append(all, d.note)
	}
	return all
}

// meters are those of all carriers.
func (s *Service) meters() []*session.Meter {
	all := s.loops.Meters()
	if s.tls != nil {
		all = append(all, s.tls.Meters()...)
	}
	for _, d := range s.beside {
		all = append(all, d.meter)
	}
	return all
}

// resetCounts sets the process's own counts to zero, for `stats reset`: those of the connections' loops, as memcached does.
func (s *Service) resetCounts() {
	for _, n := range s.loopCounts() {
		n.Reset()
	}
}

// connections are the lines of `stats conns`.
func (s *Service) connections() []session.Pair {
	all := s.loops.Conns(maxListed)
	if s.tls != nil {
		all = append(all, s.tls.Conns(maxListed-len(all))...)
	}
	return conns.Pairs(all)
}
