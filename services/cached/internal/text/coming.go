package text

import "github.com/everup/everup/services/cached/internal/engine"

// fewKeys is the number of keys below which there is too little to win by announcing them.
const fewKeys = 3

// coming are the next keys in the line of a get. They are announced to the engine together, so that their look-ups wait for memory only once.
type coming struct {
	ahead engine.Ahead
	word  [engine.AheadKeys]span // in the input
	next  int                    // that is not looked up yet
	long  bool                   // there are none: what comes next is too long for a key
}

func (c *coming) clear() {
	c.ahead.Clear()
	c.next, c.long = 0, false
}

// expect finds the keys at the beginning of in[t.pos:end], up to one that is too long. It reports whether any word is there.
func (t *turn) expect(end int) bool {
	c := &t.coming
	c.clear()
	line := t.in[:end]
	for i := t.pos; !c.ahead.Full(); {
		for i < end && line[i] == ' ' {
			i++
		}
		if i == end {
			break
		}
		w := span{i, tokenEnd(line, i)}
		if w.to-w.from > maxKey {
			c.long = c.ahead.Len() == 0
			break
		}
		c.word[c.ahead.Len()] = w
		c.ahead.Add(t.store, line[w.from:w.to])
		i = w.to
	}
	if c.ahead.Len() >= fewKeys {
		c.ahead.Fetch(t.store)
	}
	return c.long || c.ahead.Len() > 0
}
