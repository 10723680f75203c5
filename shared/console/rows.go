package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// normalWeight is not worth a word.
const normalWeight = 100

// newRow makes the row of a member.
func newRow(now time.Time, m member.Member, s status, answered, silent bool) Row {
	r := Row{
		Anchor: anchor("member", string(m.ID)), Service: clean(m.Service), Node: clean(m.Node), Zone: clean(m.Zone),
		Since: stamp(now, m.Since), Version: clean(m.Version), Health: m.Health.String(), Loads: loads(m.Load),
		Command: statusCommand(clean(m.Service)), JSON: fleetJSON(string(m.ID)),
	}
	if m.State != member.Alive {
		r.Health, r.Loads = "", nil // what it was is of no use
	}
	if m.Generation > 0 {
		r.Started = stamp(now, time.Unix(0, int64(m.Generation)))
	}
	for _, e := range m.Endpoints {
		r.Endpoints = append(r.Endpoints, clean(e.Name+" "+e.Proto+" "+e.Addr.String()))
	}
	if m.Weight != normalWeight {
		r.Weight = strconv.Itoa(int(m.Weight))
	}
	if !answered && m.State == member.Alive {
		for _, f := range m.Figures {
			r.Facts = append(r.Facts, Fact{clean(f.Name), fmt.Sprintf("%d.%d %%", f.PerMille/10, f.PerMille%10)})
		}
	}
	if answered {
		r.Version, r.Health, r.Bus = clean(s.Version.Version), level(s.Worst).String(), clean(s.Bus)
		r.Started = stamp(now, s.Since)
		for _, f := range readFacts(s.Detail) {
			r.Facts = append(r.Facts, Fact{clean(f.Name), clean(f.Value)})
		}
	}
	r.State, r.Tone = rowState(m, s, answered, silent)
	if r.State == "not ready" {
		r.Reasons = clean(strings.Join(s.Reasons, "; "))
	}
	return r
}

// rowState tells a member's state in a word, and how bad that is.
func rowState(m member.Member, s status, answered, silent bool) (state, tone string) {
	switch {
	case m.State == member.Dead:
		return "dead", "fail"
	case m.State == member.Left:
		return "left", "idle"
	case m.Draining:
		return "draining", "idle"
	case silent:
		return "silent", "warn"
	case !answered:
		return "alive", "idle"
	case !s.Ready:
		return "not ready", "fail"
	}
	return "ready", "ok"
}

// loads lists the figures of a load; none at all means that it is not known.
func loads(l member.Load) []Load {
	if l == (member.Load{}) {
		return nil
	}
	return []Load{{"CPU", int(l.CPU)}, {"I/O wait", int(l.IOWait)}, {"memory", int(l.Mem)}, {"disk", int(l.Disk)}}
}

// memberFindings tells what is wrong with a member.
func memberFindings(m member.Member, s status, answered, silent bool) []Finding {
	id := string(m.ID)
	at := Finding{Where: clean(id), Command: statusCommand(clean(m.Service)), JSON: fleetJSON(id), since: m.Since}
	switch {
	case m.State == member.Dead:
		at.Anchor, at.level, at.ID = anchor("wrong", id, "dead"), health.Fail, "member.dead"
		at.Title = "the daemon is dead"
		at.Detail = "it stopped answering without a good-bye"
		at.Hint = "see on its host whether the machine, its network or the process failed; it is forgotten after a day"
		at.Command = "systemctl status " + clean(m.Service)
		return []Finding{at}
	case silent:
		at.Anchor, at.level, at.ID = anchor("wrong", id, "silent"), health.Warn, "member.silent"
		at.Title = "the daemon does not answer on the bus"
		at.Detail = "gossip says it is alive, but it told no status"
		at.Hint = "see its health on its own host: the bus may not be connected there"
		at.since = time.Time{} // nobody noted it
		return []Finding{at}
	case !answered:
		return nil
	}
	return healthFindings(at, id, s)
}

// healthFindings lists a daemon's health items that are not well.
func healthFindings(at Finding, id string, s status) []Finding {
	var out []Finding
	for _, h := range s.Health {
		l := level(h.Level)
		if l == health.OK {
			continue
		}
		f := at
		f.Anchor, f.level, f.since = anchor("wrong", id, h.ID), l, h.Since
		f.ID, f.Title, f.Detail, f.Hint = clean(h.ID), clean(h.Title), clean(h.Detail), clean(h.Hint)
		out = append(out, f)
	}
	if !s.Ready && !slices.ContainsFunc(out, func(f Finding) bool { return f.level == health.Fail }) {
		f := at
		f.Anchor, f.level, f.since = anchor("wrong", id, "not-ready"), health.Fail, s.Since
		f.ID, f.Title, f.Detail = "daemon.not-ready", "the daemon is not ready", clean(strings.Join(s.Reasons, "; "))
		out = append(out, f)
	}
	return out
}

// newPools lists a balancer's pools.
func newPools(s status) []Pool {
	id := s.Node + "/" + s.Service
	var out []Pool
	for _, in := range readPools(s.Detail) {
		name := in.Name + in.Pool
		p := Pool{
			Anchor: anchor("pool", id, name), Name: clean(name), Where: clean(id), Balance: clean(in.Balance),
			Command: clean(s.Service) + " pool list", JSON: fleetJSON(id),
		}
		for _, b := range in.Members {
			out := newBackend(p.Anchor, b)
			if out.Tone == "ok" {
				p.Up++
			}
			p.Members = append(p.Members, out)
		}
		out = append(out, p)
	}
	return out
}

func newBackend(pool string, in backend) Backend {
	addr := in.Addr + in.Member
	b := Backend{Anchor: anchor(pool, addr), Addr: clean(addr), State: clean(in.State), Detail: clean(in.Detail)}
	switch {
	case in.Drained:
		b.State, b.Tone = "drained", "idle"
	case in.Suspect:
		b.State, b.Tone = "suspect", "warn"
	case in.State == "up":
		b.Tone = "ok"
	case in.State == "down":
		b.Tone = "fail"
	default:
		b.Tone = "idle"
	}
	b.Weight, b.Active = figure(in.Weight), figure(in.Active)
	return b
}

// figure prints a number that may be missing.
func figure(n *int) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}
