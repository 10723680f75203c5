package rule

import (
	"bytes"
	"slices"
)

// index finds the rules whose conditions on host and path can hold, without a look at the others.
type index struct {
	names    map[string]*bucket // hosts that rules name, with all rules for them
	suffixes map[string]*bucket // ".example.com" for *.example.com, with all rules for names below it
	rest     *bucket            // rules for any host
}

// bucket is a list of rules by the path they begin with.
type bucket struct {
	any    []uint16            // for any path
	byPath map[string][]uint16 // by whole segments, such as "/a/b"
	depth  int                 // most segments of a key
}

// maxDepth is how many segments of a path the index looks at.
const maxDepth = 7

func newIndex(rules []compiled) index {
	names, suffixes := map[string][]int{}, map[string][]int{}
	var rest []int
	for i := range rules {
		ns, ss, all := hostKeys(rules[i].when.hosts)
		if all {
			rest = append(rest, i)
		}
		for _, n := range ns {
			names[n] = append(names[n], i)
		}
		for _, s := range ss {
			suffixes[s] = append(suffixes[s], i)
		}
	}
	x := index{names: map[string]*bucket{}, suffixes: map[string]*bucket{}, rest: newBucket(rules, rest)}
	for n, own := range names {
		x.names[n] = newBucket(rules, withSuffixes(own, n, suffixes))
	}
	for s, own := range suffixes {
		x.suffixes[s] = newBucket(rules, withSuffixes(own, s, suffixes))
	}
	return x
}

// withSuffixes adds the rules for the names that host is below.
func withSuffixes(own []int, host string, suffixes map[string][]int) []int {
	out := slices.Clone(own)
	for i := 1; i < len(host); i++ {
		if host[i] == '.' {
			out = append(out, suffixes[host[i:]]...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func newBucket(rules []compiled, list []int) *bucket {
	b := &bucket{byPath: map[string][]uint16{}}
	for _, i := range list {
		keys := pathKeys(rules[i].when.paths)
		if len(keys) == 0 {
			b.any = append(b.any, uint16(i))
		}
		for _, k := range keys {
			k, segments := cutSegments(k)
			if list := b.byPath[k]; len(list) == 0 || list[len(list)-1] != uint16(i) {
				b.byPath[k] = append(list, uint16(i))
			}
			b.depth = max(b.depth, segments)
		}
	}
	return b
}

// cutSegments cuts a key to maxDepth segments.
func cutSegments(key string) (string, int) {
	n := 0
	for i := range len(key) {
		if key[i] != '/' {
			continue
		}
		if n == maxDepth {
			return key[:i], n
		}
		n++
	}
	return key, n
}

// cursor goes through lists of rules in the rules' order.
type cursor struct {
	lists [2 * (maxDepth + 1)][]uint16
	n     int
}

func (c *cursor) add(list []uint16) {
	if len(list) > 0 {
		c.lists[c.n] = list
		c.n++
	}
}

// next returns the next rule, -1 at the end.
func (c *cursor) next() int {
	best := -1
	for i := range c.lists[:c.n] {
		if l := c.lists[i]; len(l) > 0 && (best < 0 || int(l[0]) < best) {
			best = int(l[0])
		}
	}
	if best < 0 {
		return -1
	}
	for i := range c.lists[:c.n] {
		if l := c.lists[i]; len(l) > 0 && int(l[0]) == best {
			c.lists[i] = l[1:]
		}
	}
	return best
}

// candidates puts the lists for a request into c.
func (x *index) candidates(host, path []byte, c *cursor) {
	if b := x.forHost(host); b != nil {
		b.candidates(path, c)
	}
	x.rest.candidates(path, c)
}

// forHost returns the bucket of the rules that name the host, nil if none does.
func (x *index) forHost(host []byte) *bucket {
	if b := x.names[string(host)]; b != nil || len(x.suffixes) == 0 {
		return b
	}
	for i := 1; i < len(host); i++ {
		if host[i] == '.' {
			if b := x.suffixes[string(host[i:])]; b != nil {
				return b
			}
		}
	}
	return nil
}

func (b *bucket) candidates(path []byte, c *cursor) {
	c.add(b.any)
	end := 0
	for range b.depth {
		if end >= len(path) {
			return
		}
		n := bytes.IndexByte(path[end+1:], '/')
		if n < 0 {
			n = len(path) - end - 1
		}
		end += 1 + n
		c.add(b.byPath[string(path[:end])])
	}
}
