package parse

import "time"

// stampMemo remembers the last BSD stamp: thousands of messages a second carry the same one, and finding its year and
// zone is dearer than the rest of the parsing. It also remembers the last date and time of an RFC 3339 stamp.
type stampMemo struct {
	key  [15]byte
	now  int64 // Unix seconds at which the year was chosen
	unix int64

	iso      [isoLen]byte
	isoCivil int64 // seconds since 1970 on the clock that iso shows
}

// isoLen is the length of an RFC 3339 stamp up to its seconds.
const isoLen = len("2006-01-02T15:04:05")

// memoLife is how long, in seconds of receipt time, a remembered stamp keeps its year.
const memoLife = 3600

// readStamp3164 reads the stamp that b begins with and returns its length, 0 for none. Known are "Mmm dd hh:mm:ss" with the day
// padded or not, a year before or after the time, a fraction and a zone name (Cisco), Cisco's sequence number and its
// marks '*' and '.' for clocks that are not in step, and RFC 3339.
func (p *Parser) readStamp3164(b []byte, now time.Time) (time.Time, int) {
	if len(b) > 0 && isDigit(b[0]) {
		if t, n := p.readISO(b); n > 0 {
			return t, n
		}
	}
	skip := ciscoPrefix(b)
	t, n := p.readBSD(b[skip:], now)
	if n == 0 {
		return time.Time{}, 0
	}
	return t, skip + n
}

// ciscoPrefix returns the length of "123: " and of a mark '*' or '.' before a stamp.
func ciscoPrefix(b []byte) int {
	i := 0
	for i < len(b) && i < 10 && isDigit(b[i]) {
		i++
	}
	if i > 0 {
		if i+1 >= len(b) || b[i] != ':' || b[i+1] != ' ' {
			return 0
		}
		i += 2
	}
	if i < len(b) && (b[i] == '*' || b[i] == '.') {
		i++
	}
	return i
}

// readBSD reads "Mmm dd [yyyy] hh:mm:ss[.frac][ yyyy][ ZONE]".
func (p *Parser) readBSD(b []byte, now time.Time) (time.Time, int) {
	const plain = len("Nov 22 13:38:39")
	simple := len(b) > plain && b[plain] == ' ' && !yearAt(b, plain+1) || len(b) == plain
	if simple && string(b[:plain]) == string(p.memo.key[:]) && abs(now.Unix()-p.memo.now) < memoLife {
		return time.Unix(p.memo.unix, 0).UTC(), skipZoneName(b, plain)
	}
	c, n, ok := readBSDFields(b)
	if !ok {
		return time.Time{}, 0
	}
	if c.year == 0 {
		c.year = nearestYear(c, now, p.location())
	}
	t := c.in(p.location())
	if simple && n == plain {
		copy(p.memo.key[:], b)
		p.memo.now, p.memo.unix = now.Unix(), t.Unix()
	}
	return t, n
}

// civil is a point of time as a calendar and a clock show it.
type civil struct {
	year, month, day     int
	hour, minute, second int
	nano                 int
}

func (c civil) in(loc *time.Location) time.Time {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, c.nano, loc).UTC()
}

// unix returns the seconds since 1970 on c's own clock.
func (c civil) unix() int64 {
	return daysFromCivil(c.year, c.month, c.day)*86400 + int64(c.hour*3600+c.minute*60+c.second)
}

func (p *Parser) location() *time.Location {
	if p.Location == nil {
		return time.UTC
	}
	return p.Location
}

// readBSDFields reads the parts of a BSD stamp; year is 0 when it has none.
func readBSDFields(b []byte) (c civil, n int, ok bool) {
	if c.month = month(b); c.month == 0 || len(b) < 5 || b[3] != ' ' {
		return c, 0, false
	}
	i := 4
	if b[i] == ' ' {
		i++
	}
	c.day, i = digits(b, i, 2)
	if c.day < 1 || c.day > daysIn(2000, c.month) || i >= len(b) || b[i] != ' ' {
		return c, 0, false
	}
	i++
	if yearAt(b, i) && i+4 < len(b) && b[i+4] == ' ' {
		c.year, i = digits(b, i, 4)
		i++
	}
	if i, ok = c.readClock(b, i); !ok {
		return c, 0, false
	}
	c.nano, i = fraction(b, i)
	if c.year == 0 && i < len(b) && b[i] == ' ' && yearAt(b, i+1) && (i+5 == len(b) || b[i+5] == ' ' || b[i+5] == ':') {
		c.year, i = digits(b, i+1, 4)
	}
	return c, skipZoneName(b, i), true
}

// skipZoneName skips " UTC" before a colon: only Cisco writes it so, and the name is not unique enough to be used.
func skipZoneName(b []byte, i int) int {
	j := i + 1
	for j < len(b) && j <= i+5 && b[j] >= 'A' && b[j] <= 'Z' {
		j++
	}
	if i < len(b) && b[i] == ' ' && j > i+2 && j < len(b) && b[j] == ':' {
		return j
	}
	return i
}

// yearAt reports whether four digits that may be a year stand at i and no fifth follows.
func yearAt(b []byte, i int) bool {
	y, j := digits(b, i, 4)
	return j == i+4 && y >= 1970 && (j == len(b) || !isDigit(b[j]))
}

