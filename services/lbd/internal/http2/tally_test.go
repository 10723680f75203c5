package http2

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTally: what ends streams and connections is counted by who has said it and why.
func TestTally(t *testing.T) {
	u32 := func(n uint32) []byte { return appendUint32(nil, n) }
	f := newFlooder(t)
	f.hold = true
	f.frame(FrameRSTStream, 0, f.open(0), u32(uint32(Cancel)))
	f.frame(FrameRSTStream, 0, f.open(0), u32(0xbad))
	f.frame(FrameRSTStream, 0, 1, u32(uint32(Cancel))) // of one that has ended
	f.frame(FrameWindowUpdate, 0, f.open(0), u32(0))
	s := f.c.table.get(f.open(0))
	f.c.Reset(s, InternalError)
	f.c.Reset(s, InternalError)
	f.c.Release(s)
	f.c.Drain()
	f.c.FinishDrain()
	f.c.FinishDrain()
	f.frame(FrameGoAway, 0, 0, make([]byte, 8))
	f.frame(FrameGoAway, 0, 0, make([]byte, 8))
	f.frame(FramePing, 0, 0, nil)

	var got []string
	tally := &f.pool.Tallies[Server]
	tell := func(what string, c *Causes) {
		var n CauseCounts
		n.Add(c)
		n.Each(func(cause string, n uint64) { got = append(got, fmt.Sprintf("%s %s %d", what, cause, n)) })
	}
	tell("reset sent", &tally.Resets[Sent])
	tell("reset received", &tally.Resets[Received])
	tell("goaway sent", &tally.GoAways[Sent])
	tell("goaway received", &tally.GoAways[Received])
	slices.Sort(got)
	want := []string{
		"goaway received no-error 1", "goaway sent bad-frame-size 1", "goaway sent no-error 1",
		"reset received cancel 1", "reset received other 1", "reset sent internal-error 1", "reset sent zero-increment 1",
	}
	if d := cmp.Diff(want, got); d != "" || tally.Opened.Load() != 4 || tally.Released.Load() != 4 {
		t.Errorf("%d opened, %d released, -want +got\n%s", tally.Opened.Load(), tally.Released.Load(), d)
	}
}
