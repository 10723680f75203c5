// Package subject builds and parses the NATS subjects of everup's bus. All have a fixed number of tokens:
//
//	everup.<fleet>.event.<service>.<kind>       an event
//	everup.<fleet>.do.<service>.<node>.<verb>   a request to one daemon
//	everup.<fleet>.do.<service>._all.<verb>     the same asked of every daemon of a service
//	everup.<fleet>.do._all._all.<verb>          … of every daemon
//
// A name is one token of the grammar of conf.Name: a lower-case letter or digit, then lower-case letters, digits, '-'
// or '_', at most 63 bytes. No name begins with an underscore, so that "_all" can be none; and nothing has to be
// escaped, because what does not fit the grammar is refused.
package subject

import (
	"strings"

	"github.com/everup/everup/shared/fault"
)

const (
	// All stands for every service or every node in a request.
	All = "_all"
	// Any matches one token in a subscription.
	Any = "*"
	// MaxName is the longest name in bytes.
	MaxName = 63
)

const (
	root       = "everup"
	eventToken = "event"
	doToken    = "do"
)

// Valid reports whether name can be a token: the grammar of conf.Name.
func Valid(name string) bool {
	if name == "" || len(name) > MaxName || name[0] == '-' || name[0] == '_' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// Event is the subject of an event, or a pattern of them when Fleet, Service or Kind is Any.
type Event struct{ Fleet, Service, Kind string }

// String returns the subject. An invalid part would make another subject: Check first what was not checked before.
func (e Event) String() string {
	return strings.Join([]string{root, e.Fleet, eventToken, e.Service, e.Kind}, ".")
}

// Check returns fault.Invalid unless every part is a name or Any.
func (e Event) Check() error {
	for _, part := range []struct{ what, name string }{{"fleet", e.Fleet}, {"service", e.Service}, {"kind", e.Kind}} {
		if part.name != Any && !Valid(part.name) {
			return badName(part.what, part.name)
		}
	}
	return nil
}

// Request is the subject of a request. Node is All for every node, and with it Service may be All too.
type Request struct{ Fleet, Service, Node, Verb string }

// String returns the subject; see Event.String.
func (r Request) String() string {
	return strings.Join([]string{root, r.Fleet, doToken, r.Service, r.Node, r.Verb}, ".")
}

// Check returns fault.Invalid unless every part is a name, or All where that may stand.
func (r Request) Check() error {
	switch {
	case !Valid(r.Fleet):
		return badName("fleet", r.Fleet)
	case !Valid(r.Node) && r.Node != All:
		return badName("node", r.Node)
	case !Valid(r.Service) && (r.Service != All || r.Node != All):
		return badName("service", r.Service)
	case !Valid(r.Verb):
		return badName("verb", r.Verb)
	}
	return nil
}

// ParseEvent is the reverse of Event.String for subjects without wildcards.
func ParseEvent(s string) (Event, error) {
	t := strings.Split(s, ".")
	if len(t) != 5 || t[0] != root || t[2] != eventToken {
		return Event{}, notOurs(s)
	}
	e := Event{Fleet: t[1], Service: t[3], Kind: t[4]}
	if e.Fleet == Any || e.Service == Any || e.Kind == Any {
		return Event{}, notOurs(s)
	}
	if err := e.Check(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// ParseRequest is the reverse of Request.String.
func ParseRequest(s string) (Request, error) {
	t := strings.Split(s, ".")
	if len(t) != 6 || t[0] != root || t[2] != doToken {
		return Request{}, notOurs(s)
	}
	r := Request{Fleet: t[1], Service: t[3], Node: t[4], Verb: t[5]}
	if err := r.Check(); err != nil {
		return Request{}, err
	}
	return r, nil
}

// AnyEvents matches the events of every fleet, for what a client without credentials may read.
func AnyEvents() string { return root + "." + Any + "." + eventToken + ".>" }

// Events matches all events of a fleet.
func Events(fleet string) string { return root + "." + fleet + "." + eventToken + ".>" }

// Requests matches all requests of a fleet.
func Requests(fleet string) string { return root + "." + fleet + "." + doToken + ".>" }

func badName(what, name string) error {
	return fault.New(fault.Invalid, "bus: %s %.80q is not a name (lower-case letters, digits, '-', '_', at most %d)", what, name, MaxName)
}

func notOurs(s string) error {
	return fault.New(fault.Invalid, "bus: %.200q is not a subject of everup", s)
}
