// Package track finds what a group of virtual addresses depends on, beside what the VRRP process sees itself: routes, files,
// checks and the daemon's own values, whether the daemon serves, and whether its node is in a minority of the fleet. It makes
// a verdict of them: how much is added to the priority, and what is missing altogether.
//
// Judge is the pure core: readings in, verdict out. Tracker is the shell: Run is one goroutine that looks at files, routes and the
// fleet each second, is woken by checks (a probe.Runner's, which Run owns) and values, and hands on the verdicts that are
// now others, at most every 10 ms, so that a value that changes all the time costs little. What is not known yet counts as
// bad: an address is to come up where it is served.
package track

import (
	"fmt"
	"net/netip"

	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// Kind is what an Item looks at.
type Kind uint8

// The kinds.
const (
	Route Kind = iota // 1 while the main table has exactly this route, else 0
	File              // the number in the file
	Probe             // 1 while the check passes, else 0
	Value             // a value of the daemon's own
)

// Item is one thing that a group depends on.
type Item struct {
	Kind   Kind
	Key    string // unique among the things looked at; two items with the same Key share what is found
	Name   string // for people: the route, the path, the target, the value's name
	Route  netip.Prefix
	Target probe.Target
	Check  probe.Config
	Min    int // Value without Each: what is enough
	Each   bool
	// Weight 0: bad is a fault. Below 0: added while bad. Above 0: added while good. File and Each: it is multiplied with the
	// number; a File with weight 0 is a fault while the number is not 0.
	Weight int
}

// Group is a group and what it depends on.
type Group struct {
	Name  string
	Items []Item
}

// Reading is what was found.
type Reading struct {
	Known bool
	N     int
	Why   string // not Known: why, if there is more to say than that it is not known yet
}

// State is what all groups have in common.
type State struct {
	Ready    bool // the service serves
	Isolated bool // this node is in a minority of the fleet
}

// IsolatedDelta is added to the priority in a minority of the fleet: more than hosts of a pair usually differ by, and the same for all who
// are in one, so that their order stays.
const IsolatedDelta = -100

// maxDelta bounds a verdict: more than any priority.
const maxDelta = 254

// Starting is the fault of a group whose service does not serve yet.
const Starting = "starting"

// Judge makes the verdict of a group from what was found.
func Judge(g *Group, s State, found func(key string) Reading) wire.Verdict {
	v := wire.Verdict{Group: g.Name}
	if !s.Ready {
		v.Faults = append(v.Faults, Starting)
	}
	if s.Isolated {
		v.Delta += IsolatedDelta
	}
	for i := range g.Items {
		it := &g.Items[i]
		delta, missing := it.judge(found(it.Key))
		v.Delta += delta
		if missing != "" {
			v.Faults = append(v.Faults, missing)
		}
	}
	v.Delta = bound(v.Delta, maxDelta)
	return v
}

// judge returns what an item adds to the priority, and what is missing if it is a fault.
func (it *Item) judge(r Reading) (delta int, missing string) {
	if it.Kind == File || it.Each {
		return it.judgeNumber(r)
	}
	good := r.Known && r.N >= it.least()
	switch {
	case it.Weight == 0 && !good:
		return 0, it.missing(r)
	case it.Weight < 0 && !good, it.Weight > 0 && good:
		return it.Weight, ""
	}
	return 0, ""
}

func (it *Item) judgeNumber(r Reading) (delta int, missing string) {
	switch {
	case it.Weight != 0 && r.Known:
		return it.Weight * bound(r.N, maxDelta), ""
	case it.Weight == 0 && (!r.Known || r.N != 0):
		return 0, it.missing(r)
	}
	return 0, ""
}

// least is the reading that is enough.
func (it *Item) least() int {
	if it.Kind == Value {
		return it.Min
	}
	return 1
}

// missing says in a few words what is wrong with a bad item. It says the same as long as the same is wrong.
func (it *Item) missing(r Reading) string {
	switch {
	case !r.Known && r.Why != "":
		return fmt.Sprintf("%s %s: %s", it.noun(), it.Name, r.Why)
	case !r.Known:
		return fmt.Sprintf("%s %s is not known yet", it.noun(), it.Name)
	case it.Kind == Route:
		return "no route to " + it.Name
	case it.Kind == File:
		return fmt.Sprintf("file %s says %d", it.Name, r.N)
	case it.Kind == Probe:
		return fmt.Sprintf("check of %s fails", it.Name)
	}
	return fmt.Sprintf("%s is %d, less than %d", it.Name, r.N, it.Min)
}

func (it *Item) noun() string {
	switch it.Kind {
	case Route:
		return "route"
	case File:
		return "file"
	case Probe:
		return "check of"
	}
	return "value"
}

func bound(n, most int) int { return min(max(n, -most), most) }
