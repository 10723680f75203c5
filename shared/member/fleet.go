package member

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/pki"
	"github.com/hashicorp/memberlist"
)

const (
	maxWeight      = 1000
	retransmitMult = 12
	announceGap    = 100 * time.Millisecond // between two announcements: they cost an incarnation each
	streamTime     = 5 * time.Second        // for an exchange of states
	tickTime       = time.Second
	helloPurpose   = "gossip-hello"
	gossipPurpose  = "gossip"
)

// Fleet is this daemon's membership. Safe for concurrent use.
type Fleet struct {
	cfg        Config
	env        Env
	self       ID
	addr       netip.AddrPort // advertised
	profile    profile
	targets    []target
	generation uint64
	started    time.Time

	rep    *report
	kv     *store // the fleet's small state
	leaves *store // leave intents, by member ID
	clock  hlc

	transport Transport // nil: stand-alone
	del       *delegate
	keyring   *memberlist.Keyring // nil: clear text
	guard     *guard              // set by Run, as list is
	list      *memberlist.Memberlist
	up        chan struct{}  // closed once list is set
	goodbye   sync.WaitGroup // list.Leave under way
	reserve   reserve

	changed   chan struct{}       // the announcement is to be sent
	dirty     chan struct{}       // the snapshot is to be written
	bulk      chan struct{}       // big is not empty
	returned  chan netip.AddrPort // members that came back: states are exchanged with them at once
	view      atomic.Pointer[View]
	neighbour atomic.Int64 // members alive besides us

	mu         sync.Mutex
	phase      phase
	proofKeys  [][]byte
	table      *table
	book       book
	mine       meta
	big        map[string]tagged // records too big for a packet, waiting to be sent
	newRecords bool              // the state is to be written
	watchers   map[chan struct{}]struct{}
}

// phase is where a Fleet is in its life.
type phase uint8

const (
	prepared phase = iota
	running
	left
	closed
)

// New prepares membership; a nil cfg means stand-alone: the view holds this daemon alone, nothing is opened.
// It binds the gossip address, so that a port in use is known at once (fault.Conflict). A cluster that listens beyond
// loopback without secrets is fault.Config. A Fleet that is not run must be closed.
func New(cfg *Config, env Env) (*Fleet, error) {
	f := &Fleet{
		env: env, self: ID(env.Node + "/" + env.Service), started: time.Now(),
		kv: newStore(), leaves: newStore(),
		up:      make(chan struct{}),
		changed: make(chan struct{}, 1), dirty: make(chan struct{}, 1), bulk: make(chan struct{}, 1),
		returned: make(chan netip.AddrPort, maxReturned),
		big:      map[string]tagged{}, watchers: map[chan struct{}]struct{}{},
	}
	if cfg != nil {
		f.cfg = *cfg
	}
	if err := checkNames(env); err != nil {
		return nil, err
	}
	f.rep = newReport(env, string(f.cfg.Fleet))
	f.generation = uint64(f.started.UnixNano())
	if cfg != nil {
		if err := f.prepare(); err != nil {
			return nil, err
		}
	}
	f.mine = meta{Generation: f.generation, Zone: f.cfg.Zone, Version: env.Version, Announcement: Announcement{Weight: 100}, Padding: paddingOf(f.self)}
	f.table = newTable(f.selfMember())
	f.publishLocked()
	f.rep.gauges(env.Metrics, f)
	return f, nil
}

// checkNames refuses names that do not make an ID.
func checkNames(env Env) error {
	for what, name := range map[string]string{"node": env.Node, "service": env.Service} {
		if name == "" || len(name) > 63 || strings.ContainsAny(name, "/# \n") {
			return fault.New(fault.Config, "member: %q is not a name of a %s", name, what)
		}
	}
	return nil
}

// prepare does what a cluster needs before Run: keys, snapshot, addresses.
func (f *Fleet) prepare() error {
	var err error
	if f.profile, err = profileOf(f.cfg.Timing); err != nil {
		return err
	}
	if f.cfg.Fleet == "" {
		return fault.New(fault.Config, "cluster.fleet: a fleet needs a name")
	}
	if err := checkJoin(f.cfg.Join); err != nil {
		return err
	}
	for _, entry := range f.cfg.Join {
		f.targets = append(f.targets, expandJoin(entry)...)
	}
	if err := f.initKeys(); err != nil {
		return err
	}
	f.del = newDelegate(f.rep, func() int { return int(f.neighbour.Load()) + 1 }, f.encodeState)
	f.restore()
	return f.bind()
}

