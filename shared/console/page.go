package console

import (
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
)

// pages renders the page and its parts.
type pages struct{ t *template.Template }

// sections are the parts of the page that change as a whole.
type sections struct {
	Title   string `json:"title"` // text; the rest is HTML
	Summary string `json:"summary"`
	Wrong   string `json:"wrong"`
	Members string `json:"members"`
	Pools   string `json:"pools"`
}

// page is what the whole page is made of.
type page struct {
	View
	Title    string
	Events   []EventRow
	Follow   string // the command that follows events
	Position string
	Refresh  int // seconds, without JavaScript
	MaxRows  int // of events that the page keeps
}

func parsePages(a assets) pages {
	t := template.New("").Funcs(template.FuncMap{"asset": a.path})
	return pages{template.Must(t.ParseFS(files, "assets/*.html"))}
}

// title is what the browser's tab says.
func title(v View) string {
	switch n := len(v.Findings); n {
	case 0:
		return v.Fleet + " – everup"
	case 1:
		return "1 finding – " + v.Fleet + " – everup"
	default:
		return strconv.Itoa(n) + " findings – " + v.Fleet + " – everup"
	}
}

// sections renders what changes.
func (p pages) sections(v View) (sections, error) {
	s := sections{Title: title(v)}
	for name, to := range map[string]*string{"summary": &s.Summary, "wrong": &s.Wrong, "members": &s.Members, "pools": &s.Pools} {
		html, err := p.render(name, v)
		if err != nil {
			return sections{}, err
		}
		*to = html
	}
	return s, nil
}

// events renders rows of the table of events, one string each, newest first.
func (p pages) events(events []bus.Event) ([]string, error) {
	rows := eventRows(events)
	out := make([]string, len(rows))
	for i, r := range rows {
		html, err := p.render("event", r)
		if err != nil {
			return nil, err
		}
		out[i] = html
	}
	return out, nil
}

// write renders the whole page.
func (p pages) write(w io.Writer, v View, events []bus.Event, socket, position string) error {
	data := page{
		View: v, Title: title(v), Events: eventRows(events), Position: position, Refresh: 10, MaxRows: maxEvents,
		Follow: "curl -N --unix-socket " + socket + " 'http://everup/v1/events?follow=1'",
	}
	return fault.Wrap(fault.Internal, p.t.ExecuteTemplate(w, "page.html", data), "console: render the page")
}

func (p pages) render(name string, data any) (string, error) {
	var b strings.Builder
	if err := p.t.ExecuteTemplate(&b, name, data); err != nil {
		return "", fault.Wrap(fault.Internal, err, "console: render %s", name)
	}
	return b.String(), nil
}
