package vrrp

import "time"

// maxPostponed is how often in a row a late Down timer is not acted on. A process that is late each time has to act
// at last: nobody else has.
const maxPostponed = 2

// becomeBackup waits for the Active router from the time base on.
func (m *Machine) becomeBackup(by Cause, base time.Duration, out []Effect) []Effect {
	m.silence()
	m.restart(base)
	return m.enter(Backup, by, out)
}

// restart sets the Active_Down_Timer.
func (m *Machine) restart(base time.Duration) {
	b := &m.backup
	b.base, b.preemptAt, b.left, b.lower, b.wants, b.postponed = base, 0, false, false, false, 0
	b.downAt = base + m.down()
}

// retime sets the Active_Down_Timer for another priority or interval.
func (m *Machine) retime() {
	b := &m.backup
	if b.wants || b.left {
		return
	}
	b.downAt = b.base + m.down()
}

// onBackupAdvert is the second half of section 6.4.2.
func (m *Machine) onBackupAdvert(ad *Advert, out []Effect) []Effect {
	b := &m.backup
	if ad.Priority == PriorityStop {
		// The RFC sets the timer to Skew_Time; never later than it was, lest a stream of these keep us waiting. One from
		// before the wait began says nothing of whom we wait for.
		if at := m.received(ad); !b.wants && at >= b.base {
			b.left = true
			b.downAt = min(b.downAt, at+m.skew())
		}
		return out
	}
	m.holder, m.holderPri = ad.Src, ad.Priority
	if !m.defers(ad) {
		b.lower = true
		return out
	}
	preemptAt := b.preemptAt
	m.learn(ad)
	m.restart(max(m.received(ad), b.base))
	if ad.Priority < m.priority {
		b.preemptAt = preemptAt
	}
	return out
}

// defers reports whether the router stays Backup under the sender of an advert.
func (m *Machine) defers(ad *Advert) bool {
	b := &m.backup
	switch {
	case ad.Priority >= m.priority:
		return true
	case m.priority == PriorityOwner:
		return false
	case !m.cfg.Preempt || b.held:
		return true
	case m.cfg.PreemptDelay > 0 && b.preemptAt == 0:
		b.preemptAt = m.now + m.cfg.PreemptDelay
	}
	return m.now < b.preemptAt
}

// learn takes over Active_Adver_Interval.
func (m *Machine) learn(ad *Advert) {
	if m.cfg.Version == V3 {
		m.advInt = ad.Interval
	}
}

// received is when an advert was received.
func (m *Machine) received(ad *Advert) time.Duration {
	if ad.At <= 0 {
		return m.now
	}
	return min(ad.At, m.now)
}

// onDownTimer is the first half of section 6.4.2. Before an address is taken the socket must be empty: the process may
// not have run, or have been woken by the timer and by an advert at once. And after an expiry that comes late by more
// than an interval, others may have changed the scene, or with the whole machine at rest no advert was received: it
// waits for what an Active router sends in an interval.
func (m *Machine) onDownTimer(drained bool, out []Effect) []Effect {
	b := &m.backup
	if m.now < b.downAt {
		return out
	}
	if !drained {
		return append(out, Effect{Kind: DoDrain})
	}
	if late := m.now - b.downAt; late > m.advInt && b.postponed < maxPostponed {
		b.postponed++
		b.downAt = m.now + m.advInt + m.skew()
		b.base = b.downAt - m.down()
		return append(out, Effect{Kind: TellLate, Late: late})
	}
	if m.gated {
		b.wants, b.downAt = true, Never
		return out
	}
	return m.becomeActive(m.expiryCause(), out)
}

func (m *Machine) expiryCause() Cause {
	switch {
	case m.backup.left:
		return ByPriorityZero
	case m.backup.lower:
		return ByPreemption
	}
	return ByDownTimer
}

// onTakeOver makes a Backup Active, or takes a switch-over back. A claim that the holder would not yield to is not made: there would be two holders.
func (m *Machine) onTakeOver(out []Effect) []Effect {
	switch {
	case m.state == Active && m.active.leaving == staying:
		return out
	case m.state == Active && m.active.leaving == switching:
		return m.stay(out)
	}
	if m.refuses() {
		return append(out, m.refusal())
	}
	return m.becomeActive(ByTakeOver, out)
}

// refuses reports whether EvTakeOver can have no success.
func (m *Machine) refuses() bool {
	if m.state == Active {
		return m.active.leaving == releasing
	}
	_, ok := m.claim()
	return m.state != Backup || !ok
}

func (m *Machine) refusal() Effect {
	return Effect{Kind: TellRefused, Peer: m.holder, Priority: m.holderPri}
}

// claim returns the priority that is above the holder's.
func (m *Machine) claim() (boost Priority, ok bool) {
	switch {
	case !m.holder.IsValid() || m.holderPri < m.priority:
		return 0, true
	case m.holderPri < PriorityOwner-1:
		return m.holderPri + 1, true
	}
	return m.holderPri, m.holderPri < PriorityOwner && m.holder.Less(m.cfg.Primary)
}
