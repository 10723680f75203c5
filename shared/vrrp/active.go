package vrrp

import (
	"net/netip"
	"time"
)

const (
	// maxAnswers bounds the adverts sent out of turn in an interval: RFC 9568 has each lower advert answered at once,
	// which between two routers that both think themselves the higher would go on as fast as the link can.
	maxAnswers = 4
	// readdEvery is how often addresses that somebody else removes are added again.
	readdEvery = time.Second
)

// becomeActive takes the addresses. If the router that had them lives, the addresses come before the advert that has it
// let go; else the advert comes first, as in RFC 9568, for another Backup may be about to do the same.
func (m *Machine) becomeActive(by Cause, out []Effect) []Effect {
	held := by == ByPriorityZero || by == ByPreemption || by == ByTakeOver
	m.silence()
	m.state = Active // for advertised
	m.advInt = m.cfg.Interval
	m.active.alone = m.now
	if by == ByTakeOver {
		m.active.tenure = Appointed
		m.active.boost, _ = m.claim()
		m.active.boosted = m.priority
	}
	if held {
		m.active.answered = m.holder // its last adverts are no claim
	}
	m.holder, m.holderPri = netip.Addr{}, 0
	if !held {
		out = m.sendNow(out)
	}
	out = append(out, m.addEffect())
	out = m.notice.begin(m.now, &m.cfg.Announce, out)
	if held {
		out = m.sendNow(out)
	}
	return m.enter(Active, by, out)
}

func (m *Machine) addEffect() Effect {
	return Effect{Kind: DoAdd, Accept: m.cfg.Accept || m.priority == PriorityOwner}
}

// send returns our advert.
func (m *Machine) send() Effect {
	if m.active.leaving != staying {
		return Effect{Kind: DoSend, Priority: PriorityStop}
	}
	return Effect{Kind: DoSend, Priority: m.advertised(), Tenure: m.claimTenure()}
}

// sendNow sends an advert and restarts the Adver_Timer. After a freeze it waits until what others sent has been read.
func (m *Machine) sendNow(out []Effect) []Effect {
	if m.active.stale {
		return out
	}
	m.active.adverAt = m.now + m.cfg.Interval
	return append(out, m.send())
}

// claimTenure returns the tenure; it grows while the router is Active, never falls, so that two that compare theirs
// cannot both yield.
func (m *Machine) claimTenure() Tenure {
	a := &m.active
	if a.tenure == Fresh && m.now-a.alone >= m.down() {
		a.tenure = Incumbent
	}
	return a.tenure
}

// noticeFreeze finds that the process has not run for so long that a peer may have taken over.
func (m *Machine) noticeFreeze() {
	if m.state == Active && m.active.adverAt != Never && m.now-m.active.adverAt >= 2*m.cfg.Interval {
		m.active.stale = true
		m.active.tenure, m.active.alone = Fresh, m.now
	}
}

// onActiveTimers is the first half of section 6.4.3, and what else an Active router has in turn.
func (m *Machine) onActiveTimers(drained bool, out []Effect) []Effect {
	a := &m.active
	if a.stale {
		if !drained {
			return append(out, Effect{Kind: DoDrain})
		}
		a.stale = false // nobody else has taken over, or we are to have it back: neighbours are told
		out = m.notice.begin(m.now, &m.cfg.Announce, out)
	}
	if m.now >= a.leaveAt {
		return m.leaveUnheard(out)
	}
	if m.now >= a.adverAt {
		a.answers = 0
		out = m.sendNow(out)
	}
	if m.now >= a.readdAt {
		out = m.readd(out)
	}
	return m.notice.step(m.now, &m.cfg.Announce, out)
}

// onActiveAdvert is the second half of section 6.4.3.
func (m *Machine) onActiveAdvert(ad *Advert, out []Effect) []Effect {
	a := &m.active
	switch {
	case a.leaving != staying:
		return m.onLeavingAdvert(ad, out)
	case ad.Priority == PriorityStop:
		out, sent := m.answer(out)
		if sent {
			a.adverAt = m.now + m.cfg.Interval
		}
		return m.reannounce(ad, out)
	}
	if by, yields := m.yields(ad); yields {
		return m.yield(ad, by, out)
	}
	a.alone = m.now
	out, _ = m.answer(out)
	return m.reannounce(ad, out)
}

// yields reports whether the sender of an advert is to be Active instead. For two routers exactly one yields: the
// order of priorities and addresses is total, and so is that of tenures before it, where both sides apply it.
func (m *Machine) yields(ad *Advert) (by Cause, yields bool) {
	own := m.advertised()
	if m.active.stale && !m.cfg.Preempt && own != PriorityOwner {
		return ByThaw, true // it has not heard a word of ours since, so it does not yield too
	}
	if m.tenured(ad) {
		if mine := m.claimTenure(); ad.Tenure != mine {
			return ByTenure, ad.Tenure > mine
		}
	}
	if ad.Priority != own {
		return ByPriority, ad.Priority > own
	}
	return ByAddress, m.cfg.Primary.Less(ad.Src)
}

// tenured reports whether tenure comes before priority.
func (m *Machine) tenured(ad *Advert) bool {
	return !m.cfg.Preempt && ad.NoPreempt && ad.Priority != PriorityOwner && m.advertised() != PriorityOwner
}

// yield lets the addresses go to the sender of an advert. It may not have heard of us, for a split heals in one direction
// first: a last advert, which it beats, has it announce the addresses anew, now that they are gone from here. Priority 0
// would say the same, but call upon other Backups to take over.
func (m *Machine) yield(ad *Advert, by Cause, out []Effect) []Effect {
	out = append(out, Effect{Kind: DoRemove})
	if by == ByPriority || by == ByAddress || by == ByTenure {
		out = append(out, m.send())
	}
	m.holder, m.holderPri = ad.Src, ad.Priority
	m.learn(ad)
	return m.becomeBackup(by, m.received(ad), out)
}

// answer sends an advert out of turn, unless there were too many.
func (m *Machine) answer(out []Effect) ([]Effect, bool) {
	if m.active.answers >= maxAnswers {
		return out, false
	}
	m.active.answers++
	return append(out, m.send()), true
}

// reannounce tells neighbours and switches that the addresses are here after another router claimed them.
func (m *Machine) reannounce(ad *Advert, out []Effect) []Effect {
	out, begun := m.notice.again(m.now, &m.cfg.Announce, out)
	if begun || m.active.answered != ad.Src {
		m.active.answered = ad.Src
		out = append(out, Effect{Kind: TellReasserted, Peer: ad.Src, Priority: ad.Priority})
	}
	return out
}

// onAddressLost adds lost addresses again, at most once in readdEvery: whoever removes them may go on to.
func (m *Machine) onAddressLost(out []Effect) []Effect {
	a := &m.active
	switch {
	case m.state != Active || a.readdAt != Never:
		return out
	case m.now < a.readdOff:
		a.readdAt = a.readdOff
		return out
	}
	return m.readd(out)
}

func (m *Machine) readd(out []Effect) []Effect {
	m.active.readdAt, m.active.readdOff = Never, m.now+readdEvery
	out = append(out, m.addEffect())
	return append(out, Effect{Kind: DoAnnounce})
}
