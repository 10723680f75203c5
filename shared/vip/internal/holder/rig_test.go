package holder

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

const ms = time.Millisecond

// lab is a system without a kernel. What is done to it is logged.
type lab struct {
	links   []nl.Link
	addrs   []nl.Addr
	sockets []*labSocket
	log     []string
	refuse  map[string]error // by the log's line
}

func newLab() *lab {
	l := &lab{refuse: map[string]error{}}
	l.links = []nl.Link{{Index: 2, Name: "eth0", MAC: nl.MAC{2, 0, 0, 0, 0, 1}, Up: true, Carrier: true}}
	l.put(2, "10.77.0.1/24")
	l.put(2, "fe80::1/64")
	return l
}

func (l *lab) put(index int, p string) {
	l.addrs = append(l.addrs, nl.Addr{Index: index, Prefix: netip.MustParsePrefix(p)})
}

func (l *lab) take(p string) {
	l.addrs = slices.DeleteFunc(l.addrs, func(a nl.Addr) bool { return a.Prefix.String() == p })
}

func (l *lab) do(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	if err := l.refuse[line]; err != nil {
		return err
	}
	l.log = append(l.log, line)
	return nil
}

func (l *lab) Link(name string) (nl.Link, error) {
	for _, k := range l.links {
		if k.Name == name {
			return k, nil
		}
	}
	return nl.Link{}, fault.New(fault.NotFound, "no link %s", name)
}

func (l *lab) Links() ([]nl.Link, error) { return l.links, nil }

func (l *lab) AppendAddrs(dst []nl.Addr, index int) ([]nl.Addr, error) {
	for _, a := range l.addrs {
		if a.Index == index {
			dst = append(dst, a)
		}
	}
	return dst, nil
}

func (l *lab) AddAddr(index int, p netip.Prefix) error {
	err := l.do("add %d %v", index, p)
	if has, _ := l.AppendAddrs(nil, index); err == nil && !contains(has, p) {
		l.put(index, p.String())
	}
	return err
}

func (l *lab) RemoveAddr(index int, p netip.Prefix) error {
	err := l.do("remove %d %v", index, p)
	if err == nil {
		l.addrs = slices.DeleteFunc(l.addrs, func(a nl.Addr) bool { return a.Index == index && a.Prefix == p })
	}
	return err
}

func (l *lab) AddMacvlan(m nl.Macvlan) (nl.Link, error) {
	k := nl.Link{Index: 100 + len(l.links), Name: m.Name, Kind: "macvlan", Parent: m.Parent, MAC: m.MAC}
	err := l.do("macvlan %s on %d", m.Name, m.Parent)
	if err == nil {
		l.links = append(l.links, k)
	}
	return k, err
}

func (l *lab) SetIPv4Conf(int, map[int]int) error { return nil }
func (l *lab) SetUp(index int, up bool) error     { return l.do("up %d %v", index, up) }

func (l *lab) RemoveLink(index int) error {
	l.links = slices.DeleteFunc(l.links, func(k nl.Link) bool { return k.Index == index })
	return l.do("remove link %d", index)
}

func (l *lab) Listen(o sock.Options) (socket, error) {
	s := &labSocket{lab: l, o: o}
	l.sockets = append(l.sockets, s)
	return s, l.do("listen %v", o.Source)
}

func (l *lab) Transmit(index int) (transmitter, error) { return labWire{l, index}, nil }

// labSocket has an inbox.
type labSocket struct {
	lab    *lab
	o      sock.Options
	inbox  []sock.Datagram
	closed bool
}

func (s *labSocket) Filter([]vrrp.VRID) error { return nil }
func (s *labSocket) Rejoin() error            { return s.lab.do("rejoin %v", s.o.Source) }
func (s *labSocket) Close() error             { s.closed = true; return s.lab.do("close %v", s.o.Source) }

func (s *labSocket) Recv(d *sock.Datagram) (bool, error) {
	if len(s.inbox) == 0 {
		return false, nil
	}
	*d, s.inbox = s.inbox[0], s.inbox[1:]
	return true, nil
}

func (s *labSocket) Send(dst netip.Addr, b []byte) error {
	return s.lab.do("send %d to %v", b[2], dst)
}

type labWire struct {
	lab   *lab
	index int
}

func (w labWire) Send([]byte) error { return w.lab.do("frame %d", w.index) }
func (w labWire) Close() error      { return nil }

// listener is a daemon that hears all, unless it is busy.
type listener struct {
	busy      bool
	told      []string
	done      []string
	snapshots []*wire.Snapshot
	hello     *wire.Hello
}

func (l *listener) Idle() bool   { return !l.busy }
func (l *listener) Lost() uint64 { return 0 }

func (l *listener) Tell(m *wire.Message) {
	t := m.Tell
	words := []string{t.Vip, string(t.Kind), t.State, t.Cause, t.Conflict, t.Detail}
	if t.Gone {
		words = append(words, "(gone)")
	}
	l.told = append(l.told, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
}

func (l *listener) Answer(m *wire.Message) {
	switch {
	case m.Done != nil:
		l.done = append(l.done, fmt.Sprint(m.Done.ID, " ", m.Done.Error))
	case m.Snapshot != nil:
		l.snapshots = append(l.snapshots, m.Snapshot)
	case m.Hello != nil:
		l.hello = m.Hello
	}
}

// rig is a holder with its world.
type rig struct {
	*holder
	t      *testing.T
	lab    *lab
	daemon *listener
	now    time.Duration
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, lab: newLab(), daemon: &listener{}, now: time.Hour}
	r.holder = newHolder(r.lab, r.daemon, wire.Hello{PID: 1}, func() time.Time { return time.Unix(1000, 0).Add(r.now) }, r.now)
	return r
}

