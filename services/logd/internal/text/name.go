package text

import (
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

const (
	suffix   = ".log"
	overflow = "_other" // takes the lines of hosts beyond the bound
	unnamed  = "_none"  // takes the lines of senders that no name is known of
	maxName  = 120      // bytes of a host's part of a file name, before the suffix
)

// FileName returns the name of host's file: letters, digits, '.', '_' and '-' stand as they are; any other byte becomes '_' and a
// checksum is appended, so that two hosts never share a file by accident and no name leaves the directory.
func FileName(host string) string {
	if host == "" {
		return unnamed + suffix
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, host)
	if clean[0] == '.' || clean[0] == '-' { // hidden from, or an option to, what is called with *.log
		clean = "_" + clean[1:]
	}
	if len(clean) > maxName {
		clean = clean[:maxName]
	}
	if clean != host {
		clean += fmt.Sprintf("~%08x", crc32.ChecksumIEEE([]byte(host)))
	}
	return clean + suffix
}

// Day is a calendar day in the store's zone.
type Day struct {
	Year  int
	Month time.Month
	Day   int
}

// DayOf returns t's day in loc.
func DayOf(t time.Time, loc *time.Location) Day {
	y, m, d := t.In(loc).Date()
	return Day{y, m, d}
}

// Dir returns "2026/11/22".
func (d Day) Dir() string { return fmt.Sprintf("%04d/%02d/%02d", d.Year, d.Month, d.Day) }

// Start returns the moment d begins in loc.
func (d Day) Start(loc *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, loc)
}

// Add returns the day n days later.
func (d Day) Add(n int) Day {
	return DayOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC), time.UTC)
}

// Before reports whether d is earlier than e.
func (d Day) Before(e Day) bool { return d.Start(time.UTC).Before(e.Start(time.UTC)) }

// ParseDay reads what Dir writes; it must be a real day.
func ParseDay(dir string) (Day, bool) {
	t, err := time.Parse("2006/01/02", dir)
	if err != nil {
		return Day{}, false
	}
	return DayOf(t, time.UTC), true
}

// Expired returns the days whose last line is older than keep at now: those that ended, in loc, before now-keep. keep 0 keeps all.
func Expired(days []Day, now time.Time, keep time.Duration, loc *time.Location) []Day {
	if keep <= 0 {
		return nil
	}
	var out []Day
	for _, d := range days {
		if !d.Add(1).Start(loc).After(now.Add(-keep)) {
			out = append(out, d)
		}
	}
	return out
}
