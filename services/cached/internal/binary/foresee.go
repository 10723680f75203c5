package binary

import (
	"encoding/binary"

	"github.com/everup/everup/services/cached/internal/engine"
)

// fewKeys is the number of keys below which there is too little to win by announcing them.
const fewKeys = 3

// foresee announces the keys of the packets at the head of in to the engine, so that their look-ups wait for memory only once. It returns how many
// bytes it has looked at.
func (c *conn) foresee(in []byte) (seen int) {
	if c.env.SASL && !c.authed || len(in) < fewKeys*headerLen {
		return len(in)
	}
	var a engine.Ahead
	for rest := in; len(rest) >= headerLen && rest[0] == Request && !a.Full(); {
		key, ext := int64(binary.BigEndian.Uint16(rest[2:])), int64(rest[4])
		whole := headerLen + int64(binary.BigEndian.Uint32(rest[8:]))
		from := headerLen + ext
		if from+key > whole || whole > int64(len(rest)) {
			break
		}
		if key > 0 && key <= maxKey {
			a.Add(c.env.Store, rest[from:from+key])
		}
		rest = rest[whole:]
		seen = len(in) - len(rest)
	}
	if a.Len() >= fewKeys {
		a.Fetch(c.env.Store)
	}
	return seen
}
