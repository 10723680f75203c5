package rule

import (
	"strconv"
	"strings"
	"time"
)

// Bounds of limits.
const (
	MaxLimits     = 256 // of a table
	maxRuleLimits = 16
	MaxDelay      = time.Minute
)

// Limit bounds the requests of each key that meet a rule's conditions. Limits of a rule count in their order, before its outcome; one that
// refuses ends that, and what the earlier ones have counted stays counted. Limits of rules behind the one that decides count nothing. A request whose
// key is empty, as that of a header that it does not have, is not limited.
type Limit struct {
	Name     string // for people; empty: the rule's, and the limit's place there
	Requests int64  // so many
	Per      time.Duration
	Burst    int64  // so many at once, after a rest
	Key      string // template; empty: the client's address, cut to V4 or V6 bits
	V4, V6   int

	Action OverLimit
	Status int           // Refuse: 429 or 503
	Delay  time.Duration // Delay
	Tags   []string      // Tag
	DryRun bool          // count, and do nothing
	Tell   bool          // say in the answers that pass what is left
}

// OverLimit is what becomes of a request above a limit.
type OverLimit uint8

// The actions.
const (
	Refuse OverLimit = iota // Status, with Retry-After
	Hold                    // it waits for Delay, and the rules go on
	Cut                     // close without an answer
	Mark                    // Tags are set, and the rules go on
)

// Actions returns the actions' names, in order.
func Actions() []string { return []string{"refuse", "tarpit", "drop", "tag"} }

// String returns the action's name.
func (o OverLimit) String() string { return Actions()[min(int(o), len(Actions())-1)] }

// Limiter counts the requests of limits.
type Limiter interface {
	// Take asks for a request of the key, by a limit of Table.Limits. The key is good during the call.
	Take(limit int, key []byte) Grant
}

// Grant is what a Limiter says.
type Grant struct {
	OK   bool
	Wait time.Duration // until the next is granted, if not OK
	Left int64         // how many more are granted now
	Full time.Duration // until Burst are
}

// compiledLimit is a Limit, compiled.
type compiledLimit struct {
	*Limit
	number int // in Table.Limits
	key    template
	tags   uint64
}

// Limits returns the limits of all rules; a Verdict and a Limiter name them by their place.
func (t *Table) Limits() []*Limit { return t.limits }

// sets reports whether the rule may set a tag.
func (r *Rule) sets(tag string) bool {
	has := func(list []string) bool {
		for _, s := range list {
			if s == tag {
				return true
			}
		}
		return false
	}
	for i := range r.Limits {
		if has(r.Limits[i].Tags) {
			return true
		}
	}
	return has(r.Tags)
}

// limit compiles what bounds a rule's requests.
func (c *compiler) limit(r *Rule, out *compiled, p *parser) {
	if r.Tarpit < 0 || r.Tarpit > MaxDelay {
		c.problemf([]any{"tarpit", "delay"}, "is %v, must be from 0 to %v", r.Tarpit, MaxDelay)
	}
	if len(r.Limits) > maxRuleLimits {
		c.problemf([]any{"limit"}, "has %d limits, more than %d", len(r.Limits), maxRuleLimits)
		return
	}
	for i := range r.Limits {
		l := &r.Limits[i]
		at := func(key string) []any { return []any{"limit", i, key} }
		if l.Requests < 1 || l.Per <= 0 || l.Burst < 1 {
			c.problemf([]any{"limit", i}, "is for %d requests in %v and %d at once: all must be above 0", l.Requests, l.Per, l.Burst)
		}
		if l.Delay < 0 || l.Delay > MaxDelay {
			c.problemf(at("delay"), "is %v, must be from 0 to %v", l.Delay, MaxDelay)
		}
		n := compiledLimit{Limit: l, number: len(c.limits)}
		var bad *fault
		n.key, bad = p.parse(l.Key, inKey)
		c.problem(at("key"), bad)
		for j, name := range l.Tags {
			if tag, ok := c.tag(name, append(at("tag"), j)); ok {
				n.tags |= 1 << tag
			}
		}
		out.mayTag |= n.tags
		out.limits = append(out.limits, n)
		c.limits = append(c.limits, l)
	}
	if len(c.limits) > MaxLimits {
		c.problemf([]any{"limit"}, "more than %d limits in all", MaxLimits)
		c.limits = c.limits[:0]
	}
}

