package vrrp

// An Active router that leaves on request keeps the addresses until a peer has them: it sends priority 0, the peer waits
// for its Skew_Time, adds the addresses, announces them, and its advert ends the wait. Packets that neighbours still send
// here meanwhile are answered. Priority 0 is repeated each interval, for one may be lost; a peer's Skew_Time is shorter.
// Nothing is announced meanwhile: a round between the peer's announcements, some of which (keepalived's) come before its
// advert and all at once, and the advert would have neighbours send here when nobody listens any more.

// onRelease leaves the election.
func (m *Machine) onRelease(out []Effect) []Effect {
	m.started = false
	if m.state != Active {
		return m.withdraw(ByRelease, out)
	}
	return m.leave(releasing, out)
}

// onSwitchOver gives the addresses to a peer.
func (m *Machine) onSwitchOver(out []Effect) []Effect {
	if m.state != Active || m.active.leaving != staying {
		return out
	}
	return m.leave(switching, out)
}

func (m *Machine) leave(how leaving, out []Effect) []Effect {
	a := &m.active
	if a.leaving != staying { // a release after a switch-over: the wait has begun
		a.leaving = how
		return out
	}
	a.leaving, a.leaveAt = how, m.now+m.down()
	m.notice.stop()
	return m.sendNow(out)
}

// onLeavingAdvert ends the wait if the sender of the advert has the addresses. One that leaves too may have them: after a
// split has healed both may wait for the other. Then the lower address goes first.
func (m *Machine) onLeavingAdvert(ad *Advert, out []Effect) []Effect {
	if ad.Priority == PriorityStop && !m.cfg.Primary.Less(ad.Src) {
		return out
	}
	if m.active.leaving == switching {
		out = m.yield(ad, BySwitchOver, out)
		m.backup.held = true
		if ad.Priority == PriorityStop {
			out = m.onBackupAdvert(ad, out)
		}
		return out
	}
	m.silence()
	return m.enter(Initialize, ByRelease, append(out, Effect{Kind: DoRemove}))
}

// leaveUnheard ends the wait without a peer.
func (m *Machine) leaveUnheard(out []Effect) []Effect {
	a := &m.active
	if a.leaving == releasing {
		return m.withdraw(ByRelease, out)
	}
	a.leaving, a.leaveAt = staying, Never
	out = m.notice.burst(m.now, &m.cfg.Announce, m.sendNow(out))
	return append(out, Effect{Kind: TellKept})
}
