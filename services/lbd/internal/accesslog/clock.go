package accesslog

import (
	"sync/atomic"
	"time"
)

// clock prints times. What a second has in common is printed once.
type clock struct{ last atomic.Pointer[second] }

// second is a second as it is printed.
type second struct {
	unix int64
	loc  *time.Location
	clf  string // "23/Nov/2026:01:02:03 +0000"
	date string // "2026-11-23T01:02:03"
	zone string // "+00:00"
}

func (c *clock) second(t time.Time) *second {
	if s := c.last.Load(); s != nil && s.unix == t.Unix() && s.loc == t.Location() {
		return s
	}
	s := &second{
		unix: t.Unix(), loc: t.Location(), clf: t.Format("02/Jan/2006:15:04:05 -0700"),
		date: t.Format("2006-01-02T15:04:05"), zone: t.Format("Z07:00"),
	}
	c.last.Store(s)
	return s
}

// appendCLF appends t as the common log format has it.
func (c *clock) appendCLF(b []byte, t time.Time) []byte { return append(b, c.second(t).clf...) }

// appendRFC3339 appends t with milliseconds.
func (c *clock) appendRFC3339(b []byte, t time.Time) []byte {
	s := c.second(t)
	b = append(append(b, s.date...), '.')
	b = appendPadded(b, t.Nanosecond()/1e6, 100)
	return append(b, s.zone...)
}
