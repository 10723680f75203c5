package rule

import (
	"math/bits"
	"slices"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/ring"
)

// split is a Split, compiled.
type split struct {
	pools  []int // numbers of the parts' pools
	names  []string
	upTo   []uint64 // sums of the weights
	key    template
	cookie string
	any    [1]pattern // all values of the cookie
}

func (c *compiler) split(s *Split, p *parser) *split {
	out := &split{cookie: s.Cookie, any: [1]pattern{{op: anyValue}}}
	at := []any{"split"}
	if len(s.Parts) == 0 || len(s.Parts) > maxParts {
		c.problemf(at, "has %d pools, must have from 1 to %d", len(s.Parts), maxParts)
	}
	var sum uint64
	for i, part := range s.Parts {
		if slices.Contains(out.names, part.Pool) {
			c.problemf([]any{"split", "pools", i, "pool"}, "%q is listed twice", part.Pool)
		}
		if part.Weight < 0 || part.Weight > 1_000_000 {
			c.problemf([]any{"split", "pools", i, "weight"}, "is %d, must be from 0 to 1000000", part.Weight)
			continue
		}
		sum += uint64(part.Weight)
		out.pools = append(out.pools, c.poolNumber(part.Pool, []any{"split", "pools", i, "pool"}))
		out.names = append(out.names, part.Pool)
		out.upTo = append(out.upTo, sum)
	}
	if sum == 0 {
		c.problemf([]any{"split", "pools"}, "all weights are 0")
	}
	if s.Cookie != "" && !http1.IsToken(s.Cookie) {
		c.problemf([]any{"split", "cookie"}, "%q is no cookie's name", s.Cookie)
	}
	t, bad := p.parse(s.Key, inKey)
	c.problem([]any{"split", "key"}, bad)
	out.key = t
	return out
}

// choose returns the part for a request: that of its cookie, else by key, else by chance. told says that the cookie did it.
func (p *split) choose(v *Verdict) (part int, told bool, why Refusal) {
	if p.cookie != "" {
		var at found
		if v.s.cookie(p.cookie, p.any[:], &at) {
			for i, name := range p.names {
				if string(at.value) == name {
					return i, true, OK
				}
			}
		}
	}
	at := v.s.facts.Random
	if p.key != nil {
		begin := len(v.buf)
		v.buf, why = v.x.expand(v.buf, p.key, maxTarget)
		if why != OK {
			return 0, false, why
		}
		if key := v.buf[begin:]; len(key) > 0 {
			at = ring.Hash(key, splitSeed)
		}
		v.buf = v.buf[:begin]
	}
	at, _ = bits.Mul64(at, p.upTo[len(p.upTo)-1])
	for i, sum := range p.upTo {
		if at < sum {
			return i, false, OK
		}
	}
	return len(p.upTo) - 1, false, OK
}

// splitSeed keeps splits from following other hashes of the same keys, such as a pool's own.
const splitSeed = 0x73706c6974
