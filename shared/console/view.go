package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// View is the page in words: all texts are cut to a length and hold no control characters.
type View struct {
	Fleet    string
	Asked    string // who gathered it
	Level    string // of the worst finding
	Findings []Finding
	Rows     []Row
	Pools    []Pool
	Alive    int      // members
	Left     int      // members that said good-bye
	Omitted  []string // what the bounds kept away, a sentence each
}

// Stamp is a time for people and for machines.
type Stamp struct {
	Age  string // "5 min"; empty when the time is not known
	Full string // "2026-11-22 10:05:00 UTC"
	ISO  string
}

// Finding is one thing that is wrong now.
type Finding struct {
	Anchor  string
	Level   string // "warn" or "fail"
	Where   string // member id; empty: the fleet
	ID      string // "lbd.pool.no-backends"
	Title   string
	Detail  string
	Hint    string
	Since   Stamp
	Command string // that tells the same
	JSON    string // path of the raw data

	since time.Time
	level health.Level
}

// Row is one daemon on one node.
type Row struct {
	Anchor    string
	Service   string
	Node      string
	Zone      string
	State     string // "ready", "not ready", "draining", "silent", "dead", "left"
	Tone      string // "ok", "warn", "fail" or "idle"
	Reasons   string // why not ready
	Since     Stamp  // of the state in the fleet
	Started   Stamp
	Version   string
	Health    string // "ok", "warn", "fail"; empty: not known
	Loads     []Load // empty: not known
	Weight    string // empty: the normal one
	Endpoints []string
	Facts     []Fact // what the service tells of itself
	Bus       string
	Command   string
	JSON      string
}

// Fact is a line that a service tells of itself; a Name that is empty continues the line before.
type Fact struct{ Name, Value string }

// Load is one figure of a node's load, 0 to 100.
type Load struct {
	Name string
	Per  int // cent
}

// Pool is a pool of a load balancer.
type Pool struct {
	Anchor  string
	Name    string
	Where   string // member id
	Balance string
	Up      int
	Members []Backend
	Command string
	JSON    string
}

// Backend is a member of a pool.
type Backend struct {
	Anchor string
	Addr   string
	State  string
	Tone   string
	Weight string
	Active string
	Detail string
}

const maxText = 400 // characters of one text on the page

// clean makes a text from elsewhere fit to show: no control characters, a bounded length.
func clean(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	r := []rune(cli.Clean(strings.ToValidUTF8(s, "·")))
	if len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return string(r)
}

// anchor names an object in the page by what it is; it stays the same as long as the object does.
func anchor(parts ...string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-._/:[]", r):
			return r
		}
		return '-'
	}, strings.Join(parts, "/"))
	return s[:min(len(s), maxText)]
}

// stamp tells t as seen at now.
func stamp(now, t time.Time) Stamp {
	if t.IsZero() || t.Unix() <= 0 {
		return Stamp{}
	}
	u := t.UTC()
	return Stamp{Age: age(now.Sub(t)), Full: u.Format("2006-01-02 15:04:05 UTC"), ISO: u.Format(time.RFC3339)}
}

// age tells a duration in steps that do not change every second.
func age(d time.Duration) string {
	minutes := int(d / time.Minute)
	switch {
	case minutes < 1:
		return "now"
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%d d %d h", minutes/(24*60), minutes/60%24)
}

// fleetJSON is the path of one member's raw data.
func fleetJSON(id string) string { return "/api/fleet?member=" + url.QueryEscape(id) }

// statusCommand asks a daemon on its own node.
func statusCommand(service string) string { return service + " status" }

// Build makes the view of what was gathered. err tells why nothing was; the view then says so.
func Build(now time.Time, f Fleet, err error) View {
	v := View{Fleet: clean(f.Fleet), Asked: clean(f.Asked)}
	if err != nil {
		v.Findings = append(v.Findings, Finding{
			Anchor: "wrong/fleet", level: health.Fail, ID: "console.fleet", Title: "the fleet cannot be shown",
			Detail: clean(err.Error()), Hint: "ask the daemon itself on its host", since: now, JSON: "/api/fleet",
		})
		return v.finish(now)
	}
	answers, unread := readAnswers(f.Daemons)
	silent := map[member.ID]bool{}
	for _, id := range f.Silent {
		silent[id] = true
	}
	for _, m := range f.Members {
		s, answered := answers[m.ID]
		delete(answers, m.ID)
		v.addMember(now, m, s, answered, silent[m.ID])
	}
	for _, id := range sortedKeys(answers) { // they answered, but gossip does not know them
		s := answers[id]
		m := member.Member{ID: id, Node: s.Node, Service: s.Service, State: member.Alive, Since: s.Since}
		m.Weight = normalWeight
		v.addMember(now, m, s, true, false)
	}
	if unread > 0 {
		v.Findings = append(v.Findings, Finding{
			Anchor: "wrong/answers", level: health.Warn, ID: "console.answers", Title: "some daemons' answers cannot be read",
			Detail: fmt.Sprintf("%d of %d", unread, len(f.Daemons)), Hint: "look at the raw data; the versions may be too far apart",
			JSON: "/api/fleet",
		})
	}
	return v.finish(now)
}

// readAnswers returns the statuses by member id, and how many could not be read.
func readAnswers(raw []json.RawMessage) (map[member.ID]status, int) {
	out := make(map[member.ID]status, len(raw))
	unread := 0
	for _, r := range raw {
		if s, ok := readStatus(r); ok {
			out[member.ID(s.Node+"/"+s.Service)] = s
		} else {
			unread++
		}
	}
	return out, unread
}

func sortedKeys(m map[member.ID]status) []member.ID {
	out := make([]member.ID, 0, len(m))
	for id := range m {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// addMember adds all that is known of one member.
func (v *View) addMember(now time.Time, m member.Member, s status, answered, silent bool) {
	switch m.State {
	case member.Alive:
		v.Alive++
	case member.Left:
		v.Left++
	}
	v.Rows = append(v.Rows, newRow(now, m, s, answered, silent))
	v.Findings = append(v.Findings, memberFindings(m, s, answered, silent)...)
	if answered {
		v.Pools = append(v.Pools, newPools(s)...)
	}
}

// finish orders and cuts.
func (v View) finish(now time.Time) View {
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.level, a.level), b.since.Compare(a.since), strings.Compare(a.Anchor, b.Anchor))
	})
	worst := health.OK
	for i := range v.Findings {
		f := &v.Findings[i]
		f.Since, f.Level = stamp(now, f.since), f.level.String()
		worst = max(worst, f.level)
	}
	v.Level = worst.String()
	v.Findings = cut(&v, v.Findings, maxFindings, "findings")
	v.Rows = cut(&v, v.Rows, maxMembers, "members")
	v.Pools = cut(&v, v.Pools, maxPools, "pools")
	v.cutBackends()
	return v
}

// cut keeps the first n of a list and tells of the rest.
func cut[T any](v *View, list []T, n int, what string) []T {
	if len(list) <= n {
		return list
	}
	v.Omitted = append(v.Omitted, fmt.Sprintf("%d more %s are not shown", len(list)-n, what))
	return list[:n]
}

func (v *View) cutBackends() {
	room, omitted := maxBackends, 0
	for i := range v.Pools {
		p := &v.Pools[i]
		keep := min(len(p.Members), room)
		room, omitted = room-keep, omitted+len(p.Members)-keep
		p.Members = p.Members[:keep]
	}
	if omitted > 0 {
		v.Omitted = append(v.Omitted, fmt.Sprintf("%d more members of pools are not shown", omitted))
	}
}
