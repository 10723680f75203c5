package forward

import (
	"container/list"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxTTL bounds how long an answer is kept whatever its records say, in seconds.
	maxTTL = 24 * 3600
	// maxNegative bounds negative answers (RFC 2308, 5: 1 to 3 hours).
	maxNegative = 3600
)

// key is what an answer is kept under.
type key struct {
	name   string // canonical
	qtype  uint16
	do, cd bool // DNSSEC OK and checking disabled change the answer
}

type entry struct {
	key     key
	msg     *dns.Msg // never changed
	stored  time.Time
	expires time.Time
}

// cache keeps answers, at most max; the least recently used goes first. Safe for concurrent use.
type cache struct {
	max int

	mu     sync.Mutex
	items  map[key]*list.Element // of *entry
	recent *list.List
}

func newCache(max int) *cache {
	return &cache{max: max, items: map[key]*list.Element{}, recent: list.New()}
}

// get returns a copy whose TTLs have gone down by the time it was kept.
func (c *cache) get(now time.Time, k key) *dns.Msg {
	c.mu.Lock()
	el := c.items[k]
	if el == nil {
		c.mu.Unlock()
		return nil
	}
	e := el.Value.(*entry)
	if !now.Before(e.expires) {
		c.removeLocked(el)
		c.mu.Unlock()
		return nil
	}
	c.recent.MoveToFront(el)
	c.mu.Unlock()

	m := e.msg.Copy()
	age := uint32(now.Sub(e.stored) / time.Second)
	eachRR(m, func(h *dns.RR_Header) { h.Ttl -= min(h.Ttl, age) })
	return m
}

// put keeps m, which must not be changed afterwards, unless its records forbid it.
func (c *cache) put(now time.Time, k key, m *dns.Msg) {
	ttl, ok := lifetime(m)
	if c.max == 0 || !ok || ttl == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.items[k]; el != nil {
		c.removeLocked(el)
	}
	for len(c.items) >= c.max {
		c.removeLocked(c.recent.Back())
	}
	e := &entry{key: k, msg: m, stored: now, expires: now.Add(time.Duration(ttl) * time.Second)}
	c.items[k] = c.recent.PushFront(e)
}

func (c *cache) removeLocked(el *list.Element) {
	delete(c.items, c.recent.Remove(el).(*entry).key)
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.items)
}

// lifetime returns for how many seconds m may be kept: the least TTL of a positive answer, the SOA's word for a negative one
// (RFC 2308, 5). Errors and cut answers are not kept.
func lifetime(m *dns.Msg) (uint32, bool) {
	if m.Truncated || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return 0, false
	}
	if m.Rcode == dns.RcodeNameError || len(m.Answer) == 0 {
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				return min(soa.Hdr.Ttl, soa.Minttl, maxNegative), true
			}
		}
		return 0, false
	}
	ttl := uint32(maxTTL)
	eachRR(m, func(h *dns.RR_Header) { ttl = min(ttl, h.Ttl) })
	return ttl, true
}

// eachRR calls f for every record but OPT, whose TTL is none.
func eachRR(m *dns.Msg, f func(*dns.RR_Header)) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				f(h)
			}
		}
	}
}
