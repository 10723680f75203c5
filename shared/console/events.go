package console

import (
	"net/url"
	"strings"
	"time"

	"github.com/everup/everup/shared/bus"
)

// EventRow is one event on the page.
type EventRow struct {
	Anchor string
	Time   Stamp
	Clock  string // "10:05:00"
	From   string // member id
	Kind   string
	Tone   string
	Object string
	Data   string // the JSON, cut
	JSON   string
}

// eventID names an event in the fleet: ids are unique with their source.
func eventID(e bus.Event) string { return e.Node + "/" + e.Service + "/" + e.ID }

// newEventRow makes the row of an event.
func newEventRow(e bus.Event) EventRow {
	id := eventID(e)
	return EventRow{
		Anchor: anchor("event", id), Time: stamp(e.Time, e.Time), Clock: e.Time.UTC().Format(time.TimeOnly),
		From: clean(e.Node + "/" + e.Service), Kind: clean(e.Kind), Tone: eventTone(e.Kind), Object: clean(e.Object),
		Data: eventData(e), JSON: "/api/events?id=" + url.QueryEscape(id),
	}
}

func eventData(e bus.Event) string {
	if s := string(e.Data); s != "null" {
		return clean(s)
	}
	return ""
}

// eventTone tells whether a kind of event is good news.
func eventTone(kind string) string {
	last := kind[strings.LastIndexByte(kind, '-')+1:]
	switch last {
	case "down", "raised", "rejected", "fault", "ejected", "lagging":
		return "fail"
	case "up", "cleared", "applied", "ready", "active":
		return "ok"
	}
	return "idle"
}

// eventRows makes the rows, newest first.
func eventRows(events []bus.Event) []EventRow {
	out := make([]EventRow, len(events))
	for i, e := range events {
		out[len(events)-1-i] = newEventRow(e)
	}
	return out
}