func (f *Fleet) initKeys() error {
	keys := f.env.Keys
	if keys == nil && len(f.cfg.Secrets) > 0 {
		var secrets []string
		for _, s := range f.cfg.Secrets {
			secrets = append(secrets, s.Reveal())
		}
		var err error
		if keys, err = pki.New(string(f.cfg.Fleet), secrets...); err != nil {
			return err
		}
	}
	if keys == nil {
		return nil
	}
	gossip := keys.Derive(gossipPurpose, 32)
	f.proofKeys = keys.Derive(helloPurpose, 32)
	var err error
	f.keyring, err = memberlist.NewKeyring(gossip, gossip[0])
	return fault.Wrap(fault.Internal, err, "member: install gossip keys")
}

// restore takes over what the snapshot remembers. A snapshot that cannot be read is told and done without.
func (f *Fleet) restore() {
	snap, err := loadSnapshot(f.env.State)
	if err != nil {
		f.rep.snapshotItem.Warn("cannot be read, starting without it: "+err.Error(), "join addresses still work; the file is replaced")
	}
	f.generation = max(f.generation, snap.Generation+1)
	f.reserve.begin(startIncarnation(snap.Incarnation, f.started))
	f.book = newBook(snap.Peers)
	records, err := loadRecords(f.env.State, f.started)
	if err != nil {
		f.rep.snapshotItem.Warn("state cannot be read, starting without it: "+err.Error(), "the other members still have it")
	}
	for _, r := range records {
		f.clock.observe(r.At)
		f.storeOf(r.kind).merge([]record{r.record})
	}
}

// bind opens the transport and chooses the addresses.
func (f *Fleet) bind() error {
	t := f.env.Transport
	if t == nil {
		listen, err := listenAddr(&f.cfg, f.env.Service)
		if err != nil {
			return err
		}
		if f.keyring == nil && !listen.Addr().IsLoopback() {
			return fault.New(fault.Config, "cluster.secrets: needed to listen on %s, which others can reach", listen)
		}
		if t, err = listenNet(listen); err != nil {
			return err
		}
	}
	addr, err := advertiseAddr(&f.cfg, t.LocalAddr())
	if err != nil {
		t.Close()
		return err
	}
	f.transport, f.addr = t, addr
	f.rep.log.Info().Stringer("listen", t.LocalAddr()).Stringer("advertise", addr).Str("fleet", string(f.cfg.Fleet)).
		Bool("encrypted", f.keyring != nil).Msg("gossip address bound")
	return nil
}

// Close gives up a Fleet that was never run; it does nothing to one that runs or ran.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase != prepared {
		return nil
	}
	f.phase = closed
	if f.transport == nil {
		return nil
	}
	return f.transport.Close()
}

// Run joins and stays joined until ctx ends; it does not leave. It returns nil when ctx ended. A Fleet runs once.
func (f *Fleet) Run(ctx context.Context) error {
	f.mu.Lock()
	if f.phase != prepared {
		f.mu.Unlock()
		return fault.New(fault.Conflict, "member: run: the fleet ran before or is closed")
	}
	f.phase = running
	f.mu.Unlock()
	if f.transport == nil {
		<-ctx.Done()
		return nil
	}
	if err := f.open(); err != nil {
		return err
	}
	var tasks sync.WaitGroup
	for _, task := range []func(context.Context){f.loop, f.rejoin, f.announcer, f.sender, f.saver} {
		tasks.Go(func() { task(ctx) })
	}
	<-ctx.Done()
	f.mu.Lock()
	f.phase = closed
	f.mu.Unlock()
	f.goodbye.Wait()
	err := f.list.Shutdown()
	tasks.Wait()
	return fault.Wrap(fault.Internal, err, "member: stop gossip")
}

// open starts memberlist.
func (f *Fleet) open() error {
	f.refreshMeta()
	f.guard = newGuard(f.transport, f.addr, f.rep, f.party)
	list, err := memberlist.Create(f.libraryConfig())
	if err != nil {
		f.guard.Shutdown()
		return fault.Wrap(fault.Internal, err, "member: start gossip")
	}
	f.list = list
	var key []byte
	if f.keyring != nil {
		key = f.keyring.GetPrimaryKey()
	}
	p, err := rumour(f.self, f.reserve.start, string(f.cfg.Fleet), key, time.Now())
	if err != nil {
		list.Shutdown()
		return fault.Wrap(fault.Internal, err, "member: begin at incarnation %d", f.reserve.start)
	}
	f.guard.deliver(p)
	close(f.up)
	return nil
}

