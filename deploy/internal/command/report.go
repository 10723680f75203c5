package command

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// report is what `everup status` prints.
type report struct {
	Fleet    string          `json:"fleet"`
	Asked    string          `json:"asked"`
	Findings []problem       `json:"findings"`
	Daemons  []daemonStatus  `json:"daemons"`
	Members  []member.Member `json:"members"`
}

// problem is one thing that is wrong now.
type problem struct {
	Level  health.Level `json:"level"`
	Node   string       `json:"node"`
	Daemon string       `json:"daemon"`
	ID     string       `json:"id"`
	Detail string       `json:"detail"`
	Hint   string       `json:"hint,omitempty"`
	Since  time.Time    `json:"since,omitzero"`
}

// daemonStatus is a daemon's status; of its own part only lbd's pools are shown to people.
type daemonStatus struct {
	daemon.Status
	Detail json.RawMessage `json:"detail,omitempty"`
}

// poolStatus is a pool of lbd.
type poolStatus struct {
	Pool    string `json:"pool"`
	Balance string `json:"balance"`
	Members []struct {
		Member  string `json:"member"`
		State   string `json:"state"`
		Drained bool   `json:"drained"`
		Weight  int    `json:"weight"`
		Active  int    `json:"active"`
		Detail  string `json:"detail"`
	} `json:"members"`
}

// pools returns lbd's pools, none for other daemons.
func (d daemonStatus) pools() []poolStatus {
	var detail struct{ Pools []poolStatus }
	if d.Service != "lbd" || json.Unmarshal(d.Detail, &detail) != nil {
		return nil
	}
	return detail.Pools
}

// newReport makes the report of what one daemon told of the fleet. A status that cannot be read is left out and becomes a finding.
func newReport(f daemon.FleetStatus) report {
	r := report{Fleet: f.Fleet, Asked: f.Asked, Members: f.Members, Findings: []problem{}, Daemons: []daemonStatus{}}
	for _, raw := range f.Daemons {
		var d daemonStatus
		if err := json.Unmarshal(raw, &d); err != nil {
			r.Findings = append(r.Findings, problem{Level: health.Warn, Node: "?", Daemon: "?", ID: "status.unreadable",
				Detail: fault.Wrap(fault.Corrupt, err, "a daemon's status").Error(), Hint: "are all daemons of about the same version?"})
			continue
		}
		r.Daemons = append(r.Daemons, d)
		r.Findings = append(r.Findings, problemsOf(d)...)
	}
	for _, m := range f.Members {
		if m.State == member.Dead {
			r.Findings = append(r.Findings, problem{Level: health.Fail, Node: m.Node, Daemon: m.Service, ID: "member.dead",
				Detail: "died; gossip does not reach it", Hint: "start it, or look at its host", Since: m.Since})
		}
	}
	for _, id := range f.Silent {
		node, service, _ := strings.Cut(string(id), "/")
		r.Findings = append(r.Findings, problem{Level: health.Warn, Node: node, Daemon: service, ID: "bus.silent",
			Detail: "lives by gossip, but does not answer on the bus", Hint: "see bus.* in its own `status`"})
	}
	slices.SortFunc(r.Daemons, func(a, b daemonStatus) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Service, b.Service))
	})
	slices.SortStableFunc(r.Findings, func(a, b problem) int { return cmp.Compare(b.Level, a.Level) })
	return r
}

// problemsOf returns what a daemon says is wrong with itself.
func problemsOf(d daemonStatus) []problem {
	var out []problem
	gated := false
	for _, h := range d.Health {
		if h.Level == health.OK {
			continue
		}
		gated = gated || h.Gates && h.Level == health.Fail
		out = append(out, problem{h.Level, d.Node, d.Service, h.ID, cmp.Or(h.Detail, h.Title), h.Hint, h.Since})
	}
	if !d.Ready && !gated {
		out = append(out, problem{Level: health.Warn, Node: d.Node, Daemon: d.Service, ID: "not-ready",
			Detail: strings.Join(d.Reasons, "; "), Since: d.Since})
	}
	if d.Config.Error != "" {
		out = append(out, problem{Level: health.Warn, Node: d.Node, Daemon: d.Service, ID: "config.refused",
			Detail: d.Config.Error, Hint: "mend the file and `everup reload " + d.Service + "`"})
	}
	return out
}

// write prints the report for people: what is wrong first.
func (r report) write(w io.Writer, now time.Time, header bool) error {
	nodes := map[string]bool{}
	for _, d := range r.Daemons {
		nodes[d.Node] = true
	}
	if _, err := fmt.Fprintf(w, "fleet %s: %s on %s, %s (asked %s)\n", cli.Clean(r.Fleet), count(len(r.Daemons), "daemon"),
		count(len(nodes), "node"), count(len(r.Findings), "finding"), cli.Clean(r.Asked)); err != nil {
		return err
	}
	for _, part := range []struct {
		rows  int
		table *cli.Table
	}{{len(r.Findings), r.problemTable(now)}, {len(r.Daemons), r.daemonTable(now)}, {r.poolRows(), r.poolTable()}} {
		if part.rows == 0 {
			continue
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		if err := part.table.Write(w, header); err != nil {
			return err
		}
	}
	return nil
}

func (r report) problemTable(now time.Time) *cli.Table {
	t := cli.NewTable("LEVEL", "DAEMON", "SINCE", "WHAT")
	for _, f := range r.Findings {
		t.Row(f.Level, f.Node+"/"+f.Daemon, ago(now, f.Since), f.ID+": "+f.Detail)
		if f.Hint != "" {
			t.Row("", "", "", "→ "+f.Hint)
		}
	}
	return t
}

func (r report) daemonTable(now time.Time) *cli.Table {
	t := cli.NewTable("NODE", "DAEMON", "HEALTH", "UP", "VERSION", "BUS", "CPU", "MEM", "ENDPOINTS")
	for _, d := range r.Daemons {
		m := r.member(d.Node, d.Service)
		t.Row(d.Node, d.Service, verdict(d, m), ago(now, d.Since), d.Version.Version, d.Bus,
			percent(m.Load.CPU), percent(m.Load.Mem), endpoints(m))
	}
	return t
}

func verdict(d daemonStatus, m member.Member) string {
	switch {
	case m.Draining:
		return "draining"
	case !d.Ready:
		return "not ready"
	}
	return d.Worst.String()
}

func (r report) member(node, service string) member.Member {
	for _, m := range r.Members {
		if m.Node == node && m.Service == service {
			return m
		}
	}
	return member.Member{}
}

func (r report) poolRows() (n int) {
	for _, d := range r.Daemons {
		for _, p := range d.pools() {
			n += len(p.Members)
		}
	}
	return n
}

func (r report) poolTable() *cli.Table {
	t := cli.NewTable("POOL", "MEMBER", "STATE", "WEIGHT", "ACTIVE", "CHECK")
	for _, d := range r.Daemons {
		for _, p := range d.pools() {
			for _, m := range p.Members {
				state := m.State
				if m.Drained {
					state += ", drained"
				}
				t.Row(d.Node+"/"+p.Pool, m.Member, state, m.Weight, m.Active, m.Detail)
			}
		}
	}
	return t
}

func endpoints(m member.Member) string {
	var out []string
	for _, e := range m.Endpoints {
		out = append(out, e.Name+"/"+e.Proto+" "+e.Addr.String())
	}
	return strings.Join(out, ", ")
}

func percent(n uint8) string { return fmt.Sprintf("%d%%", n) }

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ago returns the time from then to now in one unit, "-" where then is not known.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
