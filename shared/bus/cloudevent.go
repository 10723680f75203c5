package bus

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/fault"
	"github.com/nats-io/nats.go"
)

const (
	// MaxData is the most bytes of JSON an event carries.
	MaxData = 64 << 10
	// maxObject bounds Event.Object, which is a header.
	maxObject = 512
	maxID     = 128

	specVersion = "1.0"
	contentJSON = "application/json"
)

// Header names of the binary mode, lower case as the CloudEvents NATS binding writes them; NATS compares them exactly.
const (
	headerSpec    = "ce-specversion"
	headerID      = "ce-id"
	headerType    = "ce-type"
	headerSource  = "ce-source"
	headerSubject = "ce-subject"
	headerTime    = "ce-time"
	headerContent = "content-type"
)

// idSource makes ids that are unique with the source: the process's start in nanoseconds and a counter.
type idSource struct {
	start string
	next  *atomic.Uint64
}

func newIDSource(start time.Time) idSource {
	return idSource{strconv.FormatInt(start.UnixNano(), 36), new(atomic.Uint64)}
}

func (s idSource) id() string { return s.start + "-" + strconv.FormatUint(s.next.Add(1), 10) }

// encodeEvent returns e as a message. e was checked by newEvent.
func encodeEvent(fleet string, e Event) *nats.Msg {
	m := &nats.Msg{
		Subject: subject.Event{Fleet: fleet, Service: e.Service, Kind: e.Kind}.String(),
		Header: nats.Header{
			headerSpec:    {specVersion},
			headerID:      {e.ID},
			headerType:    {"everup." + e.Service + "." + e.Kind},
			headerSource:  {"/everup/" + fleet + "/" + e.Node + "/" + e.Service},
			headerTime:    {e.Time.Format(time.RFC3339Nano)},
			headerContent: {contentJSON},
		},
		Data: e.Data,
	}
	if e.Object != "" {
		m.Header[headerSubject] = []string{e.Object}
	}
	return m
}

// decodeEvent is the reverse. What anybody may have published is checked: the attributes that CloudEvents demands, that type and
// source agree with the subject, sizes, and that the data is JSON.
func decodeEvent(m *nats.Msg) (Event, error) {
	at, err := subject.ParseEvent(m.Subject)
	if err != nil {
		return Event{}, err
	}
	h := func(name string) string { return m.Header.Get(name) }
	e := Event{ID: h(headerID), Service: at.Service, Kind: at.Kind, Object: h(headerSubject)}
	switch {
	case h(headerSpec) != specVersion:
		return Event{}, malformed(m, headerSpec)
	case e.ID == "" || len(e.ID) > maxID:
		return Event{}, malformed(m, headerID)
	case h(headerType) != "everup."+at.Service+"."+at.Kind:
		return Event{}, malformed(m, headerType)
	case len(e.Object) > maxObject || !utf8.ValidString(e.Object):
		return Event{}, malformed(m, headerSubject)
	case len(m.Data) > MaxData || len(m.Data) > 0 && !json.Valid(m.Data):
		return Event{}, malformed(m, "data")
	}
	if e.Node, err = sourceNode(h(headerSource), at); err != nil {
		return Event{}, malformed(m, headerSource)
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, h(headerTime)); err != nil {
		return Event{}, malformed(m, headerTime)
	}
	if len(m.Data) > 0 {
		e.Data = json.RawMessage(m.Data)
	}
	return e, nil
}

// sourceNode takes the node out of "/everup/<fleet>/<node>/<service>".
func sourceNode(source string, at subject.Event) (string, error) {
	rest, ok := strings.CutPrefix(source, "/everup/"+at.Fleet+"/")
	if ok {
		rest, ok = strings.CutSuffix(rest, "/"+at.Service)
	}
	if !ok || !subject.Valid(rest) {
		return "", fault.New(fault.Invalid, "bus: source %.200q", source)
	}
	return rest, nil
}

func malformed(m *nats.Msg, what string) error {
	return fault.New(fault.Invalid, "bus: event on %.200q: bad %s", m.Subject, what)
}
