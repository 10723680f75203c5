package rule

import "slices"

// covers reports whether every request that b matches is one that r matches. It may say no where that is so all the same.
func (r *compiled) covers(b *compiled) bool {
	if !r.when.covers(&b.when) {
		return false
	}
	for i := range r.not { // what r leaves out, b leaves out
		if !slices.ContainsFunc(b.not, func(n conds) bool { return n.covers(&r.not[i]) }) {
			return false
		}
	}
	return true
}

func (c *conds) covers(b *conds) bool {
	return coverAll(c.hosts, b.hosts) && coverAll(c.paths, b.paths) && coverAll(c.servers, b.servers) &&
		coverAll(c.clients, b.clients) && coverAll(c.agents, b.agents) &&
		subset(c.methods, b.methods) && coverBits(uint64(c.schemes), uint64(b.schemes)) && coverThoughts(c.dos, b.dos) &&
		(!c.hasTagged || b.hasTagged && b.tagged&^c.tagged == 0) && c.from.covers(b.from) &&
		coverNamed(c.headers, b.headers) && coverNamed(c.cookies, b.cookies) && coverNamed(c.query, b.query)
}

// coverAll reports whether what matches one of b matches one of a. None stands for everything.
func coverAll(a, b []pattern) bool {
	if len(a) == 0 {
		return true
	}
	for i := range b {
		if !slices.ContainsFunc(a, func(p pattern) bool { return p.covers(&b[i]) }) {
			return false
		}
	}
	return len(b) > 0
}

func (p *pattern) covers(b *pattern) bool {
	switch {
	case p.op == anyValue:
		return true
	case b.op == equal:
		return p.match([]byte(b.text))
	case p.op != b.op:
		return false
	}
	switch p.op {
	case below:
		return isBelow([]byte(b.text), p.text)
	case under:
		return p.text == b.text || p.match([]byte(b.text))
	case contains:
		return containsFold([]byte(b.text), p.text)
	case matches:
		return p.re.String() == b.re.String()
	}
	return false
}

func subset(a, b []string) bool {
	if len(a) == 0 {
		return true
	}
	for _, s := range b {
		if !slices.Contains(a, s) {
			return false
		}
	}
	return len(b) > 0
}

func coverBits(a, b uint64) bool { return a == 0 || b != 0 && b&^a == 0 }

// covers reports whether each network of b is within one of r.
func (r ranges) covers(b ranges) bool {
	if len(r) == 0 {
		return true
	}
	for _, s := range b {
		if !slices.ContainsFunc(r, func(o span) bool { return o.low.Compare(s.low) <= 0 && s.high.Compare(o.high) <= 0 }) {
			return false
		}
	}
	return len(b) > 0
}

// coverNamed reports whether what meets b meets a: each name of a is among b's, with no more values.
func coverNamed(a, b []named) bool {
	for i := range a {
		j := slices.IndexFunc(b, func(n named) bool { return n.name == a[i].name })
		if j < 0 || !coverAll(a[i].values, b[j].values) {
			return false
		}
	}
	return true
}