// readClock reads hh:mm:ss into c; a leap second counts as the second after it.
func (c *civil) readClock(b []byte, i int) (int, bool) {
	if len(b) < i+8 || b[i+2] != ':' || b[i+5] != ':' {
		return i, false
	}
	var j, k, l int
	c.hour, j = digits(b, i, 2)
	c.minute, k = digits(b, i+3, 2)
	c.second, l = digits(b, i+6, 2)
	ok := j == i+2 && k == i+5 && l == i+8 && c.hour < 24 && c.minute < 60 && c.second <= 60
	return i + 8, ok
}

// readISO reads the RFC 3339 stamp that b begins with: 'T', 't' or a space between date and time, any number of
// fraction digits (nine count), and a zone that may be missing. n is 0 when there is none.
func (p *Parser) readISO(b []byte) (t time.Time, n int) {
	if len(b) < isoLen {
		return t, 0
	}
	if string(b[:isoLen]) != string(p.memo.iso[:]) {
		c, ok := readISOCivil(b)
		if !ok {
			return t, 0
		}
		copy(p.memo.iso[:], b)
		p.memo.isoCivil = c.unix()
	}
	nano, i := fraction(b, isoLen)
	offset, j, zoned := zone(b, i)
	if zoned {
		return time.Unix(p.memo.isoCivil-int64(offset), int64(nano)).UTC(), j
	}
	c, _ := readISOCivil(b)
	c.nano = nano
	return c.in(p.location()), i
}

// readISOCivil reads the date and time of an RFC 3339 stamp; b has at least isoLen bytes.
func readISOCivil(b []byte) (c civil, ok bool) {
	if b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' && b[10] != ' ' {
		return c, false
	}
	var i, j, k int
	c.year, i = digits(b, 0, 4)
	c.month, j = digits(b, 5, 2)
	c.day, k = digits(b, 8, 2)
	if i != 4 || j != 7 || k != 10 || c.month < 1 || c.month > 12 || c.day < 1 || c.day > daysIn(c.year, c.month) {
		return c, false
	}
	_, ok = c.readClock(b, 11)
	return c, ok
}

// zone reads "Z", "+hh:mm" or "+hhmm" at i; offset is in seconds east of UTC.
func zone(b []byte, i int) (offset, end int, ok bool) {
	if i >= len(b) {
		return 0, i, false
	}
	switch b[i] {
	case 'Z', 'z':
		return 0, i + 1, true
	case '+', '-':
	default:
		return 0, i, false
	}
	h, j := digits(b, i+1, 2)
	if j != i+3 {
		return 0, i, false
	}
	if j < len(b) && b[j] == ':' {
		j++
	}
	m, k := digits(b, j, 2)
	if k != j+2 || h > 23 || m > 59 {
		return 0, i, false
	}
	offset = h*3600 + m*60
	if b[i] == '-' {
		offset = -offset
	}
	return offset, k, true
}

// fraction reads ".123" or ",123" at i in nanoseconds; digits after the ninth are skipped.
func fraction(b []byte, i int) (nano, end int) {
	if i+1 >= len(b) || b[i] != '.' && b[i] != ',' || !isDigit(b[i+1]) {
		return 0, i
	}
	i++
	scale := 100_000_000
	for i < len(b) && isDigit(b[i]) {
		nano += int(b[i]-'0') * scale
		scale /= 10
		i++
	}
	return nano, i
}

// digits reads up to n digits at i and returns the number and where it ends.
func digits(b []byte, i, n int) (v, end int) {
	for n > 0 && i < len(b) && isDigit(b[i]) {
		v = v*10 + int(b[i]-'0')
		i++
		n--
	}
	return v, i
}

// month returns 1 to 12 for the English abbreviation that b begins with, in any case, else 0.
func month(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	switch uint32(b[0]|0x20)<<16 | uint32(b[1]|0x20)<<8 | uint32(b[2]|0x20) {
	case 'j'<<16 | 'a'<<8 | 'n':
		return 1
	case 'f'<<16 | 'e'<<8 | 'b':
		return 2
	case 'm'<<16 | 'a'<<8 | 'r':
		return 3
	case 'a'<<16 | 'p'<<8 | 'r':
		return 4
	case 'm'<<16 | 'a'<<8 | 'y':
		return 5
	case 'j'<<16 | 'u'<<8 | 'n':
		return 6
	case 'j'<<16 | 'u'<<8 | 'l':
		return 7
	case 'a'<<16 | 'u'<<8 | 'g':
		return 8
	case 's'<<16 | 'e'<<8 | 'p':
		return 9
	case 'o'<<16 | 'c'<<8 | 't':
		return 10
	case 'n'<<16 | 'o'<<8 | 'v':
		return 11
	case 'd'<<16 | 'e'<<8 | 'c':
		return 12
	}
	return 0
}

// maxAhead is how far a sender's clock may run before ours without its stamp being taken for last year's.
const maxAhead = 24 * time.Hour

// nearestYear returns the latest year that does not put c in the future: on New Year's Day a stamp of December is last
// year's, and a sender slightly ahead of us may already be in the next.
func nearestYear(c civil, now time.Time, loc *time.Location) int {
	base := now.In(loc).Year()
	for c.year = base + 1; c.year > base-9; c.year-- { // up to eight years lie between two 29 Februaries
		if c.day <= daysIn(c.year, c.month) && c.in(loc).Sub(now) <= maxAhead {
			return c.year
		}
	}
	return base
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysFromCivil returns the days from 1970-01-01 to the given day of the Gregorian calendar, counting years from March
// so that the leap day is a year's last.
func daysFromCivil(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

func abs(n int64) int64 { return max(n, -n) }
