package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Step is what became of one rule.
type Step struct {
	Rule   int    `json:"rule"`
	Name   string `json:"name,omitempty"`
	Failed string `json:"failed,omitempty"` // the first condition that did not hold: its key; empty: all held
	Have   string `json:"have,omitempty"`   // what the request has there
	Want   string `json:"want,omitempty"`   // what the rule wants
	Then   string `json:"then,omitempty"`   // what the rule did
}

// Explain is Decide, without a Limiter as if every limit let the request pass, and tells of each rule up to the one that decided, also of those the index spares a look.
func (t *Table) Explain(req Request, f *Facts, v *Verdict) []Step {
	var out []Step
	v.reset()
	asked, facts := &passing{limits: t.limits}, *f
	if facts.Limiter == nil {
		facts.Limiter = asked
	}
	if why := v.s.begin(req, &facts); why != OK {
		v.refuse(why)
		return nil
	}
	if !v.s.hasPath() {
		return nil
	}
	for i := range t.rules {
		r := &t.rules[i]
		step := Step{Rule: i, Name: r.Rule.Name}
		failed, which := r.fails(&v.s)
		if failed != met {
			step.Failed = failed.String()
			step.Have, step.Want = v.s.have(r, failed, which), want(r, failed, which)
			out = append(out, step)
			continue
		}
		asked.asked = nil
		done := t.apply(r, i, v)
		step.Then = t.then(r, v, done, asked.asked)
		out = append(out, step)
		if done {
			break
		}
	}
	v.tell()
	return out
}

// then says what a rule that matched did.
func (t *Table) then(r *compiled, v *Verdict, done bool, limits []string) string {
	var out []string
	if len(r.Rule.Tags) > 0 {
		out = append(out, "tag "+strings.Join(r.Rule.Tags, ", "))
	}
	if n := len(r.request); n > 0 {
		out = append(out, fmt.Sprintf("change %d request headers", n))
	}
	if n := len(r.response); n > 0 {
		out = append(out, fmt.Sprintf("change %d response headers", n))
	}
	if r.Rule.HSTS != "" && v.s.facts.Secure {
		out = append(out, "hsts")
	}
	out = append(out, limits...)
	if r.Rule.Tarpit > 0 {
		out = append(out, fmt.Sprintf("wait %v", r.Rule.Tarpit))
	}
	if r.Rule.Plain {
		out = append(out, "do not compress")
	}
	if !done {
		return strings.Join(append(out, "go on"), "; ")
	}
	return strings.Join(append(out, v.Summary()), "; ")
}

// Summary says in one line what becomes of the request.
func (v *Verdict) Summary() string {
	switch v.Kind {
	case Refused:
		return fmt.Sprintf("refuse %d %s", v.Refusal.Status(), v.Refusal)
	case Forward:
		s := "pool " + v.Pool
		if v.Target != nil {
			s += fmt.Sprintf(" as %s", v.Target)
		}
		if v.Host != nil {
			s += fmt.Sprintf(" at host %s", v.Host)
		}
		return s
	case Serve:
		return fmt.Sprintf("file %s of %s", v.Path, v.Files.Root)
	case Send:
		return fmt.Sprintf("redirect %d %s", v.Status, v.Location)
	case Fixed:
		return fmt.Sprintf("answer %d", v.Status)
	case Denied:
		return "deny 403"
	case Dropped:
		return "drop"
	case Limited:
		return fmt.Sprintf("limit %d", v.Status)
	}
	return "no rule: 404"
}

// have says what the request has where a condition failed.
func (s *state) have(r *compiled, c cond, which int) string {
	switch c {
	case onHost:
		return string(s.host)
	case onPath:
		return string(s.path)
	case onMethod:
		return string(s.req.Method())
	case onScheme:
		return schemeName(s.facts.Secure)
	case onDoS:
		return DoSNames()[min(s.facts.DoS.Of(int(r.when.dos[which].detector)), Hard)]
	case onServerName:
		return s.facts.ServerName
	case onTLSClient:
		return s.facts.Certificate.text("tls_client")
	case onFrom:
		return s.facts.Client.String()
	case onUserAgent:
		return s.values("user-agent")
	case onHeader:
		return s.values(r.when.headers[which].name)
	}
	return ""
}

// values lists the values of a header.
func (s *state) values(name string) string {
	var out []string
	for v, i := find(s.req, name, 0); i >= 0; v, i = find(s.req, name, i+1) {
		out = append(out, string(v))
	}
	return strings.Join(out, ", ")
}

// want says what a rule wants where a condition failed.
func want(r *compiled, c cond, which int) string {
	m := r.Rule
	list := func(values []string) string { return strings.Join(values, ", ") }
	byName := func(m map[string][]string) string {
		name := slices.SortedFunc(maps.Keys(m), strings.Compare)[which]
		return name + ": " + list(m[name])
	}
	switch c {
	case onHost:
		return list(m.Host)
	case onPath:
		return list(m.Path)
	case onMethod:
		return list(m.Method)
	case onScheme:
		return list(m.Scheme)
	case onDoS:
		name := slices.Sorted(maps.Keys(m.DoS))[which]
		if name == AnyDetector {
			return list(m.DoS[name])
		}
		return byName(m.DoS)
	case onTagged:
		return list(m.Tagged)
	case onServerName:
		return list(m.ServerName)
	case onTLSClient:
		return list(m.TLSClient)
	case onFrom:
		var out []string
		for _, p := range m.From {
			out = append(out, p.String())
		}
		return list(out)
	case onUserAgent:
		return list(m.UserAgent)
	case onHeader:
		return byName(m.Header)
	case onCookie:
		return byName(m.Cookie)
	case onQuery:
		return byName(m.Query)
	case onNot:
		return fmt.Sprintf("not[%d] must not match", which)
	}
	return ""
}
