package trailer

import (
	"testing"
	"time"
)

// noon is a time by the receiver's clock.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// receiver is a Window with a clock, and what is expected of it.
type receiver struct {
	t   *testing.T
	w   Window
	now time.Time
}

// take shows a claim to the window; at is the sender's clock beside ours.
func (r *receiver) take(sender, epoch, seq uint64, at time.Duration, want Verdict) {
	r.t.Helper()
	if v := r.w.Take(Claim{Sender: sender, Epoch: epoch, Seq: seq, At: r.now.Add(at)}, r.now); v != want {
		r.t.Errorf("sender %d, epoch %d, seq %d, sent at %v from now: %v, want %v", sender, epoch, seq, at, v, want)
	}
}

func newReceiver(t *testing.T) *receiver { return &receiver{t: t, now: noon} }

func TestReplay(t *testing.T) {
	r := newReceiver(t)
	r.take(1, 5, 10, 0, Accepted)
	r.take(1, 5, 10, 0, Replayed) // the same again
	r.take(1, 5, 11, 0, Accepted)
	r.take(1, 5, 10, 0, Replayed)
	r.take(1, 5, 14, 0, Accepted) // two lost
	r.take(1, 5, 13, 0, Replayed) // or overtaken
	r.take(1, 5, 12, 0, Replayed)
	r.take(1, 5, 15, 0, Accepted)
	r.take(1, 5, 15, 0, Replayed)
	r.take(1, 5, 1<<64-1, 0, Accepted)
	r.take(1, 5, 0, 0, Replayed)
}

func TestSenderRestarts(t *testing.T) {
	r := newReceiver(t)
	r.take(1, 5, 100, 0, Accepted)
	r.take(1, 6, 1, 0, Accepted)
	r.take(1, 5, 101, 0, Replayed) // of its earlier life, kept back
	r.take(1, 5, 1<<64-1, 0, Replayed)
	r.take(1, 6, 2, 0, Accepted)
	r.take(1, 4, 500, 0, Replayed) // its state was lost, and its Epoch was not made of the time
	// It has come up without a clock.
	r.take(1, 7, 0, -56*365*24*time.Hour, Accepted)
	r.take(1, 6, 3, 0, Replayed)
}

// TestReceiverRestarts: what can be replayed then is what the package's comment says.
func TestReceiverRestarts(t *testing.T) {
	r := newReceiver(t)
	r.take(1, 5, 1000, -time.Hour, Stale)
	r.take(1, 5, 1300, -MaxSkew-time.Millisecond, Stale)
	// A recording that is fresh enough, and the later ones, each once.
	r.take(1, 5, 1301, -MaxSkew, Accepted)
	r.take(1, 5, 1301, -MaxSkew, Replayed)
	r.take(1, 5, 1302, -MaxSkew, Accepted)
	r.take(1, 5, 1302, -MaxSkew, Replayed)
	// The first advert of the peer itself ends it.
	r.take(1, 5, 1600, 0, Accepted)
	r.take(1, 5, 1303, -MaxSkew, Replayed)
	r.take(1, 5, 1599, 0, Replayed)
}

func TestSkewAtFirst(t *testing.T) {
	f := func(skew time.Duration, want Verdict) {
		t.Helper()
		newReceiver(t).take(1, 5, 1, skew, want)
	}
	f(0, Accepted)
	f(MaxSkew, Accepted)
	f(-MaxSkew, Accepted)
	f(MaxSkew+1, Stale)
	f(-MaxSkew-1, Stale)
	f(292*365*24*time.Hour, Stale)
	f(-292*365*24*time.Hour, Stale)

	var w Window
	if v := w.Take(Claim{At: time.UnixMilli(1<<63 - 1)}, noon); v != Stale {
		t.Errorf("the end of time: %v", v)
	}
	if v := w.Take(Claim{At: time.UnixMilli(-1 << 63)}, noon); v != Stale {
		t.Errorf("the beginning of time: %v", v)
	}
}

// TestStaleLeavesNothing: an advert that is not taken does not make its sender known.
func TestStaleLeavesNothing(t *testing.T) {
	r := newReceiver(t)
	r.take(1, 9, 900, time.Hour, Stale)
	r.take(1, 5, 1, 0, Accepted)
	r.take(1, 5, 2, 0, Accepted)
}

// TestClockSteps: once a sender is heard, neither its clock nor ours matters.
func TestClockSteps(t *testing.T) {
	r := newReceiver(t)
	r.take(1, 5, 1, 20*time.Second, Accepted)
	r.take(1, 5, 2, time.Hour, Accepted) // the sender's clock was set
	r.take(1, 5, 3, -time.Hour, Accepted)
	r.now = noon.Add(24 * 365 * time.Hour) // ours was
	r.take(1, 5, 4, -24*365*time.Hour, Accepted)
	r.now = noon.Add(-24 * 365 * time.Hour)
	r.take(1, 5, 5, 24*365*time.Hour, Accepted)
	// A recording does not become fresh by our clock being set back to its time.
	r.take(1, 5, 2, 0, Replayed)
	r.take(1, 4, 9, 0, Replayed)
	// Nor by a long silence.
	r.now = noon.Add(7 * 24 * time.Hour)
	r.take(1, 5, 5, 0, Replayed)
	r.take(1, 5, 6, 0, Accepted)
}

// TestAddressChangesHands: a node with another's address, whatever its Epoch, is heard; what the other sent is not taken
// any more.
func TestAddressChangesHands(t *testing.T) {
	r := newReceiver(t)
	r.take(1, 50, 1000, 0, Accepted)
	r.take(2, 3, 1, -time.Minute, Stale)
	r.take(2, 3, 2, 0, Accepted)
	r.take(1, 50, 999, 0, Replayed)
	r.take(1, 50, 1000, 0, Replayed)
	r.take(2, 3, 2, 0, Replayed)
	r.take(2, 3, 3, time.Hour, Accepted)
	r.take(1, 50, 1001, time.Hour, Accepted)
}

// TestSendersAreBounded: a fifth sender displaces the one heard longest ago, which is then a stranger.
func TestSendersAreBounded(t *testing.T) {
	r := newReceiver(t)
	for s := uint64(1); s <= senders; s++ {
		r.take(s, 1, 10, 0, Accepted)
	}
	r.take(1, 1, 11, 0, Accepted) // 2 is now the one heard longest ago
	r.take(5, 1, 10, 0, Accepted)
	for _, s := range []uint64{1, 3, 4, 5} {
		r.take(s, 1, 10, 0, Replayed)
	}
	r.take(2, 1, 10, -time.Hour, Stale)
	r.take(2, 1, 10, 0, Accepted)
	r.take(3, 1, 11, -time.Hour, Stale) // displaced by 2's return
}
