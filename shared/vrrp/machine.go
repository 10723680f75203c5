package vrrp

import (
	"net/netip"
	"time"

	"github.com/everup/everup/shared/fault"
)

// leaving is what an Active router that waits for a peer to take the addresses does afterwards.
type leaving uint8

const (
	staying   leaving = iota
	releasing         // EvRelease
	switching         // EvSwitchOver
)

// Machine is one virtual router of RFC 9568 section 6 or RFC 3768 section 6. It is not safe for use by several
// goroutines.
type Machine struct {
	cfg       Config
	state     State
	cause     Cause
	now       time.Duration // the latest time of a Step: time never goes back
	since     time.Duration // when the state was entered
	started   bool          // between startup and shutdown or release
	faulty    bool
	priority  Priority      // as configured or tracked
	advInt    time.Duration // Active_Adver_Interval
	holder    netip.Addr    // of the last advert that restarted the Down timer, or that was discarded as lower
	holderPri Priority      // its priority
	gated     bool          // in a Group: wanting is shown in wants, the Group acts
	outOfStep bool          // in a Group: another member is at fault
	conflicts conflicts

	backup backupState
	active activeState
	notice announcer
}

// backupState has a meaning in Backup only.
type backupState struct {
	downAt    time.Duration // Active_Down_Timer
	base      time.Duration // when the router last heard of began to be waited for
	preemptAt time.Duration // when PreemptDelay is over
	left      bool          // priority 0 was heard last
	lower     bool          // a lower priority was discarded since the timer was restarted
	held      bool          // after EvSwitchOver: not preempting
	wants     bool          // the timer has expired, the Group has not acted yet
	postponed int           // how often in a row the timer was late
}

// activeState has a meaning in Active only.
type activeState struct {
	adverAt  time.Duration // Adver_Timer
	leaveAt  time.Duration // when a leaving router waits no more
	readdAt  time.Duration // when addresses lost may be added again
	readdOff time.Duration // until when they may not
	alone    time.Duration // since when no other Active router was heard
	leaving  leaving
	boost    Priority // of EvTakeOver, 0: none
	boosted  Priority // the own priority at that time
	tenure   Tenure
	stale    bool // this process did not run for so long that another may have taken over
	answers  int  // adverts sent out of turn since the Adver_Timer's last
	answered netip.Addr
}

// New returns a machine in Initialize. An ill configuration is fault.Invalid.
func New(cfg Config) (*Machine, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	m := &Machine{cfg: cfg, priority: cfg.Priority, advInt: cfg.Interval, cause: ByStartup}
	m.silence()
	return m, nil
}

// silence stops all timers.
func (m *Machine) silence() {
	m.backup = backupState{downAt: Never}
	m.active = activeState{adverAt: Never, leaveAt: Never, readdAt: Never}
	m.notice.stop()
}

// Deadline returns when EvTimer is wanted, Never if not at all. It is valid until the next Step.
func (m *Machine) Deadline() time.Duration {
	return min(m.backup.downAt, m.active.adverAt, m.active.leaveAt, m.active.readdAt, m.notice.at, m.conflicts.next())
}

// Step takes an event at the time now, nanoseconds of a clock that runs steadily whatever is done to the time of day
// (CLOCK_MONOTONIC), and appends what is to be done to out. It keeps neither out nor the event. A time before that of an
// earlier Step is taken for that.
func (m *Machine) Step(now time.Duration, ev Event, out []Effect) []Effect {
	m.now = max(m.now, min(now, Never/2)) // so that sums of a time and a delay stay below Never
	m.noticeFreeze()
	switch ev.Kind {
	case EvTimer:
		return m.onTimer(false, out)
	case EvDrained:
		return m.onTimer(true, out)
	case EvAdvert:
		if ev.Advert == nil {
			return out
		}
		return m.onAdvert(ev.Advert, out)
	case EvStartup, EvAdopt:
		return m.onStartup(ev.Kind == EvAdopt, out)
	case EvShutdown:
		m.started = false
		return m.withdraw(ByShutdown, out)
	case EvRelease:
		return m.onRelease(out)
	case EvSwitchOver:
		return m.onSwitchOver(out)
	case EvTakeOver:
		return m.onTakeOver(out)
	case EvPriority:
		return m.onPriority(ev.Priority, out)
	case EvFault:
		m.faulty = true
		return m.withdraw(ByFault, out)
	case EvFaultCleared:
		m.faulty = false
		return m.begin(out)
	case EvAddressLost:
		return m.onAddressLost(out)
	}
	return out
}

