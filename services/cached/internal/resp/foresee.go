package resp

import "github.com/everup/everup/services/cached/internal/engine"

// fewKeys is the number of keys below which there is too little to win by announcing them.
const fewKeys = 3

// foresee announces the keys at the head of in, arguments of a command on many, to the engine, so that their look-ups wait for memory only
// once. It returns how many arguments it has looked at, 1 at least.
func (c *conn) foresee(in []byte) (seen int) {
	var a engine.Ahead
	for !a.Full() && seen < c.left {
		length, n, bad := bulk(in, engine.MaxKey, !c.authed)
		if n == 0 || bad != "" || len(in) < n+length+2 {
			break
		}
		if length > 0 {
			a.Add(c.env.Store, in[n:n+length])
		}
		in = in[n+length+2:]
		seen++
	}
	if a.Len() >= fewKeys {
		a.Fetch(c.env.Store)
	}
	return max(seen, 1)
}
