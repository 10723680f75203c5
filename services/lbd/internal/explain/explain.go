// Package explain answers which rule decides a request and why, from the configuration alone. It is pure: the request is a text that goes
// through the parser and the rules that the daemon uses.
package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// Question is a request and what is known of its connection.
type Question struct {
	Request   string   // "GET http://host/path?query"; without a method GET is meant
	Headers   []string // "Name: value"
	From      string   // address that the connection comes from; empty: 127.0.0.1
	TLSName   string   // server name asked for in TLS; empty: the URL's host, if that is https
	TLSClient string   // name in the client's certificate; empty: it has shown none
	DoS       []string // what all detectors think of the client: none, suspect, hard; or one of them: login=hard
	Random    float64  // for splits by chance: 0 up to, not including, 1
}

// Answer is what becomes of the request, and why.
type Answer struct {
	Client string `json:"client"`
	Scheme string `json:"scheme"`

	Outcome         string      `json:"outcome"` // in one line
	Kind            string      `json:"kind"`
	Rule            int         `json:"rule"` // -1: none decides
	Name            string      `json:"name,omitempty"`
	Status          int         `json:"status,omitempty"` // of an answer of lbd's own
	Reason          string      `json:"reason,omitempty"` // of a refusal
	Pool            string      `json:"pool,omitempty"`
	Target          string      `json:"target,omitempty"` // as it is forwarded, where it changes
	Host            string      `json:"host,omitempty"`
	File            string      `json:"file,omitempty"`
	Maintenance     bool        `json:"maintenance,omitempty"` // the configuration has it answered 503 in place of the outcome
	Location        string      `json:"location,omitempty"`
	SetCookie       string      `json:"set_cookie,omitempty"`
	Tags            []string    `json:"tags,omitempty"`
	RequestHeaders  []Edit      `json:"request_headers,omitempty"`
	ResponseHeaders []Edit      `json:"response_headers,omitempty"`
	Content         []string    `json:"content,omitempty"`    // what becomes of bodies
	CountedBy       []string    `json:"counted_by,omitempty"` // detectors
	Steps           []rule.Step `json:"steps"`
}