// onTimer does what is due. drained says that no advert is left unread.
func (m *Machine) onTimer(drained bool, out []Effect) []Effect {
	out = m.conflicts.expire(m.now, out)
	switch m.state {
	case Backup:
		return m.onDownTimer(drained, out)
	case Active:
		return m.onActiveTimers(drained, out)
	}
	return out
}

// onAdvert makes the checks that Parse could not and gives the advert to the state.
func (m *Machine) onAdvert(ad *Advert, out []Effect) []Effect {
	if ad.Src == m.cfg.Primary {
		out = m.conflicts.note(m.now, true, Conflict{Kind: ConflictReflected, Peer: ad.Src}, out)
		return dropped(ReasonReflected, ad, out)
	}
	out = m.examine(ad, out)
	if r := m.judge(ad); r != Accepted {
		return dropped(r, ad, out)
	}
	if m.state == Backup {
		return m.onBackupAdvert(ad, out)
	}
	return m.onActiveAdvert(ad, out)
}

// judge makes the checks of RFC 9568 section 7.1 and RFC 3768 section 7.1 that need the configuration. Unlike there an
// owner does not discard all adverts: with two owners on the link one of them has to yield.
func (m *Machine) judge(ad *Advert) Reason {
	switch {
	case ad.VRID != m.cfg.VRID:
		return ReasonVRID
	case ad.Version != m.cfg.Version:
		return ReasonOtherVersion
	case ad.Src.Is4() != m.cfg.Primary.Is4():
		return ReasonOtherFamily
	case ad.AuthType != m.cfg.AuthType || ad.Auth != m.cfg.Auth:
		return ReasonPassword
	case ad.Interval <= 0, ad.Version == V2 && ad.Interval != m.cfg.Interval:
		return ReasonInterval
	case m.state == Initialize:
		return ReasonStopped
	}
	return Accepted
}

func dropped(r Reason, ad *Advert, out []Effect) []Effect {
	return append(out, Effect{Kind: TellDropped, Reason: r, Peer: ad.Src})
}

// enter changes the state and tells of it.
func (m *Machine) enter(s State, by Cause, out []Effect) []Effect {
	m.state, m.cause, m.since = s, by, m.now
	return append(out, Effect{Kind: TellState, State: s, Cause: by, Peer: m.holder})
}

// onStartup is section 6.4.1.
func (m *Machine) onStartup(adopt bool, out []Effect) []Effect {
	m.started = true
	if m.state == Active && m.active.leaving == releasing {
		return m.stay(out)
	}
	if adopt && m.state == Initialize && m.fit() {
		return m.becomeActive(ByAdoption, out)
	}
	return m.begin(out)
}

// stay takes back a release or switch-over that waits for its peer.
func (m *Machine) stay(out []Effect) []Effect {
	m.active.leaving, m.active.leaveAt = staying, Never
	return m.sendNow(out)
}

// fit reports whether the machine may take part.
func (m *Machine) fit() bool { return m.started && !m.faulty && !m.outOfStep }

// begin leaves Initialize if nothing stands against it.
func (m *Machine) begin(out []Effect) []Effect {
	if m.state != Initialize || !m.fit() {
		return out
	}
	m.advInt = m.cfg.Interval
	m.holder, m.holderPri = netip.Addr{}, 0
	if m.priority == PriorityOwner && m.cfg.StartDelay == 0 && !m.gated {
		return m.becomeActive(ByOwner, out)
	}
	base := m.now + m.cfg.StartDelay
	return m.becomeBackup(ByStartup, base, out)
}

