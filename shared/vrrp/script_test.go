package vrrp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// The files in testdata/machine and testdata/group are scripts for machines. The commands:
//
//	new key=value…           makes a machine (another member of the group); keys are fields of Config
//	at TIME EVENT [args…]    steps it; in a group "at TIME EVENT on=1", without on= it goes to all
//	run TIME                 gives EvTimer, and EvDrained when asked, at each deadline up to the time
//	reconfigure TIME key=…   changes some of the configuration
//	conflicts                lists what is known
//	status
//
// Each answer is what was to be done and, after "=", where the machine is then.

func TestMachineScripts(t *testing.T) {
	labtest.Script(t, "testdata/machine", func(t *testing.T) labtest.Runner { return (&scripted{t: t}).run })
}

func TestGroupScripts(t *testing.T) {
	labtest.Script(t, "testdata/group", func(t *testing.T) labtest.Runner { return (&scripted{t: t, grouped: true}).run })
}

// scripted is what a script runs on.
type scripted struct {
	t        *testing.T
	grouped  bool
	machines []*Machine
	cfgs     []Config
	group    *Group
	out      strings.Builder
}

func (s *scripted) run(cmd string, args []string, _ string) string {
	s.out.Reset()
	switch cmd {
	case "new":
		s.create(args)
	case "at":
		s.at(s.duration(args[0]), args[1], args[2:])
	case "run":
		s.until(s.duration(args[0]))
	case "reconfigure":
		s.reconfigure(s.duration(args[0]), args[1:])
	case "conflicts":
		for _, c := range s.machines[0].Conflicts(nil) {
			fmt.Fprintln(&s.out, conflictText(c))
		}
	case "status":
		for _, m := range s.machines {
			fmt.Fprintf(&s.out, "%+v\n", m.Status())
		}
	default:
		s.t.Fatalf("no command %q", cmd)
	}
	return s.out.String()
}

func (s *scripted) create(args []string) {
	cfg := DefaultConfig()
	cfg.VRID, cfg.Primary = 51, netip.MustParseAddr("10.77.0.2")
	cfg.Addrs = []netip.Addr{netip.MustParseAddr("10.77.0.100")}
	s.configure(&cfg, args)
	m, err := New(cfg)
	if err != nil {
		fmt.Fprintln(&s.out, "error:", err)
		return
	}
	s.machines, s.cfgs = append(s.machines, m), append(s.cfgs, cfg)
	if s.grouped {
		s.group = NewGroup(s.machines...)
	}
	s.state()
}

func (s *scripted) configure(cfg *Config, args []string) {
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "version":
			cfg.Version = Version(s.number(value))
		case "vrid":
			cfg.VRID = VRID(s.number(value))
		case "priority":
			cfg.Priority = Priority(s.number(value))
		case "interval":
			cfg.Interval = s.duration(value)
		case "primary":
			cfg.Primary = netip.MustParseAddr(value)
		case "addrs":
			cfg.Addrs = addrs(value)
		case "nopreempt":
			cfg.Preempt = false
		case "preempt-delay":
			cfg.PreemptDelay = s.duration(value)
		case "start-delay":
			cfg.StartDelay = s.duration(value)
		case "no-accept":
			cfg.Accept = false
		case "password":
			cfg.AuthType = AuthText
			copy(cfg.Auth[:], value)
		case "quiet": // one round, nothing later
			cfg.Announce = Announce{Rounds: 1, Gap: time.Millisecond}
		default:
			s.t.Fatalf("no key %q", key)
		}
	}
}

func addrs(list string) (out []netip.Addr) {
	for a := range strings.SplitSeq(list, ",") {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func (s *scripted) number(text string) uint8 {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		s.t.Fatal(err)
	}
	return uint8(n)
}

func (s *scripted) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

var eventNames = map[string]EventKind{
	"timer": EvTimer, "drained": EvDrained, "advert": EvAdvert, "startup": EvStartup, "adopt": EvAdopt, "shutdown": EvShutdown,
	"release": EvRelease, "switch-over": EvSwitchOver, "take-over": EvTakeOver, "priority": EvPriority, "fault": EvFault,
	"fault-cleared": EvFaultCleared, "address-lost": EvAddressLost,
}

func (s *scripted) at(now time.Duration, name string, args []string) {
	kind, ok := eventNames[name]
	if !ok {
		s.t.Fatalf("no event %q", name)
	}
	ev := Event{Kind: kind}
	member := -1
	if len(args) > 0 && strings.HasPrefix(args[0], "on=") {
		member = int(s.number(args[0][3:]))
		args = args[1:]
	}
	switch {
	case kind == EvAdvert:
		ev.Advert = s.advert(args, max(member, 0))
	case kind == EvPriority:
		ev.Priority = Priority(s.number(args[0]))
	}
	s.step(now, member, ev)
	s.state()
}

func (s *scripted) advert(args []string, member int) *Advert {
	cfg := s.cfgs[member]
	ad := &Advert{Packet: Packet{
		Version: cfg.Version, VRID: cfg.VRID, Priority: 100, Interval: cfg.Interval, Addrs: cfg.Addrs, AuthType: cfg.AuthType, Auth: cfg.Auth,
	}, Src: netip.MustParseAddr("10.77.0.1")}
	other := cfg
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "prio":
			ad.Priority = Priority(s.number(value))
		case "from":
			ad.Src = netip.MustParseAddr(value)
		case "received":
			ad.At = s.duration(value)
		case "tenure":
			ad.NoPreempt = true
			ad.Tenure = map[string]Tenure{"fresh": Fresh, "incumbent": Incumbent, "appointed": Appointed}[value]
		default:
			s.configure(&other, []string{arg})
			ad.Version, ad.VRID, ad.Interval, ad.Addrs, ad.AuthType, ad.Auth = other.Version, other.VRID, other.Interval, other.Addrs, other.AuthType, other.Auth
		}
	}
	return ad
}

