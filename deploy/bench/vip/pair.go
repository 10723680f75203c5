package vip

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/vip/viptest"
)

// pair is two hosts at work; a, the better, has the address at the beginning of most trials.
type pair struct {
	*viptest.Rig
	t     testing.TB
	kind  viptest.Kind
	plane bool
	sides map[string]viptest.Router // by host
	ended func()                    // kills a's data plane, where it is a process of its own
	rand  *rand.Rand
}

func newPair(t testing.TB, what trial, kind viptest.Kind) *pair {
	p := &pair{
		Rig: viptest.New(t, what.setting, kind, kind), t: t, kind: kind, plane: what.plane,
		sides: map[string]viptest.Router{}, rand: rand.New(rand.NewPCG(1, 2)),
	}
	if p.plane && kind == viptest.Foreign {
		p.StartPlane(p.B)
		p.restorePlane()
	}
	p.startA()
	p.Holders.Wait(p.limit(), p.A)
	p.startB()
	// b is at work for sure when it would have taken the address from nobody.
	time.Sleep(p.Setting.Down(worse) + p.Setting.Interval)
	p.settle()
	return p
}

// startA and startB start the routers.
func (p *pair) startA() {
	p.sides[p.A.Name] = p.Start(p.A, viptest.Role{Priority: better, Plane: p.plane})
}

func (p *pair) startB() {
	p.sides[p.B.Name] = p.Start(p.B, viptest.Role{Priority: worse, Plane: p.plane})
}

// limit is how long any change may take before the bench gives up.
func (p *pair) limit() time.Duration { return p.Setting.Down(worse) + 10*time.Second }

// settle waits until a alone has the address and the third host reaches it there.
func (p *pair) settle() {
	p.Holders.Wait(p.limit(), p.A)
	p.Reaches(p.A, 20*time.Second)
}

// healing is how long echoes are sent after a partition has healed.
func (p *pair) healing() time.Duration {
	if p.kind == viptest.Foreign {
		return 12 * time.Second // until the third host asks anew by itself
	}
	return time.Second
}

// Times around what is done to the pair.
const (
	before = 50 * time.Millisecond // for which all echoes are to be answered
	after  = 150 * time.Millisecond
	margin = 10 * time.Millisecond // from the act to the first loss
)

// begin starts the echoes and waits for a random moment between two adverts. It returns that moment.
func (p *pair) begin() (*viptest.Echo, time.Time) {
	o := viptest.EchoOptions{From: p.C, To: p.Addr()}
	if p.plane {
		o.Port = viptest.EchoPort
	}
	e := viptest.StartEcho(p.t, o)
	time.Sleep(before + time.Duration(p.rand.Int64N(int64(p.Setting.Interval))))
	return e, time.Now()
}

// end stops the echoes after a while and says what they and the holders were.
func (p *pair) end(e *viptest.Echo, acted time.Time) sample {
	time.Sleep(after)
	echoes, tenure := e.Stop(), p.Holders.Since(acted)
	s := sample{acted: acted, outage: echoes.Outage(), lost: echoes.Lost, two: tenure.Two}
	if n := len(echoes.Losses); n > 0 {
		s.cut, s.early = echoes.Losses[n-1].Cut, echoes.Losses[0].Began.Before(acted)
	}
	s.late = e.Late(acted, acted.Add(s.outage+margin))
	return s
}

// killPlane ends a's data plane at once, as the kernel does when memory runs out.
func (p *pair) killPlane() {
	if o, ok := p.sides[p.A.Name].(*viptest.Ours); ok {
		o.Signal(syscall.SIGKILL, o.Daemon())
		return
	}
	p.ended()
}

// restorePlane starts it again.
func (p *pair) restorePlane() {
	if p.kind == viptest.Everup {
		p.startA()
		return
	}
	p.ended = p.StartPlane(p.A).Kill
}