func (f *Fleet) libraryConfig() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = string(f.self)
	c.Transport = f.guard
	c.Label = string(f.cfg.Fleet)
	c.Keyring = f.keyring
	c.ProbeInterval, c.ProbeTimeout = f.profile.probe, f.profile.probeTimeout
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = f.profile.suspicion, f.profile.suspicionMax
	c.GossipInterval, c.PushPullInterval = f.profile.gossip, f.profile.pushPull
	c.RetransmitMult = retransmitMult
	c.TCPTimeout = streamTime
	c.EnableCompression = false
	c.DeadNodeReclaimTime = time.Millisecond // a dead member may come back at another address at once
	c.Delegate, c.Events, c.Conflict = f.del, f.del, f.del
	c.Logger = f.rep.libraryLog()
	return c
}

// party returns what a stream's hello needs.
func (f *Fleet) party() *party {
	f.mu.Lock()
	defer f.mu.Unlock()
	me := hello{Keyed: f.keyring != nil, Fleet: string(f.cfg.Fleet), ID: f.self, Generation: f.generation, Addr: f.addr}
	return &party{me: me, keys: f.proofKeys, admits: f.admits}
}

// admits refuses a process by the name of a living member that is reached elsewhere.
func (f *Fleet) admits(peer hello) refusal {
	if peer.ID == f.self {
		return nameTaken
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.table.members[peer.ID]
	if ok && m.State == Alive && peer.Addr.IsValid() && unmap(peer.Addr) != m.Addr {
		return nameTaken
	}
	return welcome
}

// SetKeys replaces the fleet's keys while it runs: the first encrypts, all are accepted. To rotate, append the new secret on
// every member, then put it first on every member, then drop the old one. A fleet cannot change between clear text
// and encryption while it runs: that is fault.Unsupported.
func (f *Fleet) SetKeys(k *pki.Keys) error {
	if f.transport == nil {
		return nil
	}
	if (k == nil) != (f.keyring == nil) {
		return fault.New(fault.Unsupported, "member: change between clear text and encryption needs a restart")
	}
	if k == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := installKeys(f.keyring, k.Derive(gossipPurpose, 32)); err != nil {
		return fault.Wrap(fault.Internal, err, "member: install gossip keys")
	}
	f.proofKeys = k.Derive(helloPurpose, 32)
	return nil
}

// installKeys makes the ring hold exactly keys, the first being primary; at no moment is one missing that stays.
func installKeys(ring *memberlist.Keyring, keys [][]byte) error {
	keep := map[string]bool{}
	for _, k := range keys {
		keep[string(k)] = true
		if err := ring.AddKey(k); err != nil {
			return err
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return err
	}
	for _, k := range ring.GetKeys() {
		if !keep[string(k)] {
			if err := ring.RemoveKey(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// Addr returns the advertised gossip address, zero when stand-alone.
func (f *Fleet) Addr() netip.AddrPort { return f.addr }

// View returns the fleet as it is known now. It never blocks on the network. The slice of members is the caller's; what
// lies deeper (endpoints) is shared and must not be written to.
func (f *Fleet) View() View {
	v := *f.view.Load()
	v.Members = append([]Member(nil), v.Members...)
	return v
}

// Watch returns a channel that gets a token after any change of the view or of the replicated state (coalesced: look
// again), and its cancel.
func (f *Fleet) Watch() (changed <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[ch] = struct{}{}
	return ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, ch)
	}
}

// publishLocked makes the table's content the view and tells the watchers.
func (f *Fleet) publishLocked() {
	v := f.table.view()
	n := int64(0)
	for _, m := range v.Members {
		if m.State == Alive && m.ID != f.self {
			n++
		}
	}
	f.neighbour.Store(n)
	f.view.Store(&v)
	f.notifyLocked()
}

func (f *Fleet) notifyLocked() {
	for ch := range f.watchers {
		token(ch)
	}
}

// token puts a token into a channel that holds one, unless it is there.
func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (f *Fleet) others() int { return int(f.neighbour.Load()) }

func (f *Fleet) count(s State) (n int) {
	for _, m := range f.view.Load().Members {
		if m.State == s {
			n++
		}
	}
	return n
}

func (f *Fleet) peers() []peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.book.list()
}

func (f *Fleet) selfMember() Member {
	return Member{
		ID: f.self, Node: f.env.Node, Service: f.env.Service, Zone: cut(f.cfg.Zone, maxZone), Version: cut(f.env.Version, maxName),
		Addr: f.addr, State: Alive, Since: f.started, Generation: f.generation, Announcement: f.mine.Announcement,
	}
}
