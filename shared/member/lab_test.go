package member

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/labtest"
)

// A lab test's hosts run this test binary again, as a small daemon that prints how it sees the fleet.
const childEnv = "EVERUP_MEMBER_TEST_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		child(spec)
		return
	}
	os.Exit(m.Run())
}

// child runs a member. Its spec is "node timing listen join,join…".
func child(spec string) {
	f := strings.Fields(spec)
	cfg := &Config{
		Fleet: "lab", Timing: f[1], Listen: conf.Addr(f[2]), Join: strings.Split(f[3], ","), Secrets: secretsOf(testSecret),
	}
	fleet, err := New(cfg, netEnv(f[0], "lbd"))
	if err != nil {
		fmt.Println("fatal", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	changed, cancel := fleet.Watch()
	defer cancel()
	go func() {
		for range changed {
			var alive []string
			for _, m := range fleet.View().Alive("") {
				alive = append(alive, m.Node)
			}
			fmt.Printf("alive [%s] at %d\n", strings.Join(alive, " "), time.Now().UnixNano())
		}
	}()
	if err := fleet.Run(ctx); err != nil {
		fmt.Println("fatal", err)
	}
}

// labFleet is a fleet of processes on hosts of a lab.
type labFleet struct {
	t      testing.TB
	lab    *labtest.Lab
	timing string
	hosts  []*labtest.Host
	procs  []*labtest.Proc
	marks  []int
}

func newLabFleet(t testing.TB, n int, timing string) *labFleet {
	l := &labFleet{t: t, lab: labtest.New(t), timing: timing, procs: make([]*labtest.Proc, n), marks: make([]int, n)}
	for i := range n {
		l.hosts = append(l.hosts, l.lab.Host(fmt.Sprintf("h%d", i)))
	}
	for i := range n {
		l.start(i)
	}
	for i := range n {
		l.sees(i, l.all(), time.Time{})
	}
	return l
}

func (l *labFleet) start(i int) {
	h := l.hosts[i]
	join := l.hosts[0].AddrPort(7941) + "," + l.hosts[1].AddrPort(7941)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=h%d %s %s %s", childEnv, i, l.timing, h.AddrPort(7941), join))
	l.procs[i], l.marks[i] = h.StartCmd("member", cmd), 0
}

func (l *labFleet) all() (names []string) {
	for i := range l.hosts {
		names = append(names, fmt.Sprintf("h%d", i))
	}
	return names
}

// sees waits until process i sees exactly the named nodes alive, and returns how long after begin it did.
func (l *labFleet) sees(i int, names []string, begin time.Time) time.Duration {
	l.t.Helper()
	line := l.procs[i].WaitLineFrom(l.marks[i], `alive \[`+strings.Join(names, " ")+`\] at \d+`, 30*time.Second)
	ns, err := strconv.ParseInt(line[strings.LastIndexByte(line, ' ')+1:], 10, 64)
	if err != nil {
		l.t.Fatal(err)
	}
	return time.Unix(0, ns).Sub(begin)
}

// mark makes sees look only at what is printed from now on.
func (l *labFleet) mark() {
	for i, p := range l.procs {
		l.marks[i] = p.Mark()
	}
}

// loseLast measures how long after hurt the last of the others knows that the last host is gone, then mends and
// measures how long until all are one fleet again.
func (l *labFleet) loseLast(hurt, settle, mend func(last int)) (known, healed time.Duration) {
	last := len(l.hosts) - 1
	l.mark()
	begin := time.Now()
	hurt(last)
	for i := range last {
		known = max(known, l.sees(i, l.all()[:last], begin))
	}
	settle(last)
	l.mark()
	begin = time.Now()
	mend(last)
	for i := range l.hosts {
		healed = max(healed, l.sees(i, l.all(), begin))
	}
	return known, healed
}

func (l *labFleet) kill() (known, healed time.Duration) {
	return l.loseLast(func(i int) { l.procs[i].Kill() }, func(int) {}, func(i int) { l.start(i) })
}

// cut isolates the last host long enough for it to hold all others for dead.
func (l *labFleet) cut() (known, healed time.Duration) {
	return l.loseLast(
		func(i int) { l.lab.Isolate(l.hosts[i]) },
		func(i int) { l.sees(i, l.all()[i:], time.Time{}) },
		func(i int) { l.lab.Rejoin(l.hosts[i]) },
	)
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// measure runs trials of one kind of loss.
func measure(runs int, trial func() (known, healed time.Duration)) (known, healed []time.Duration) {
	for range runs {
		k, h := trial()
		known, healed = append(known, k), append(healed, h)
	}
	return known, healed
}

// The bars: five hosts, timing lan: all know of a death within 1.2 s (median), a partition is healed within 5 s.
func TestLabDetectionAndHealing(t *testing.T) {
	l := newLabFleet(t, 5, "lan")
	known, back := measure(5, l.kill)
	t.Logf("kill -9: all know after %v (median %v); a new process is taken after %v", known, median(known), back)
	if m := median(known); m > 1200*time.Millisecond {
		t.Errorf("kill -9: median of all know is %v", m)
	}
	known, healed := measure(5, l.cut)
	t.Logf("link cut: all know after %v (median %v); healed after %v (median %v)", known, median(known), healed, median(healed))
	if m := median(known); m > 1200*time.Millisecond {
		t.Errorf("link cut: median of all know is %v", m)
	}
	if m := slices.Max(healed); m > 5*time.Second {
		t.Errorf("a healed link makes one fleet after %v", m)
	}
}

// BenchmarkFleetDetection prints the figures of BENCHMARKS.md ("fleet"): run with -benchtime=20x for 20 trials of each.
func BenchmarkFleetDetection(b *testing.B) {
	for _, timing := range []string{"lan", "fast"} { // calm: an isolated host takes over 30 s to miss four others
		b.Run(timing, func(b *testing.B) {
			l := newLabFleet(b, 5, timing)
			b.ResetTimer()
			killed, _ := measure(b.N, l.kill)
			cut, healed := measure(b.N, l.cut)
			b.ReportMetric(0, "ns/op")
			for name, ds := range map[string][]time.Duration{"kill": killed, "cut": cut, "heal": healed} {
				b.ReportMetric(median(ds).Seconds(), name+"-median-s")
				b.ReportMetric(slices.Max(ds).Seconds(), name+"-max-s")
			}
		})
	}
}
