package holder_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// BenchmarkAtRest is what a holder of one address costs at adverts each 100 ms: memory, processor time, wake-ups. Each run
// takes 10 s; -benchtime 1x is enough.
func BenchmarkAtRest(b *testing.B) {
	for b.Loop() {
		lab := labtest.New(b)
		ha, hb := lab.Host("a"), lab.Host("b")
		nodes := []*node{start(b, ha), start(b, hb)}
		for i, n := range nodes {
			r := spec(51, []vrrp.Priority{200, 150}[i], vip)
			r.Config.Interval = 100 * ms
			n.plan(planOf(uint64(i+1), r))
			n.wait([]string{"Active", "Backup"}[i])
		}
		const rest = 10 * time.Second
		pass(b, ha, time.Second) // the announcements of the start
		var before [2]cost
		for i, n := range nodes {
			before[i] = costOf(b, n.holderPid())
		}
		pass(b, ha, rest)
		for i, n := range nodes {
			c, name := costOf(b, n.holderPid()), []string{"active", "backup"}[i]
			b.ReportMetric(float64(c.rss)/(1<<20), name+"-MiB")
			b.ReportMetric(float64(c.wakes-before[i].wakes)/rest.Seconds(), name+"-wakes/s")
			b.ReportMetric(float64((c.cpu-before[i].cpu).Microseconds())/rest.Seconds(), name+"-cpu-us/s")
		}
		b.Logf("hello %+v", *nodes[0].hello)
	}
}

// BenchmarkDaemonDies is the outage by kill -9 of a daemon that uses some memory, seen by an echo every 2 ms; a peer of priority
// 254 listens, adverts are each 100 ms.
func BenchmarkDaemonDies(b *testing.B) {
	for _, mib := range []int{0, 256, 1024} {
		b.Run(fmt.Sprint(mib, "MiB"), func(b *testing.B) {
			var worst, gone, peer, sum time.Duration
			n := 0
			for b.Loop() {
				e, g, p := daemonDies(b, mib<<20)
				worst, gone, peer, sum = max(worst, e), max(gone, g), max(peer, p), sum+e
				n++
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-gap-ms")
			b.ReportMetric(float64(sum.Microseconds())/1000/float64(n), "mean-gap-ms")
			b.ReportMetric(float64(peer.Microseconds())/1000, "worst-peer-active-ms")
			b.ReportMetric(float64(gone.Microseconds())/1000, "worst-removed-ms")
		})
	}
}

func daemonDies(b *testing.B, memory int) (gap, removed, active time.Duration) {
	lab := labtest.New(b)
	ha, hb, hc := lab.Host("a"), lab.Host("b"), lab.Host("c")
	na, nb := startBehindDaemon(b, ha, memory), start(b, hb)
	for i, n := range []*node{na, nb} {
		r := spec(51, 254, vip)
		r.Config.Interval = 100 * ms
		n.plan(planOf(uint64(i+1), r))
		n.wait([]string{"Active", "Backup"}[i])
	}
	seen := observe(b, vip, ha, hb)
	e := echoes(b, hc, vipIP, func() {
		pass(b, hc, 200*ms)
		before := time.Now()
		na.proc.Kill()
		removed = seen.within(b, time.Second, before, "a", false)
		seen.within(b, time.Second, before, "b", true)
		active = nb.heard(wire.TellState, "Active").At.Sub(before)
		pass(b, hc, 200*ms)
	})
	return e.gap, removed, active
}

// BenchmarkSwitchOver is the longest gap in echoes every 2 ms, and how many are lost.
func BenchmarkSwitchOver(b *testing.B) {
	lost, sent, gap := 0, 0, time.Duration(0)
	for b.Loop() {
		s := newTrio(b, plain)
		e := echoes(b, s.client, vipIP, func() {
			pass(b, s.client, 200*ms)
			if why := s.a.ask(wire.SwitchOver, "g"); why != "" {
				b.Fatal(why)
			}
			pass(b, s.client, 200*ms)
		})
		lost, sent, gap = lost+e.sent-e.received, sent+e.sent, max(gap, e.gap)
	}
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(sent), "sent")
	b.ReportMetric(float64(gap.Microseconds())/1000, "worst-gap-ms")
}

// cost is what a process has used.
type cost struct {
	rss   int
	cpu   time.Duration
	wakes int
}

func costOf(b *testing.B, pid int) (c cost) {
	b.Helper()
	read := func(name string) string {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			b.Fatal(err)
		}
		return string(data)
	}
	for line := range strings.Lines(read("status")) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			c.rss = kib << 10
		}
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, task := range tasks {
		for line := range strings.Lines(read("task/" + task.Name() + "/status")) {
			if f := strings.Fields(line); f[0] == "voluntary_ctxt_switches:" {
				n, _ := strconv.Atoi(f[1])
				c.wakes += n
			}
		}
		ns, _ := strconv.Atoi(strings.Fields(read("task/" + task.Name() + "/schedstat"))[0])
		c.cpu += time.Duration(ns)
	}
	return c
}
