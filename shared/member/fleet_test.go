package member

import (
	"testing"
	"time"
)

func TestFiftyNodesJoinAndAgree(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 50 {
			r.add(config("lan"))
		}
		took := r.agree(15*time.Second, r.nodes...)
		t.Logf("50 nodes agree after %v", took)
	})
}

func TestThree(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 3 {
			r.add(config("lan"))
		}
		took := r.agree(15*time.Second, r.nodes...)
		t.Logf("3 nodes agree after %v", took)
		r.net.Partition(hosts(r.nodes[:1]), hosts(r.nodes[1:]))
		r.agree(5*time.Second, r.nodes[1:]...)
		time.Sleep(time.Minute)
		r.net.HealAll()
		t.Log("heal", r.agree(5*time.Second, r.nodes...))
	})
}
