package member

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestFiftyNodesJoinAndAgree(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 50 {
			r.add(config("lan"))
		}
		took := r.agree(15*time.Second, r.nodes...)
		t.Logf("50 nodes agree after %v", took)
		r.nodes[49].Announce(Announcement{Weight: 7})
		took = r.until(5*time.Second, "all hear the announcement", func() bool {
			return !slices.ContainsFunc(r.nodes, func(n *node) bool { return n.View().Members[49].Weight != 7 })
		})
		t.Logf("an announcement reaches all after %v", took)
	})
}

// steady fails the test if any member was not alive for any other since the given time: Since would have moved.
func (r *rig) steady(since time.Time) {
	r.t.Helper()
	for _, n := range r.nodes {
		for _, m := range n.View().Members {
			if m.State != Alive || m.Since.After(since) {
				r.t.Errorf("%s held %s for dead meanwhile: %v since %v", n.self, m.ID, m.State, m.Since)
			}
		}
	}
}

func TestLossMakesNoFalseDeath(t *testing.T) {
	f := func(timing string, nodes int, d time.Duration) {
		t.Helper()
		t.Run(timing, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start(nodes, config(timing))
				begin := time.Now()
				r.net.SetLoss(0.2)
				time.Sleep(d)
				r.steady(begin)
			})
		})
	}
	f("lan", 8, 2*time.Minute)
	f("fast", 5, 2*time.Minute)
	f("calm", 5, 5*time.Minute)
}

// detection runs trials in which the last `lost` of n nodes lose power, and returns after how long the first
// survivor, and all survivors, knew of all.
func detection(t *testing.T, timing string, n, lost, trials int) (first, all []time.Duration) {
	for i := range trials {
		inBubble(t, func(r *rig) {
			r.start(n, config(timing))
			time.Sleep(time.Duration(10000+137*i) * time.Millisecond)
			survivors, victims := r.nodes[:n-lost], r.nodes[n-lost:]
			begin := time.Now()
			for _, v := range victims {
				r.net.Isolate(v.host)
			}
			knows := func(s *node) bool {
				return !slices.ContainsFunc(victims, func(v *node) bool { return s.stateOf(v.self) == Alive })
			}
			r.until(time.Minute, "one knows", func() bool { return slices.ContainsFunc(survivors, knows) })
			first = append(first, time.Since(begin))
			r.until(time.Minute, "all know", func() bool {
				return !slices.ContainsFunc(survivors, func(s *node) bool { return !knows(s) })
			})
			all = append(all, time.Since(begin))
		})
	}
	slices.Sort(first)
	slices.Sort(all)
	return first, all
}

func TestDetection(t *testing.T) {
	const trials = 7
	// The bounds are the profile's promise for one death, with a margin for two at once.
	f := func(timing string, n, lost int, median, most time.Duration) {
		t.Helper()
		first, all := detection(t, timing, n, lost, trials)
		t.Logf("%s n=%d lost=%d: first knows %v (max %v), all know %v (max %v)", timing, n, lost,
			first[trials/2], first[trials-1], all[trials/2], all[trials-1])
		if all[trials/2] > median || all[trials-1] > most {
			t.Errorf("%s n=%d lost=%d: all know after %v (max %v), want %v (max %v)", timing, n, lost,
				all[trials/2], all[trials-1], median, most)
		}
	}
	const ms = time.Millisecond
	f("lan", 2, 1, 1200*ms, 1500*ms)
	f("lan", 5, 1, 1200*ms, 1600*ms)
	f("lan", 4, 2, 2000*ms, 3000*ms)
	f("fast", 2, 1, 700*ms, 900*ms)
	f("fast", 5, 1, 700*ms, 1000*ms)
	f("fast", 4, 2, 1200*ms, 2000*ms)
	f("calm", 2, 1, 7*time.Second, 9*time.Second)
	f("calm", 5, 1, 7*time.Second, 10*time.Second)
	f("calm", 4, 2, 14*time.Second, 20*time.Second)
}

func TestPartitionHeals(t *testing.T) {
	f := func(left, right int, d time.Duration) {
		t.Helper()
		t.Run(fmt.Sprintf("%d-%d-%v", left, right, d), func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start(left+right, config("lan"))
				a, b := r.nodes[:left], r.nodes[left:]
				r.net.Partition(hosts(a), hosts(b))
				time.Sleep(d)
				if d > 5*time.Second {
					r.agree(0, a...)
					r.agree(0, b...)
				}
				r.net.HealAll()
				took := r.agree(5*time.Second, r.nodes...)
				t.Logf("one fleet after %v", took)
				time.Sleep(20 * time.Second)
				r.agree(0, r.nodes...)
			})
		})
	}
	for _, d := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 20 * time.Second, 31 * time.Second, 2 * time.Minute} {
		f(3, 2, d)
		f(1, 1, d)
	}
	f(8, 8, 40*time.Second)
}

func TestLongPartitionHeals(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(3, config("calm"))
		r.net.Isolate(r.nodes[2].host)
		time.Sleep(35 * time.Minute)
		r.net.HealAll()
		t.Logf("one fleet after %v", r.agree(10*time.Second, r.nodes...))
	})
}

func TestDropOneWayIsNoDeath(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(5, config("lan"))
		begin := time.Now()
		r.net.Drop(r.nodes[0].host, r.nodes[1].host) // others still reach both
		time.Sleep(time.Minute)
		r.steady(begin)
	})
}

func TestBlockedWatcherStallsNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(3, config("lan"))
		_, cancel := r.nodes[0].Watch() // never read
		defer cancel()
		changed, cancel2 := r.nodes[0].Watch()
		defer cancel2()
		for i := range 200 {
			r.nodes[1].Announce(Announcement{Weight: uint16(i)})
			time.Sleep(50 * time.Millisecond)
		}
		r.until(2*time.Second, "the last announcement arrives", func() bool { return r.nodes[0].View().Members[1].Weight == 199 })
		if len(changed) != 1 {
			t.Errorf("the watcher holds %d tokens, want one", len(changed))
		}
		r.net.Isolate(r.nodes[2].host)
		r.agree(3*time.Second, r.nodes[0], r.nodes[1])
	})
}

// A callback that finds the queue's lock free must not wait for a reader that is slow to take in.
func TestCallbacksNeverBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDelegate(newReport(Env{}, "f"), func() int { return 1 }, nil)
		for i := range 3 * maxInbox {
			d.NotifyMsg([]byte{1})
			d.NotifyJoin(libraryNode(ID(fmt.Sprintf("n%d/lbd", i)), addrPort("10.0.0.1:1")))
		}
		events, _, inbox := d.take()
		if len(events) != maxEvents || len(inbox) != maxInbox {
			t.Errorf("queues hold %d events and %d messages", len(events), len(inbox))
		}
		if got := d.rep.dropped.With("inbox").Value(); got != 2*maxInbox {
			t.Errorf("%d drops counted, want %d", got, 2*maxInbox)
		}
	})
}
