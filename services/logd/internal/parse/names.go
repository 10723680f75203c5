package parse

import "strconv"

var severities = [8]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

var facilities = [24]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// SeverityName returns the keyword of syslog.conf(5) for s, which is 0 to 7.
func SeverityName(s uint8) string { return severities[s&7] }

// FacilityName returns the keyword of syslog.conf(5) for f, which is 0 to 23.
func FacilityName(f uint8) string {
	if int(f) < len(facilities) {
		return facilities[f]
	}
	return strconv.Itoa(int(f))
}

// ParseSeverity reads a keyword, one of its old names ("error", "warn", "panic") or a digit.
func ParseSeverity(s string) (uint8, bool) {
	switch s {
	case "error":
		s = "err"
	case "warn":
		s = "warning"
	case "panic":
		s = "emerg"
	}
	for i, name := range severities {
		if s == name || len(s) == 1 && s[0] == byte('0'+i) {
			return uint8(i), true
		}
	}
	return 0, false
}

// ParseFacility reads a facility's keyword.
func ParseFacility(s string) (uint8, bool) {
	for i, name := range facilities {
		if s == name {
			return uint8(i), true
		}
	}
	return 0, false
}

// String returns the flaw's name as metrics have it.
func (f Flaw) String() string {
	return [...]string{"none", "no_pri", "bad_header", "bad_structured_data"}[f]
}