// step gives an event to a member, or to all of a group, and writes what is to be done.
func (s *scripted) step(now time.Duration, member int, ev Event) (drain bool) {
	var fx []GroupEffect
	switch {
	case s.group == nil:
		for _, e := range s.machines[0].Step(now, ev, nil) {
			fx = append(fx, GroupEffect{0, e})
		}
	case member < 0:
		fx = s.group.StepAll(now, ev, nil)
	default:
		fx = s.group.Step(now, member, ev, nil)
	}
	for _, e := range fx {
		prefix := "  "
		if s.group != nil {
			prefix = fmt.Sprintf("  %d ", e.Member)
		}
		fmt.Fprintln(&s.out, prefix+effectText(e.Effect))
		drain = drain || e.Kind == DoDrain
	}
	return drain
}

func (s *scripted) until(end time.Duration) {
	for range 1000 {
		at, member := s.machines[0].Deadline(), 0
		if s.group != nil {
			at, member = s.group.Deadline()
		}
		if at > end {
			s.state()
			return
		}
		fmt.Fprintf(&s.out, "%v\n", at)
		if s.step(at, member, Event{Kind: EvTimer}) {
			s.step(at, member, Event{Kind: EvDrained})
		}
	}
	s.t.Fatal("the timers do not end")
}

func (s *scripted) reconfigure(now time.Duration, args []string) {
	cfg := s.cfgs[0]
	s.configure(&cfg, args)
	fx, err := s.machines[0].Reconfigure(now, cfg, nil)
	if err != nil {
		fmt.Fprintln(&s.out, "error:", err)
		return
	}
	s.cfgs[0] = cfg
	for _, e := range fx {
		fmt.Fprintln(&s.out, "  "+effectText(e))
	}
	s.state()
}

// state writes where the machines are.
func (s *scripted) state() {
	for i, m := range s.machines {
		text := "= "
		if s.group != nil {
			text += strconv.Itoa(i) + " "
		}
		text += m.State().String()
		add := func(name string, at time.Duration) {
			if at != Never {
				text += fmt.Sprintf(", %s %v", name, at)
			}
		}
		add("down", m.backup.downAt)
		add("adver", m.active.adverAt)
		add("leave", m.active.leaveAt)
		add("readd", m.active.readdAt)
		add("announce", m.notice.at)
		if m.backup.wants {
			text += ", wants"
		}
		fmt.Fprintln(&s.out, text)
	}
}

func effectText(e Effect) string {
	switch e.Kind {
	case DoSend:
		text := fmt.Sprintf("send %d", e.Priority)
		if e.Tenure != Fresh {
			text += [...]string{"", " incumbent", " appointed"}[e.Tenure]
		}
		return text
	case DoAdd:
		if !e.Accept {
			return "add, not accepting"
		}
		return "add"
	case TellState:
		text := fmt.Sprintf("-> %v by %v", e.State, e.Cause)
		if e.Peer.IsValid() {
			text += fmt.Sprintf(" of %v", e.Peer)
		}
		return text
	case TellReasserted, TellRefused:
		return fmt.Sprintf("%s against %v with %d", effectNames[e.Kind], e.Peer, e.Priority)
	case TellConflict:
		if e.Gone {
			return "conflict gone: " + conflictText(e.Conflict)
		}
		return "conflict: " + conflictText(e.Conflict)
	case TellDropped:
		return fmt.Sprintf("dropped for %v of %v", e.Reason, e.Peer)
	case TellLate:
		return fmt.Sprintf("late by %v", e.Late)
	}
	return effectNames[e.Kind]
}

var effectNames = [effectKinds]string{
	"send", "add", "remove", "announce", "drain", "state", "reasserted", "conflict", "dropped", "late", "kept", "refused",
}

func conflictText(c Conflict) string {
	if c.Kind == ConflictInterval {
		return fmt.Sprintf("%v with %v: %v there, %v here", c.Kind, c.Peer, time.Duration(c.Theirs), time.Duration(c.Ours))
	}
	return fmt.Sprintf("%v with %v: %d there, %d here", c.Kind, c.Peer, c.Theirs, c.Ours)
}
