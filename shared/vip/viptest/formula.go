package viptest

import "time"

// Skew returns Skew_Time of a router: of RFC 9568 section 6.1 in version 3, of RFC 3768 section 6.1 in version 2.
func (s Setting) Skew(priority int) time.Duration {
	if s.Version == 2 {
		return time.Duration(256-priority) * time.Second / 256
	}
	return time.Duration(256-priority) * s.Interval / 256
}

// Down returns Active_Down_Interval of a router.
func (s Setting) Down(priority int) time.Duration { return 3*s.Interval + s.Skew(priority) }