// count asks the rule's limits in order; over says that one of them decides.
func (v *Verdict) count(r *compiled) (over bool, why Refusal) {
	for i := range r.limits {
		l := &r.limits[i]
		begin := len(v.buf)
		if why := v.limitKey(l); why != OK {
			return false, why
		}
		key := v.buf[begin:]
		v.buf = v.buf[:begin]
		if len(key) == 0 || v.s.facts.Limiter == nil {
			continue
		}
		g := v.s.facts.Limiter.Take(l.number, key)
		if l.Tell && !l.DryRun && (v.teller == nil || g.Left < v.told.Left) {
			v.teller, v.told = l.Limit, g
		}
		if !g.OK && !l.DryRun && v.over(l, &g) {
			return true, OK
		}
	}
	return false, OK
}

// limitKey appends a limit's key to buf.
func (v *Verdict) limitKey(l *compiledLimit) (why Refusal) {
	if l.key != nil {
		v.buf, why = v.x.expand(v.buf, l.key, maxTarget)
		return why
	}
	a, bits := v.s.facts.Client.Unmap(), l.V6
	if a.Is4() {
		bits = l.V4
	}
	if p, err := a.Prefix(bits); err == nil {
		v.buf = p.Addr().AppendTo(v.buf)
	}
	return OK
}

// over does what becomes of a request above a limit, and reports whether that decides.
func (v *Verdict) over(l *compiledLimit, g *Grant) bool {
	switch l.Action {
	case Hold:
		v.Delay = max(v.Delay, l.Delay)
		return false
	case Mark:
		v.s.tags |= l.tags
		return false
	case Cut:
		v.Kind = Dropped
	default:
		v.Kind, v.Status, v.Wait = Limited, l.Status, g.Wait
		v.teller, v.told = l.Limit, *g
	}
	v.Limit = l.number
	return true
}

// tell adds what is left of a limit to the answer: the fields of draft-ietf-httpapi-ratelimit-headers-07, the last with those that clients
// know, and Retry-After where one is refused. Limit is the burst, as that is what Remaining is left of.
func (v *Verdict) tell() {
	l := v.teller
	if l == nil {
		return
	}
	v.number("RateLimit-Limit", "ratelimit-limit", l.Burst)
	v.number("RateLimit-Remaining", "ratelimit-remaining", max(v.told.Left, 0))
	if v.Kind == Limited {
		wait := max(seconds(v.Wait), 1)
		v.number("RateLimit-Reset", "ratelimit-reset", wait)
		v.number("Retry-After", "retry-after", wait)
	} else {
		v.number("RateLimit-Reset", "ratelimit-reset", seconds(v.told.Full))
	}
	begin := len(v.buf)
	v.buf = strconv.AppendInt(v.buf, l.Requests, 10)
	v.buf = strconv.AppendInt(append(v.buf, ";w="...), max(seconds(l.Per), 1), 10)
	v.set("RateLimit-Policy", "ratelimit-policy", begin)
}

// number sets a field of the answer.
func (v *Verdict) number(name, lower string, n int64) {
	begin := len(v.buf)
	v.buf = strconv.AppendInt(v.buf, n, 10)
	v.set(name, lower, begin)
}

func (v *Verdict) set(name, lower string, begin int) {
	v.Response = change(v.Response, Edit{Set, name, v.buf[begin:len(v.buf):len(v.buf)], lower})
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// passing is a Limiter that lets all pass and notes what was asked.
type passing struct {
	asked  []string
	limits []*Limit
}

// Take notes the limit.
func (p *passing) Take(n int, key []byte) Grant {
	l := p.limits[n]
	p.asked = append(p.asked, l.summary(string(key)))
	return Grant{OK: true, Left: l.Burst - 1, Full: l.Per / time.Duration(l.Requests)}
}

// summary says what the limit is for a key, in one line.
func (l *Limit) summary(key string) string {
	var b strings.Builder
	b.WriteString("limit ")
	if l.Name != "" {
		b.WriteString(l.Name + " ")
	}
	b.WriteString(strconv.FormatInt(l.Requests, 10) + " per " + l.Per.String() + ", " + strconv.FormatInt(l.Burst, 10) + " at once, of " + strconv.Quote(key) + ", then ")
	switch l.Action {
	case Hold:
		b.WriteString("wait " + l.Delay.String())
	case Mark:
		b.WriteString("tag " + strings.Join(l.Tags, ", "))
	case Cut:
		b.WriteString("drop")
	default:
		b.WriteString(strconv.Itoa(l.Status))
	}
	if l.DryRun {
		b.WriteString(" (dry run)")
	}
	return b.String()
}
