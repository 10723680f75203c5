package load

import (
	"encoding/binary"
	"strconv"
)

// frame is how a hit of the text protocol looks when all values have one length: only the key's digits differ.
type frame struct {
	head string // VALUE and the key up to its digits
	foot string // flags, length and line end
	size int    // of the value; negative: lengths differ, and there is no frame
}

func newFrame(w *Workload) frame {
	if w.Protocol != Text || w.Sizes.Min != w.Sizes.Max {
		return frame{size: -1}
	}
	n := w.Sizes.Min
	return frame{
		head: "VALUE " + keyPrefix[:w.KeyLen-keyDigits],
		foot: " " + strconv.FormatUint(uint64(w.Flags), 10) + " " + strconv.Itoa(n) + "\r\n",
		size: n,
	}
}

// whole reads a hit that is there from VALUE to the line end behind the value and is the next key's. It returns 0 for anything else, also for
// a value whose turn it is to be compared: head and body look at those. With it a generator on one core keeps up with a server on another
// that answers many keys at once.
func (a *answers) whole(b []byte, r *Result) int {
	f := &a.plan.frame
	digits := len(f.head)
	foot := digits + keyDigits
	value := foot + len(f.foot)
	end := value + f.size + 2
	if f.size < 0 || len(b) < end || (a.values+1)%a.plan.CheckEvery == 0 || a.queue.len() == 0 {
		return 0
	}
	if q := a.queue.front(); !q.get || a.passed >= int(q.keys) {
		return 0
	}
	if string(b[:digits]) != f.head || string(b[foot:value]) != f.foot || b[end-2] != '\r' || b[end-1] != '\n' ||
		binary.BigEndian.Uint64(b[digits:]) != hex8(a.queue.key(a.passed)) {
		return 0
	}
	a.passed++
	a.values++
	r.Hits++
	r.Values += int64(f.size)
	return end
}
