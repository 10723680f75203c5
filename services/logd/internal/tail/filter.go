package tail

import (
	"bytes"
	"net/url"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/shared/fault"
)

// Filter chooses lines. The zero Filter chooses none but emergencies: use ParseFilter, or All.
type Filter struct {
	Host, App string // exact; empty means any
	Severity  uint8  // this or worse: 7 means any
	Contains  []byte // a part of the text; empty means any
}

// All chooses every line.
func All() Filter { return Filter{Severity: 7} }

// maxContains bounds the text searched for.
const maxContains = 1024

// ParseFilter reads host, app, severity and contains of a query.
func ParseFilter(q url.Values) (Filter, error) {
	f := All()
	f.Host, f.App, f.Contains = q.Get("host"), q.Get("app"), []byte(q.Get("contains"))
	if len(f.Contains) > maxContains {
		return f, fault.New(fault.Invalid, "tail: contains is longer than %d bytes", maxContains)
	}
	if s := q.Get("severity"); s != "" {
		sev, ok := parse.ParseSeverity(s)
		if !ok {
			return f, fault.New(fault.Invalid, "tail: severity %q is none of emerg to debug", s)
		}
		f.Severity = sev
	}
	return f, nil
}

// Match reports whether f chooses a line with these properties.
func (f *Filter) Match(host, app []byte, severity uint8, text []byte) bool {
	return severity <= f.Severity && (f.Host == "" || f.Host == string(host)) && (f.App == "" || f.App == string(app)) &&
		(len(f.Contains) == 0 || bytes.Contains(text, f.Contains))
}