// spec returns a router of 100 ms, silent after its first announcement.
func spec(vrid vrrp.VRID, addrs ...string) wire.Router {
	cfg := vrrp.DefaultConfig()
	cfg.VRID, cfg.Interval = vrid, 100*ms
	cfg.Announce = vrrp.Announce{Rounds: 1, Gap: ms}
	s := wire.Router{Vip: fmt.Sprint("v", vrid), Interface: "eth0", Config: cfg}
	for _, a := range addrs {
		s.Addresses = append(s.Addresses, netip.MustParsePrefix(a))
	}
	return s
}

func group1(name string, routers ...wire.Router) wire.Group {
	return wire.Group{Name: name, Routers: routers}
}

// say hands over a message and ends the turn.
func (r *rig) say(m wire.Message) {
	r.t.Helper()
	if err := r.take(r.now, &m); err != nil {
		r.t.Fatal(err)
	}
	r.finish(r.now)
}

func (r *rig) putPlan(groups ...wire.Group) {
	r.t.Helper()
	r.say(wire.Message{Plan: &wire.Plan{ID: r.plan + 1, Groups: groups}})
}

func (r *rig) judge(name string, delta int, faults ...string) {
	r.t.Helper()
	r.say(wire.Message{Verdict: &wire.Verdict{Group: name, Delta: delta, Faults: faults}})
}

func (r *rig) ask(id uint64, verb wire.Verb, name string, limit time.Duration) {
	r.t.Helper()
	r.say(wire.Message{Do: &wire.Do{ID: id, Verb: verb, Group: name, Limit: limit}})
}

// run lets time pass, turn by turn.
func (r *rig) run(d time.Duration) {
	r.t.Helper()
	end := r.now + d
	for turns := 0; r.deadline() <= end; turns++ {
		if turns > 10000 {
			r.t.Fatal("the holder spins")
		}
		r.now = max(r.now, r.deadline())
		r.turn()
	}
	r.now = end
	r.turn()
}

func (r *rig) turn() {
	if err := r.due(r.now, func() error { return nil }); err != nil {
		r.t.Fatal(err)
	}
	r.finish(r.now)
}

// news tells what has changed.
func (r *rig) news(k nl.EventKind) {
	r.event(nl.Event{Kind: k})
	r.finish(r.now)
}

// advert puts a peer's advert into the holder's first socket that is open.
func (r *rig) advert(s wire.Router, p vrrp.Priority, from string, at time.Duration) {
	r.t.Helper()
	src := netip.MustParseAddr(from)
	pk := vrrp.Packet{Version: s.Config.Version, VRID: s.Config.VRID, Priority: p, Interval: s.Config.Interval}
	for _, a := range s.Addresses {
		pk.Addrs = append(pk.Addrs, a.Addr())
	}
	dst := allRouters(src.Is4())
	b, err := pk.Append(nil, src, dst)
	if err != nil {
		r.t.Fatal(err)
	}
	r.inject(sock.Datagram{Src: src, Dst: dst, TTL: 255, Payload: b, At: at})
}

func (r *rig) inject(d sock.Datagram) {
	for _, s := range r.lab.sockets {
		if !s.closed && s.o.Four == d.Src.Is4() {
			s.inbox = append(s.inbox, d)
			return
		}
	}
	r.t.Fatal("no socket is open")
}

// hear has the holder read all its sockets.
func (r *rig) hear() {
	for _, p := range slices.Clone(r.ports) {
		r.receive(r.now, p)
	}
	r.finish(r.now)
}

// did compares what was done since it was last asked.
func (r *rig) did(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(r.lab.log, "\n")); diff != "" {
		r.t.Errorf("done (-want +got):\n%s", diff)
	}
	r.lab.log = nil
}

// told compares what was told since it was last asked.
func (r *rig) told(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(r.daemon.told, "\n")); diff != "" {
		r.t.Errorf("told (-want +got):\n%s", diff)
	}
	r.daemon.told = nil
}

// answered compares the answers since it was last asked.
func (r *rig) answered(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(r.daemon.done, "\n")); diff != "" {
		r.t.Errorf("answered (-want +got):\n%s", diff)
	}
	r.daemon.done = nil
}

// faultsAre compares a group's faults.
func (r *rig) faultsAre(name string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(r.find(name).faults, "\n")); diff != "" {
		r.t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// quiet forgets what was done and told.
func (r *rig) quiet() { r.lab.log, r.daemon.told, r.daemon.done = nil, nil, nil }

// activate brings a plan of one group to Active.
func (r *rig) activate(routers ...wire.Router) {
	r.t.Helper()
	r.putPlan(group1("g", routers...))
	r.judge("g", 0)
	r.run(500 * ms)
	if !r.find("g").active() {
		r.t.Fatal("the group is not Active")
	}
	r.quiet()
}
