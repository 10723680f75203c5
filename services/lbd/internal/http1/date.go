package http1

import (
	"time"
)

const dateLen = len("Mon, 02 Jan 2006 15:04:05 GMT")

// AppendDate appends a point in time, in seconds since 1970, as an IMF-fixdate (RFC 9110 section 5.6.7).
func AppendDate(dst []byte, unix int64) []byte {
	t := time.Unix(unix, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, t.Weekday().String()[:3]...)
	dst = append(dst, ", "...)
	dst = append2(dst, day)
	dst = append(dst, ' ')
	dst = append(dst, month.String()[:3]...)
	dst = append(dst, ' ')
	dst = append2(append2(dst, year/100%100), year%100)
	dst = append2(append(dst, ' '), hour)
	dst = append2(append(dst, ':'), minute)
	dst = append2(append(dst, ':'), second)
	return append(dst, " GMT"...)
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// ParseDate reads an HTTP-date in any of its three forms, in seconds since 1970. Years of two digits are those nearest to now that are at most 50
// years ahead. What is no date is not ok, which for conditions means that they are not there.
func ParseDate(b []byte, now time.Time) (unix int64, ok bool) {
	if len(b) == dateLen {
		if unix, ok := parseFixdate(b); ok {
			return unix, true
		}
	}
	if len(b) > len("Wednesday, 02-Jan-06 15:04:05 GMT") {
		return 0, false
	}
	s := string(b)
	if t, err := time.Parse("Monday, 02-Jan-06 15:04:05 GMT", s); err == nil {
		return nearest(t, now).Unix(), true
	}
	t, err := time.Parse(time.ANSIC, s)
	return t.Unix(), err == nil
}

// nearest puts the year of two digits into its century.
func nearest(t, now time.Time) time.Time {
	year := now.UTC().Year()/100*100 + t.Year()%100
	if year > now.UTC().Year()+50 {
		year -= 100
	}
	return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// parseFixdate reads "Mon, 02 Jan 2006 15:04:05 GMT". The name of the day says nothing that the rest does not, but must be one.
func parseFixdate(b []byte) (int64, bool) {
	const form = "ddd, 00 mmm 0000 00:00:00 GMT"
	for i := range form {
		switch c := form[i]; c {
		case 'd', 'm':
		case '0':
			if classes[b[i]]&digit == 0 {
				return 0, false
			}
		default:
			if b[i] != c {
				return 0, false
			}
		}
	}
	month, weekday := index3("JanFebMarAprMayJunJulAugSepOctNovDec", b[8:11]), index3("SunMonTueWedThuFriSat", b[:3])
	if month < 0 || weekday < 0 {
		return 0, false
	}
	n := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	day, year, hour, minute, second := n(5), n(12)*100+n(14), n(17), n(20), n(23)
	t := time.Date(year, time.Month(month+1), day, hour, minute, second, 0, time.UTC)
	if hour > 23 || minute > 59 || second > 60 || t.Add(-time.Second).Day() != day && t.Day() != day || day == 0 {
		return 0, false
	}
	return t.Unix(), true
}

// index3 returns the place of three bytes among texts of three bytes, -1 if they are none.
func index3(list string, b []byte) int {
	for i := 0; i < len(list); i += 3 {
		if list[i:i+3] == string(b) {
			return i / 3
		}
	}
	return -1
}
