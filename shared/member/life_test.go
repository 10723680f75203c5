package member

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/health"
)

func TestMassRestartWithOldDeathsAround(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 6 {
			r.add(config("lan"), func(n *node) {
				n.env.State = stateDir(t)
				if len(r.nodes) >= 2 {
					n.cfg.Join = []string{"10.0.0.0:7941"} // the rest is for the snapshot to know
				}
			})
		}
		r.agree(10*time.Second, r.nodes...)
		r.nodes[0].Put("k", []byte("kept"))
		for i := range 30 { // incarnations grow
			r.nodes[5].Announce(Announcement{Weight: uint16(i)})
			time.Sleep(200 * time.Millisecond)
		}
		before := r.nodes[5].generation
		for _, i := range []int{5, 4} { // two die first, so that their deaths are known
			r.nodes[i].kill()
			time.Sleep(3 * time.Second)
		}
		for _, n := range r.nodes[:4] {
			n.kill()
		}
		// All come back at once, but for the join address: the snapshots lead them together.
		for _, n := range r.nodes[1:] {
			n.start()
		}
		t.Logf("agree after %v", r.agree(5*time.Second, r.nodes[1:]...))
		if g := r.nodes[5].generation; g <= before {
			t.Errorf("generation %d after %d", g, before)
		}
		r.nodes[0].start()
		r.agree(5*time.Second, r.nodes...)
		for _, n := range r.nodes {
			if e, ok := n.Get("k"); !ok || string(e.Value) != "kept" {
				t.Errorf("%s: state lost over the restart: %v", n.self, e)
			}
		}
	})
}

func TestRestartAtAnotherAddress(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(4, config("lan"))
		n := r.nodes[3]
		n.kill()
		n.host = hostAddr(99)
		n.start() // at once: the others still hold the old one for alive
		t.Logf("taken after %v", r.agree(8*time.Second, r.nodes...))
		if got := r.nodes[1].View().Members[3].Addr.Addr(); got != n.host {
			t.Errorf("known at %v, want %v", got, n.host)
		}
	})
}

func TestStartIncarnationIsTaken(t *testing.T) {
	inBubble(t, func(r *rig) {
		n := r.add(config("lan"))
		r.until(time.Second, "the rumour is refuted", func() bool { return n.rep.refutes.Load() == 1 })
	})
}

func TestLeaveIsNoDeath(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(5, config("lan"))
		ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		if err := r.nodes[4].Leave(ctx); err != nil {
			t.Error(err)
		}
		t.Logf("left after %v", time.Since(begin))
		r.nodes[4].kill()
		gone := r.nodes[4].self
		for _, n := range r.nodes[:4] {
			r.until(2*time.Second, "left", func() bool { return n.stateOf(gone) == Left })
			if len(n.peers()) != 3 {
				t.Errorf("%s remembers %v", n.self, n.peers())
			}
		}
	})
}

// The members notice the death first and hear only later, from one that was told, that it was on purpose.
func TestLeaveBeatsRacingFailure(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(5, config("lan"))
		victim, told := r.nodes[4], r.nodes[0]
		others := r.nodes[1:4]
		r.net.Partition(hosts(others), hosts([]*node{victim, told}))
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
		defer cancel()
		victim.Leave(ctx)
		victim.kill()
		r.until(5*time.Second, "the others notice the death", func() bool { return others[0].stateOf(victim.self) == Dead })
		if s := told.stateOf(victim.self); s != Left {
			t.Errorf("the one told holds it for %v", s)
		}
		r.net.HealAll()
		for _, n := range others {
			// At once by the exchange with a member that came back; where nobody noticed that the one told was cut off,
			// by anti-entropy, whose first round ends at most two intervals after the start.
			r.until(11*time.Second, "dead becomes left", func() bool { return n.stateOf(victim.self) == Left })
		}
		victim.start() // a new process of the name is welcome
		r.agree(5*time.Second, r.nodes...)
	})
}

func TestForget(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(3, config("lan"))
		gone := r.nodes[2].self
		if err := r.nodes[0].Forget(gone); err == nil {
			t.Error("a living member was forgotten")
		}
		r.nodes[2].kill()
		r.agree(3*time.Second, r.nodes[:2]...)
		if err := r.nodes[0].Forget(gone); err != nil {
			t.Error(err)
		}
		r.until(2*time.Second, "left everywhere", func() bool { return r.nodes[1].stateOf(gone) == Left })
	})
}

func TestStateConvergesAfterPartition(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(6, config("lan"))
		r.nodes[0].Put("both", []byte("before"))
		r.nodes[0].Put("gone", []byte("x"))
		time.Sleep(time.Second)
		r.net.Partition(hosts(r.nodes[:3]), hosts(r.nodes[3:]))
		time.Sleep(3 * time.Second)
		big := bytes.Repeat([]byte("b"), maxValue)
		r.nodes[0].Put("both", []byte("older"))
		r.nodes[1].Put("left", big)
		time.Sleep(time.Second)
		r.nodes[4].Put("both", []byte("newer"))
		r.nodes[5].Put("right", []byte("r"))
		r.nodes[5].Put("gone", nil)
		time.Sleep(10 * time.Second)
		r.net.HealAll()
		took := r.until(10*time.Second, "all hold the same", func() bool {
			return !slices.ContainsFunc(r.nodes, func(n *node) bool {
				both, _ := n.Get("both")
				left, _ := n.Get("left")
				right, _ := n.Get("right")
				_, gone := n.Get("gone")
				return string(both.Value) != "newer" || both.By != "n04" || len(left.Value) != maxValue || string(right.Value) != "r" || gone
			})
		})
		t.Logf("same state after %v", took)
	})
}