// withdraw goes to Initialize at once. The advert goes first: a peer needs its skew time anyway, and the address is gone
// before that.
func (m *Machine) withdraw(by Cause, out []Effect) []Effect {
	if m.state == Initialize {
		return out
	}
	if m.state == Active {
		out = append(out, Effect{Kind: DoSend, Priority: PriorityStop}, Effect{Kind: DoRemove})
	}
	m.silence()
	m.holder, m.holderPri = netip.Addr{}, 0
	return m.enter(Initialize, by, out)
}

// onPriority takes over a tracked priority.
func (m *Machine) onPriority(p Priority, out []Effect) []Effect {
	if p == PriorityStop || p == m.priority {
		return out
	}
	lower := p < m.priority
	m.priority = p
	switch {
	case m.state == Backup:
		m.retime()
	case m.state == Active && lower && p < m.active.boosted:
		m.active.boost = 0 // whoever appointed us did not know of this
		return m.sendNow(out)
	case m.state == Active:
		return m.sendNow(out) // so that a peer that may preempt begins to wait now
	}
	return out
}

// Reconfigure gives the machine another configuration without leaving its state. VRID, version and the family of the
// addresses stay: a change of those is fault.Invalid, as is an ill configuration, and nothing is done. A tracked
// priority is lost: EvPriority follows if there was one.
func (m *Machine) Reconfigure(now time.Duration, cfg Config, out []Effect) ([]Effect, error) {
	if err := cfg.Check(); err != nil {
		return out, err
	}
	if cfg.VRID != m.cfg.VRID || cfg.Version != m.cfg.Version || cfg.Primary.Is4() != m.cfg.Primary.Is4() {
		return out, fault.New(fault.Invalid, "vrrp: VRID %d: VRID, version and address family cannot change while it runs", m.cfg.VRID)
	}
	m.now = max(m.now, min(now, Never/2))
	moved := !sameAddrs(cfg.Addrs, m.cfg.Addrs) || cfg.Accept != m.cfg.Accept
	m.cfg, m.priority = cfg, cfg.Priority
	if cfg.Version == V2 || m.state != Backup || !m.holder.IsValid() {
		m.advInt = cfg.Interval
	}
	switch m.state {
	case Backup:
		m.retime()
	case Active:
		if moved {
			out = append(out, m.addEffect())
			out = m.notice.begin(m.now, &m.cfg.Announce, out)
		}
		out = m.sendNow(out)
	}
	return out, nil
}

// Packet fills p with what a DoSend effect sends; the addresses are the configuration's own slice. The form of the
// checksum is left to the caller.
func (m *Machine) Packet(send Effect, p *Packet) {
	p.Version, p.VRID, p.Priority, p.Interval = m.cfg.Version, m.cfg.VRID, send.Priority, m.cfg.Interval
	p.Addrs, p.AuthType, p.Auth = m.cfg.Addrs, m.cfg.AuthType, m.cfg.Auth
}

// Status is a copy of what a Machine knows.
type Status struct {
	State     State
	Cause     Cause         // of the state
	Since     time.Duration // when it was entered
	Priority  Priority      // as it is advertised, or would be
	Tenure    Tenure        // of Active
	Leaving   bool          // Active, and waiting for a peer to take the addresses
	Held      bool          // Backup after EvSwitchOver: not preempting
	Holder    netip.Addr    // Backup: the Active router last heard; not valid: none
	HolderPri Priority      // Backup: its priority
	AdvInt    time.Duration // Active_Adver_Interval: Backup's is the holder's
	Skew      time.Duration // Skew_Time
	Down      time.Duration // Active_Down_Interval
}

// Status returns what is known now.
func (m *Machine) Status() Status {
	return Status{
		State: m.state, Cause: m.cause, Since: m.since, Priority: m.advertised(), Tenure: m.active.tenure,
		Leaving: m.active.leaving != staying, Held: m.backup.held, Holder: m.holder, HolderPri: m.holderPri,
		AdvInt: m.advInt, Skew: m.skew(), Down: m.down(),
	}
}

// State returns the state.
func (m *Machine) State() State { return m.state }

// Conflicts appends the conflicts that are known to out.
func (m *Machine) Conflicts(out []Conflict) []Conflict {
	for _, k := range m.conflicts.known {
		if k.Peer.IsValid() {
			out = append(out, k)
		}
	}
	return out
}
