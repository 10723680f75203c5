package evict

import (
	"encoding/binary"
	"errors"
)

// A policy may go on in another process: the items keep their nodes, [Policy.Ends] and the nodes' links list them, [Policy.AppendState] writes the rest. There
// [Policy.LoadState] reads it into a new policy, and [Policy.Adopt] takes in the items that a [Roll] has checked. The Advisor begins anew.

// Reset forgets all items and ghosts, as after a flush. What the Advisor knows stays.
func (p *Policy[S]) Reset() {
	p.core = newCore(p.core.space, p.core.capacity, p.core.mode)
}

// stateVersion changes with the layout of what AppendState writes and with the meaning of a node's state.
const stateVersion = 1

// AppendState appends what LoadState needs: where the epoch and the slow hand stand, and the ghosts.
func (p *Policy[S]) AppendState(b []byte) []byte {
	c := &p.core
	b = append(b, stateVersion, c.epoch, c.evictions)
	b = binary.LittleEndian.AppendUint64(b, c.admitted)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.ghosts.n))
	for i := range c.ghosts.n {
		for _, x := range c.ghosts.bucket(i) {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
	}
	return b
}

var errState = errors.New("evict: malformed state")

// LoadState reads what AppendState wrote into a policy without items. Whatever the bytes are, it takes no more memory than their number.
func (p *Policy[S]) LoadState(b []byte) error {
	const head, bucket = 19, 2 * ghostSlots
	if len(b) < head || b[0] != stateVersion || b[1] < 1 || b[1] > epochs {
		return errState
	}
	n := binary.LittleEndian.Uint64(b[11:])
	ghost := b[head:]
	if n > uint64(len(ghost))/bucket || n*bucket != uint64(len(ghost)) {
		return errState
	}
	c := &p.core
	c.epoch, c.evictions, c.admitted = b[1], b[2], binary.LittleEndian.Uint64(b[3:])
	c.ghosts = ghosts{}
	for range n {
		c.ghosts.grow()
		to := c.ghosts.bucket(c.ghosts.n - 1)
		for i := range to {
			to[i] = binary.LittleEndian.Uint16(ghost[2*i:])
		}
		ghost = ghost[bucket:]
	}
	return nil
}
