package vip

import (
	"time"

	"github.com/everup/everup/shared/vip/viptest"
)

// trial is a thing that happens to an address, which is done again and again.
type trial struct {
	name string
	what string // in the table
	// setting is what both hosts have in common; plane has a data plane's UDP echo asked, not the kernel's ICMP.
	setting viptest.Setting
	plane   bool
	runs    int
	// foreignRuns is for keepalived, where its runs take longer; 0: as many.
	foreignRuns int
	only        viptest.Kind // "": both sides
	// formula is the longest outage that the protocol has.
	formula func(viptest.Setting) time.Duration
	run     func(*pair) sample
	bar     func(*bench, *results)
}

// Priorities of the hosts.
const (
	better = 254 // a
	worse  = 253 // b
)

func down(s viptest.Setting) time.Duration { return s.Down(worse) }
func skew(s viptest.Setting) time.Duration { return s.Skew(worse) }
func none(viptest.Setting) time.Duration   { return 0 }

func every(interval time.Duration) viptest.Setting {
	return viptest.Setting{Version: 3, Interval: interval}
}

const (
	hundredth = 10 * time.Millisecond
	tenth     = 100 * time.Millisecond
)

// trials returns what is measured, the bars' first.
func trials() []trial {
	return []trial{
		{name: "cut", what: "link cut", setting: every(tenth), runs: 20, formula: down, run: (*pair).cut, bar: cutBar},
		{name: "cut-10ms", what: "link cut", setting: every(hundredth), runs: 20, formula: down, run: (*pair).cut},
		{name: "cut-1s", what: "link cut", setting: every(time.Second), runs: 5, formula: down, run: (*pair).cut},
		{name: "cut-v2", what: "link cut, version 2", setting: viptest.Setting{Version: 2, Interval: time.Second}, runs: 5, formula: down, run: (*pair).cut},
		{name: "crash", what: "kill -9 of the data plane", setting: every(tenth), plane: true, runs: 20, formula: skew, run: (*pair).crash, bar: crashBar},
		{name: "crash-1s", what: "kill -9 of the data plane", setting: every(time.Second), plane: true, runs: 5, formula: skew, run: (*pair).crash},
		{name: "switch", what: "planned switch-over", setting: every(tenth), runs: 20, only: viptest.Everup, formula: none, run: (*pair).switchOver, bar: switchBar},
		{name: "switch-plane", what: "planned switch-over, echoes of the data plane", setting: every(tenth), plane: true, runs: 20, only: viptest.Everup, formula: none, run: (*pair).switchOver},
		{name: "stop", what: "SIGTERM", setting: every(tenth), runs: 20, formula: skew, run: (*pair).stop},
		{name: "stop-1s", what: "SIGTERM", setting: every(time.Second), runs: 5, formula: skew, run: (*pair).stop},
		{name: "return", what: "the better is back", setting: every(tenth), runs: 20, formula: none, run: (*pair).back},
		{name: "heal", what: "partition heals", setting: every(tenth), runs: 20, foreignRuns: 4, formula: none, run: (*pair).heal, bar: healBar},
		{name: "heal-10ms", what: "partition heals", setting: every(hundredth), runs: 20, foreignRuns: 4, formula: none, run: (*pair).heal},
	}
}

// cut takes the carrier from a; b is to take the address.
func (p *pair) cut() sample {
	e, at := p.begin()
	p.Lab.Unplug(p.A)
	p.Holders.Wait(p.limit(), p.B)
	s := p.end(e, at)
	p.Lab.Plug(p.A)
	p.settle()
	return s
}

// crash kills a's data plane.
func (p *pair) crash() sample {
	e, at := p.begin()
	p.killPlane()
	p.Holders.Wait(p.limit(), p.B)
	s := p.end(e, at)
	p.restorePlane()
	p.settle()
	return s
}

// switchOver asks the holder to give the address to the other, now this way, now that.
func (p *pair) switchOver() sample {
	from := p.A
	if p.Holders.Now()[0] == p.B.Name {
		from = p.B
	}
	e, at := p.begin()
	if err := p.sides[from.Name].(*viptest.Ours).Do("switch-over"); err != nil {
		p.t.Fatal(err)
	}
	p.Holders.Wait(p.limit(), p.Other(from))
	s := p.end(e, at)
	s.astray = p.Astray(p.Other(from))
	return s
}

// stop ends a in order, and starts it again.
func (p *pair) stop() sample {
	e, at := p.begin()
	p.sides[p.A.Name].Terminate()
	p.Holders.Wait(p.limit(), p.B)
	s := p.end(e, at)
	p.startA()
	p.settle()
	return s
}

// back has a, which is the better, come back to b.
func (p *pair) back() sample {
	p.sides[p.A.Name].Terminate()
	p.Holders.Wait(p.limit(), p.B)
	time.Sleep(p.Setting.Interval)
	e, at := p.begin()
	p.startA()
	p.Holders.Wait(p.limit(), p.A)
	return p.end(e, at)
}

// heal cuts the hosts from each other until both have the address, and brings them together again.
func (p *pair) heal() sample {
	p.Lab.Cut(p.A, p.B)
	p.Holders.Wait(p.limit(), p.A, p.B)
	e, at := p.begin()
	p.Lab.Heal(p.A, p.B)
	healed := time.Now() // the program that heals takes milliseconds, and does it near its end
	one := p.Holders.Wait(p.limit(), p.A)
	time.Sleep(p.healing())
	s := p.end(e, at)
	s.two = max(0, one.Sub(healed))
	s.astray = p.Astray(p.A)
	p.settle()
	return s
}