func TestBigValueArrivesSoon(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(5, config("lan"))
		r.nodes[3].Put("big", bytes.Repeat([]byte("b"), maxValue))
		r.nodes[3].Put("small", []byte("s"))
		for _, key := range []string{"small", "big"} {
			took := r.until(time.Second, key, func() bool {
				return !slices.ContainsFunc(r.nodes, func(n *node) bool { _, ok := n.Get(key); return !ok })
			})
			t.Logf("%s is everywhere after %v", key, took)
		}
	})
}

func TestKeyRotation(t *testing.T) {
	const second = "another secret, just as long"
	inBubble(t, func(r *rig) {
		r.start(4, config("lan"))
		begin := time.Now()
		for _, secrets := range [][]string{{testSecret, second}, {second, testSecret}, {second}} {
			for _, n := range r.nodes {
				if err := n.SetKeys(mustKeys(t, "test", secrets...)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second) // members differ by one step meanwhile
			}
		}
		time.Sleep(10 * time.Second)
		r.steady(begin)
		n := r.add(config("lan"), func(n *node) { n.env.Keys = mustKeys(t, "test", second) })
		r.agree(5*time.Second, r.nodes...)
		if err := n.SetKeys(nil); err == nil {
			t.Error("a change to clear text while running was taken")
		}
	})
}

func TestStrangersAreRefusedOnBothSides(t *testing.T) {
	f := func(name string, change func(n *node), refusedSays, strangerSays string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start(2, config("lan"))
				s := r.add(config("lan"), change)
				time.Sleep(10 * time.Second)
				for _, n := range r.nodes {
					if got, want := len(n.View().Members), 3; got >= want {
						t.Errorf("%s holds the stranger for a member: %v", n.self, n.View())
					}
				}
				joiner, receiver := s.item("member.join-refused"), r.nodes[0].item("member.stranger")
				if joiner.Level != health.Fail || !strings.Contains(joiner.Detail, refusedSays) || !strings.Contains(joiner.Detail, "10.0.0.") {
					t.Errorf("the joiner says %v %q, want %q", joiner.Level, joiner.Detail, refusedSays)
				}
				if receiver.Level != health.Warn || !strings.Contains(receiver.Detail, strangerSays) || !strings.Contains(receiver.Detail, "10.0.0.2") {
					t.Errorf("the receiver says %v %q, want %q", receiver.Level, receiver.Detail, strangerSays)
				}
				if l := s.item("member.isolated").Level; l != health.Warn {
					t.Errorf("the joiner is isolated at level %v", l)
				}
			})
		})
	}
	f("secret", func(n *node) { n.env.Keys = mustKeys(t, "test", "quite another secret") }, "another secret", "another secret")
	f("fleet", func(n *node) { n.cfg.Fleet = "other"; n.env.Keys = mustKeys(t, "other", testSecret) }, `fleet "test", this is "other"`, `fleet "other", this is "test"`)
	f("none", func(n *node) { n.env.Keys = nil }, "this daemon has none", "it has no secret")
}

func TestSecondProcessOfANameIsRefused(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(3, config("lan"))
		begin := time.Now()
		twin := r.add(config("lan"), func(n *node) { n.env.Node = "n01" })
		time.Sleep(10 * time.Second)
		if l := twin.item("member.name-conflict"); l.Level != health.Fail {
			t.Errorf("the second says %+v", l)
		}
		if l := r.nodes[1].item("member.name-conflict"); l.Level == health.OK {
			t.Errorf("the first says %+v", l)
		}
		for _, n := range r.nodes[:3] {
			for _, m := range n.View().Members {
				if m.State != Alive || m.Since.After(begin) || m.Addr.Addr() == twin.host {
					t.Errorf("%s: %+v", n.self, m)
				}
			}
		}
	})
}

func TestLeaveAloneAndTwice(t *testing.T) {
	inBubble(t, func(r *rig) {
		n := r.add(config("lan"))
		synctest.Wait()
		for range 2 {
			if err := n.Leave(r.t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestStateBoundsOverGossip(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start(2, config("lan"))
		r.net.Partition(hosts(r.nodes[:1]), hosts(r.nodes[1:]))
		time.Sleep(3 * time.Second)
		for i := range 600 {
			r.nodes[0].Put(fmt.Sprintf("a%d", i), []byte("x"))
		}
		time.Sleep(time.Second)
		for i := range 600 {
			r.nodes[1].Put(fmt.Sprintf("b%d", i), []byte("x"))
		}
		r.net.HealAll()
		r.agree(5*time.Second, r.nodes...)
		time.Sleep(20 * time.Second)
		a, b := r.nodes[0].Entries(""), r.nodes[1].Entries("")
		if len(a) != maxKeys || len(b) != maxKeys || a[0].Key != b[0].Key || len(r.nodes[0].Entries("b")) != 600 {
			t.Errorf("after both sides filled the state: %d and %d keys", len(a), len(b))
		}
	})
}
