package vrrp

import "time"

// skew is Skew_Time: of RFC 9568 section 6.1, of RFC 3768 section 6.1.
func (m *Machine) skew() time.Duration {
	unit := m.advInt
	if m.cfg.Version == V2 {
		unit = time.Second
	}
	return unit * (256 - time.Duration(m.priority)) / 256
}

// down is Active_Down_Interval, Master_Down_Interval in RFC 3768. In version 2 the interval is never another's.
func (m *Machine) down() time.Duration { return 3*m.advInt + m.skew() }

// advertised is the priority in our adverts.
func (m *Machine) advertised() Priority {
	if m.state == Active {
		return max(m.priority, m.active.boost)
	}
	return m.priority
}