// Edit is a change of a header.
type Edit struct {
	Op    string `json:"op"` // remove, set, add
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Ask asks the configuration's routes. A question that is none is of class fault.Invalid; a request that lbd refuses has an answer.
func Ask(c *config.Config, q *Question) (*Answer, error) {
	head, secure, host, err := q.head()
	if err != nil {
		return nil, err
	}
	facts, peer, err := q.facts(host, secure)
	if err != nil {
		return nil, err
	}
	if facts.DoS, err = q.levels(c); err != nil {
		return nil, err
	}
	table, err := c.Table()
	if err != nil {
		return nil, err
	}
	lim := http1.DefaultLimits()
	lim.Head = int(c.MaxHeader)
	req := rule.HTTP1{Head: &http1.Head{HostAt: -1}, Bytes: head}
	if _, why := req.Head.ParseRequest(head, &lim); why != http1.OK {
		return &Answer{
			Client: peer.String(), Scheme: scheme(secure), Outcome: "refuse " + why.String(), Kind: rule.Refused.String(), Rule: -1,
			Status: why.Status(), Reason: why.String(), Steps: []rule.Step{},
		}, nil
	}
	trusted := c.Proxies()
	facts.Client, facts.Secure = trusted.Client(peer, &req), trusted.Secure(peer, secure, &req)
	var v rule.Verdict
	counted, err := countedBy(c, &req, &facts, &v)
	if err != nil {
		return nil, err
	}
	steps := table.Explain(&req, &facts, &v)
	a := answer(table, &facts, &v, steps)
	a.CountedBy = counted
	switch v.Kind {
	case rule.Forward:
		a.Content = content(c.Pools[conf.Name(v.Pool)], v.Plain)
	case rule.Serve:
		a.Content = compression(c.Routes[v.Rule].Files.Compress, v.Plain)
	}
	if c.UnderMaintenance(&v, facts.Client) {
		a.Maintenance = true
		a.Outcome += "; under maintenance: 503"
	}
	return a, nil
}

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// head writes the request as it would come over the wire.
func (q *Question) head() (head []byte, secure bool, host string, err error) {
	method, url, ok := strings.Cut(q.Request, " ")
	if !ok {
		method, url = "GET", q.Request
	}
	plain, isPlain := strings.CutPrefix(url, "http://")
	rest, secure := strings.CutPrefix(url, "https://")
	switch {
	case isPlain:
		rest = plain
	case !secure:
		return nil, false, "", fault.New(fault.Invalid, "explain: %q is no request: write it like 'GET http://www.example.com/path'", q.Request)
	}
	n := strings.IndexAny(rest, "/?")
	if n < 0 {
		n = len(rest)
	}
	host, target := rest[:n], rest[n:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	b := []byte(method + " " + target + " HTTP/1.1\r\n")
	if !slices.ContainsFunc(q.Headers, func(h string) bool { return len(h) > 5 && strings.EqualFold(h[:5], "host:") }) {
		b = append(b, "Host: "+host+"\r\n"...)
	}
	for _, h := range q.Headers {
		if strings.ContainsAny(h, "\r\n") || strings.IndexByte(h, ':') < 1 {
			return nil, false, "", fault.New(fault.Invalid, "explain: %q is no header: write it like 'User-Agent: curl'", h)
		}
		b = append(b, h+"\r\n"...)
	}
	return append(b, "\r\n"...), secure, host, nil
}

// facts reads what is known of the connection.
func (q *Question) facts(host string, secure bool) (f rule.Facts, peer netip.Addr, err error) {
	peer = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if q.From != "" {
		if peer, err = netip.ParseAddr(q.From); err != nil {
			return f, peer, fault.New(fault.Invalid, "explain: %q is no address", q.From)
		}
	}
	if q.Random < 0 || q.Random >= 1 {
		return f, peer, fault.New(fault.Invalid, "explain: chance is %v, must be from 0 up to, not including, 1", q.Random)
	}
	f.Random = uint64(q.Random*(1<<53)) << 11
	if f.ServerName = q.TLSName; f.ServerName == "" && secure {
		f.ServerName, _, _ = strings.Cut(host, ":")
	}
	if q.TLSClient != "" {
		f.Certificate = &rule.Certificate{Name: q.TLSClient, Subject: "CN=" + q.TLSClient}
	}
	return f, peer, nil
}

// levels reads what detectors think of the client.
func (q *Question) levels(c *config.Config) (rule.Levels, error) {
	states := make([]rule.DoS, len(c.DoS))
	for _, text := range q.DoS {
		name, state, one := strings.Cut(text, "=")
		if !one {
			state = text
		}
		n := slices.Index(rule.DoSNames(), state)
		if n < 0 {
			return 0, fault.New(fault.Invalid, "explain: %q is none of %s", state, strings.Join(rule.DoSNames(), ", "))
		}
		found := !one
		for i := range c.DoS {
			if !one || string(c.DoS[i].Name) == name {
				states[i], found = rule.DoS(n), true
			}
		}
		if !found {
			return 0, fault.New(fault.Invalid, "explain: there is no detector %q", name)
		}
	}
	var out rule.Levels
	for i, state := range states {
		out = out.With(i, state)
	}
	return out, nil
}

// countedBy returns the detectors that count the request, if its answer is of no type that they ignore.
func countedBy(c *config.Config, req rule.Request, f *rule.Facts, v *rule.Verdict) (out []string, err error) {
	v.Look(req, f)
	for i := range c.DoS {
		d := &c.DoS[i]
		filter, err := d.Filter()
		if err != nil {
			return nil, err
		}
		exempt := slices.ContainsFunc(d.Exempt, func(p conf.Prefix) bool { return p.Contains(f.Client.Unmap()) })
		if !exempt && (filter == nil || filter.Holds(v)) {
			out = append(out, string(d.Name))
		}
	}
	return out, nil
}

func answer(t *rule.Table, f *rule.Facts, v *rule.Verdict, steps []rule.Step) *Answer {
	a := &Answer{
		Client: f.Client.String(), Scheme: scheme(f.Secure), Outcome: v.Summary(), Kind: v.Kind.String(), Rule: v.Rule, Name: v.Name,
		Status: v.Status, Pool: v.Pool, Target: string(v.Target), Host: string(v.Host), Location: string(v.Location), SetCookie: string(v.SetCookie),
		RequestHeaders: edits(v.Request), ResponseHeaders: edits(v.Response), Steps: steps,
	}
	switch v.Kind {
	case rule.None:
		a.Status = 404
	case rule.Refused:
		a.Status, a.Reason = v.Refusal.Status(), v.Refusal.String()
	case rule.Serve:
		a.File = v.Files.Root + string(v.Path)
	}
	for i, name := range t.Tags() {
		if v.Tags()>>i&1 != 0 {
			a.Tags = append(a.Tags, name)
		}
	}
	if a.Steps == nil {
		a.Steps = []rule.Step{}
	}
	return a
}

// content says what becomes of the bodies of a request that is forwarded and of its answer.
func content(p *config.Pool, plain bool) (out []string) {
	if b := p.BufferRequests; b != nil {
		out = append(out, fmt.Sprintf("buffer the request, up to %v, %v of it in memory", b.Max, b.Memory))
	}
	out = append(out, compression(p.Compress, plain)...)
	if b := p.BufferResponses; b != nil {
		out = append(out, fmt.Sprintf("buffer the answer, up to %v, %v of it in memory", b.Max, b.Memory))
	}
	return out
}

// compression says whether an answer is compressed.
func compression(c *config.Compress, plain bool) []string {
	switch {
	case c == nil:
		return nil
	case plain:
		return []string{"do not compress the answer, as a route says"}
	}
	return []string{fmt.Sprintf("compress the answer by %s (%s) from %v on, if its type and the client allow", strings.Join(c.Codings, ", "), c.Level, c.Min)}
}

func edits(list []rule.Edit) []Edit {
	var out []Edit
	for _, e := range list {
		out = append(out, Edit{[...]string{"remove", "set", "add"}[e.Op], e.Name, string(e.Value)})
	}
	return out
}
