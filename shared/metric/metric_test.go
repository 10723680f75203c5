package metric

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func text(t *testing.T, r *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := parseText(b.String()); err != nil {
		t.Fatalf("%v in:\n%s", err, b.String())
	}
	return b.String()
}

// example registers one of everything, with values that need escaping.
func example() *Registry {
	r := NewRegistry("everup_lbd")
	r.Counter("requests_total", "Requests\nand a \\ \"quote\".").Add(3)
	r.Gauge("temperature_celsius", "Cold.").Set(-1.5)
	r.GaugeFunc("up_ratio", "A func.", func() float64 { return math.Inf(1) })
	r.CounterFunc("func_total", "A func.", func() uint64 { return math.MaxUint64 }, Label{"side", "b"})
	r.CounterFunc("func_total", "A func.", func() uint64 { return 1 }, Label{"side", "a"})
	h := r.Histogram("wait_seconds", "Waiting.", []float64{0.1, 0.5, 1})
	for _, v := range []float64{0.1, 0.2, 0.5, 0.7, 5, math.NaN()} {
		h.Observe(v)
	}
	v := r.CounterVec("errors_total", "By path.", 2, "path", "code")
	v.With("/\"a\\\n", "500").Inc()
	v.With("/b\xff", "404").Add(2)
	v.With("/c", "404").Add(5)
	v.With("/d", "404").Add(6)
	hv := r.HistogramVec("size_bytes", "Sizes.", []float64{64}, 4, "pool")
	hv.With("web").Observe(10)
	r.HistogramFunc("elsewhere_seconds", "Kept elsewhere.", []float64{1, 2}, func(counts []uint64) float64 {
		copy(counts, []uint64{3, 0, 4})
		return 21.5
	}, Label{"command", "get"})
	r.GaugeVecFunc("members", "Members.", 2, []string{"pool", "state"}, func(emit func(float64, ...string)) {
		emit(2, "web", "up")
		emit(1, "web", "down")
		emit(9, "lost", "up")
	})
	r.CounterVecFunc("passed_total", "Passed.", 1, []string{"pool"}, func(emit func(uint64, ...string)) {
		emit(7, "web")
		emit(9, "lost")
	})
	r.HistogramVecFunc("took_seconds", "Took.", []float64{1, 2}, 2, []string{"pool"}, func(emit func([]uint64, float64, ...string)) {
		emit([]uint64{1, 0, 2}, 9.5, "web")
	})
	return r
}

const golden = `# HELP everup_lbd_elsewhere_seconds Kept elsewhere.
# TYPE everup_lbd_elsewhere_seconds histogram
everup_lbd_elsewhere_seconds_bucket{command="get",le="1"} 3
everup_lbd_elsewhere_seconds_bucket{command="get",le="2"} 3
everup_lbd_elsewhere_seconds_bucket{command="get",le="+Inf"} 7
everup_lbd_elsewhere_seconds_sum{command="get"} 21.5
everup_lbd_elsewhere_seconds_count{command="get"} 7
# HELP everup_lbd_errors_total By path.
# TYPE everup_lbd_errors_total counter
everup_lbd_errors_total{path="/\"a\\\n",code="500"} 1
everup_lbd_errors_total{path="/b�",code="404"} 2
everup_lbd_errors_total{path="other",code="other"} 11
# HELP everup_lbd_func_total A func.
# TYPE everup_lbd_func_total counter
everup_lbd_func_total{side="a"} 1
everup_lbd_func_total{side="b"} 18446744073709551615
# HELP everup_lbd_members Members.
# TYPE everup_lbd_members gauge
everup_lbd_members{pool="web",state="down"} 1
everup_lbd_members{pool="web",state="up"} 2
# HELP everup_lbd_metric_overflow_total Uses of a label combination that did not fit and counted as "other".
# TYPE everup_lbd_metric_overflow_total counter
everup_lbd_metric_overflow_total 4
# HELP everup_lbd_passed_total Passed.
# TYPE everup_lbd_passed_total counter
everup_lbd_passed_total{pool="web"} 7
# HELP everup_lbd_requests_total Requests\nand a \\ "quote".
# TYPE everup_lbd_requests_total counter
everup_lbd_requests_total 3
# HELP everup_lbd_size_bytes Sizes.
# TYPE everup_lbd_size_bytes histogram
everup_lbd_size_bytes_bucket{pool="web",le="64"} 1
everup_lbd_size_bytes_bucket{pool="web",le="+Inf"} 1
everup_lbd_size_bytes_sum{pool="web"} 10
everup_lbd_size_bytes_count{pool="web"} 1
# HELP everup_lbd_temperature_celsius Cold.
# TYPE everup_lbd_temperature_celsius gauge
everup_lbd_temperature_celsius -1.5
# HELP everup_lbd_took_seconds Took.
# TYPE everup_lbd_took_seconds histogram
everup_lbd_took_seconds_bucket{pool="web",le="1"} 1
everup_lbd_took_seconds_bucket{pool="web",le="2"} 1
everup_lbd_took_seconds_bucket{pool="web",le="+Inf"} 3
everup_lbd_took_seconds_sum{pool="web"} 9.5
everup_lbd_took_seconds_count{pool="web"} 3
# HELP everup_lbd_up_ratio A func.
# TYPE everup_lbd_up_ratio gauge
everup_lbd_up_ratio +Inf
# HELP everup_lbd_wait_seconds Waiting.
# TYPE everup_lbd_wait_seconds histogram
everup_lbd_wait_seconds_bucket{le="0.1"} 1
everup_lbd_wait_seconds_bucket{le="0.5"} 3
everup_lbd_wait_seconds_bucket{le="1"} 4
everup_lbd_wait_seconds_bucket{le="+Inf"} 5
everup_lbd_wait_seconds_sum 6.5
everup_lbd_wait_seconds_count 5
`

func TestText(t *testing.T) {
	r := example()
	if d := cmp.Diff(golden, text(t, r)); d != "" {
		t.Errorf("text (-want +got):\n%s", d)
	}
	var names []string
	for line := range strings.Lines(golden) {
		if f := strings.Fields(line); f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	if d := cmp.Diff(names, r.Names()); d != "" {
		t.Errorf("Names (-want +got):\n%s", d)
	}
}

// Prometheus's own checker: it fails on a parse error and on its lint rules.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool: " + err.Error())
	}
	r := example()
	RegisterProcess(r)
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text(t, r))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestStrictParserIsStrict(t *testing.T) {
	for _, bad := range []string{
		"x 1\n",
		"# HELP x h\n# TYPE x counter\nx 1",
		"# HELP x h\n# TYPE x counter\nx 1\nx 2\n",
		"# HELP x h\n# TYPE x counter\nx{a=\"\\t\"} 1\n",
		"# HELP x h\n# TYPE x counter\nx{a=\"\"\"} 1\n",
		"# HELP x h\n# TYPE x gauge\n# TYPE x gauge\nx 1\n",
		"# HELP x h\n# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
		"# HELP x h\n# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_sum 1\nx_count 1\n",
	} {
		if _, err := parseText(bad); err == nil {
			t.Errorf("taken: %q", bad)
		}
	}
}

func TestBugsPanic(t *testing.T) {
	f := func(name string, do func(r *Registry)) {
		t.Helper()
		defer func() {
			if s, _ := recover().(string); !strings.HasPrefix(s, "BUG: metric: ") {
				t.Errorf("%s: panic is %q", name, s)
			}
		}()
		r := NewRegistry("everup_x")
		r.Counter("a_total", "A.", Label{"l", "1"})
		r.Histogram("h_seconds", "H.", []float64{1})
		do(r)
	}
	f("doubled", func(r *Registry) { r.Counter("a_total", "A.", Label{"l", "1"}) })
	f("other help", func(r *Registry) { r.Counter("a_total", "B.", Label{"l", "2"}) })
	f("other labels", func(r *Registry) { r.Counter("a_total", "A.", Label{"m", "2"}) })
	f("other type", func(r *Registry) { r.GaugeFunc("a_total", "A.", func() float64 { return 0 }) })
	f("counter name", func(r *Registry) { r.Counter("a", "A.") })
	f("gauge name", func(r *Registry) { r.Gauge("b_total", "A.") })
	f("upper case", func(r *Registry) { r.Gauge("B", "A.") })
	f("leading digit", func(r *Registry) { r.Gauge("1b", "A.") })
	f("empty", func(r *Registry) { r.Gauge("", "A.") })
	f("no help", func(r *Registry) { r.Gauge("b", "") })
	f("le", func(r *Registry) { r.Histogram("i_seconds", "I.", nil, Label{"le", "1"}) })
	f("label twice", func(r *Registry) { r.CounterVec("v_total", "V.", 1, "a", "a") })
	f("part of a histogram", func(r *Registry) { r.Gauge("h_seconds_sum", "S.") })
	f("bounds", func(r *Registry) { r.Histogram("i_seconds", "I.", []float64{2, 1}) })
	f("bounds", func(r *Registry) { r.HistogramVec("i_seconds", "I.", []float64{1, math.Inf(1)}, 1, "a") })
	f("no bound", func(r *Registry) { r.CounterVec("v_total", "V.", 0, "a") })
	f("no labels", func(r *Registry) { r.CounterVec("v_total", "V.", 1) })
	f("values", func(r *Registry) { r.CounterVec("v_total", "V.", 1, "a").With("1", "2") })
	f("vec twice", func(r *Registry) { r.GaugeVec("v", "V.", 1, "a"); r.GaugeVec("v", "V.", 1, "a") })
	f("vec and single", func(r *Registry) { r.GaugeVec("v", "V.", 1, "a"); r.Gauge("v", "V.", Label{"a", "1"}) })
	f("prefix", func(r *Registry) { NewRegistry("Everup") })
}

func TestVec(t *testing.T) {
	r := NewRegistry("everup_x")
	v := r.GaugeVec("g", "G.", 2, "a", "b")
	a := v.With("x", "yz")
	if v.With("x", "yz") != a || v.With("xy", "z") == a {
		t.Error("combinations are mixed up")
	}
	other := v.With("third", "")
	if other != v.With("fourth", "") || other != v.With("other", "other") {
		t.Error("the overflow is not shared")
	}
	v.Delete("x", "yz")
	v.Delete("never", "there")
	a.Set(7) // must not be seen
	if s := text(t, r); strings.Contains(s, " 7") {
		t.Errorf("a deleted combination is printed:\n%s", s)
	}
	long := strings.Repeat("é", 200)
	v.Delete("xy", "z")
	v.Delete("other", "other")
	if v.With(long, "") != v.With(long, "") || !strings.Contains(text(t, r), `a="`+long[:128]+`"`) {
		t.Errorf("a long value is not cut:\n%s", text(t, r))
	}
}

func TestAllocs(t *testing.T) {
	r := NewRegistry("everup_x")
	c, g, h := r.Counter("c_total", "C."), r.Gauge("g", "G."), r.Histogram("h_seconds", "H.", LatencyBuckets())
	v := r.CounterVec("v_total", "V.", 10, "a", "b")
	v.With("x", "y")
	f := func(name string, do func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	f("Inc", c.Inc)
	f("Gauge.Add", func() { g.Add(1) })
	f("Observe", func() { h.Observe(0.003) })
	f("With", func() { v.With("x", "y").Inc() })
}

func TestConcurrent(t *testing.T) {
	r := NewRegistry("everup_x")
	c, g, h := r.Counter("c_total", "C."), r.Gauge("g", "G."), r.Histogram("h_seconds", "H.", []float64{1, 2})
	v := r.HistogramVec("v_seconds", "V.", []float64{1}, 3, "a")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				c.Inc()
				g.Add(0.5)
				h.Observe(float64(i % 3))
				v.With(fmt.Sprint(i % 6)).Observe(1)
				if i%100 == w {
					v.Delete("1")
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				var b strings.Builder
				if err := r.WriteText(&b); err != nil {
					t.Error(err)
				}
				if _, err := parseText(b.String()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c.Value() != 2000 || g.Value() != 1000 || h.Count() != 2000 || h.Sum() != 4*(166*1+1+166*2) {
		t.Errorf("counter %d, gauge %v, histogram %d %v", c.Value(), g.Value(), h.Count(), h.Sum())
	}
}

func TestObserveSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHistogram([]float64{1})
		start := time.Now()
		time.Sleep(1500 * time.Millisecond)
		h.ObserveSince(start)
		if h.Sum() != 1.5 || h.counts[1].Load() != 1 {
			t.Errorf("sum %v, buckets %v", h.Sum(), h.counts)
		}
	})
}

func TestBuckets(t *testing.T) {
	for _, b := range [][]float64{LatencyBuckets(), SizeBuckets()} {
		NewHistogram(b) // panics when they do not ascend
	}
	if b := LatencyBuckets(); b[0] != 50e-6 || b[len(b)-1] != 10 {
		t.Errorf("latency buckets %v", b)
	}
	if b := SizeBuckets(); b[0] != 64 || b[len(b)-1] != 64<<20 {
		t.Errorf("size buckets %v", b)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestWriteError(t *testing.T) {
	if err := example().WriteText(failing{}); err == nil || err.Error() != "gone" {
		t.Errorf("error is %v", err)
	}
}

func TestProcess(t *testing.T) {
	r := NewRegistry("everup_x")
	RegisterProcess(r)
	runtime.GC()
	fam, err := parseText(text(t, r))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range fam {
		for id, v := range f.samples {
			got[strings.TrimPrefix(id, "everup_x_")] = v
		}
	}
	f := func(name string, low, high float64) {
		t.Helper()
		if v, ok := got[name]; !ok || v < low || v > high {
			t.Errorf("%s = %v (%v), want %v to %v", name, v, ok, low, high)
		}
	}
	now := float64(time.Now().Unix())
	f("process_resident_memory_bytes", 1<<20, 1<<34)
	f("process_virtual_memory_bytes", 1<<20, math.Inf(1))
	f("process_cpu_seconds_total", 1e-6, 1e5)
	f("process_threads", 2, 1e4)
	f("process_open_fds", 3, 1e4)
	f("process_max_fds", 16, math.Inf(1))
	f("process_start_time_seconds", now-3600, now+5)
	f("go_heap_objects_bytes", 1<<10, 1<<34)
	f("go_memory_bytes", 1<<20, 1<<40)
	f("go_goroutines", 2, 1e5)
	f("go_max_procs", 1, 1e5)
	f("go_gc_cycles_total", 1, 1e9)
	f("go_gc_pause_seconds_count", 1, 1e9)
	open, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if again := text(t, r); !strings.Contains(again, fmt.Sprintf("process_open_fds %v\n", got["process_open_fds"]+1)) {
		t.Errorf("one more open file is not seen; before: %v\n%s", got["process_open_fds"], again)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a", "b\"\\\n")
	f.Add("\xff", strings.Repeat("\u0800", 50))
	f.Fuzz(func(t *testing.T, help, value string) {
		if help == "" {
			return
		}
		r := NewRegistry("everup_x")
		r.CounterVec("c_total", "x"+help, 5, "a").With(value).Inc()
		text(t, r)
	})
}

func BenchmarkInc(b *testing.B) {
	c := new(Counter)
	for b.Loop() {
		c.Inc()
	}
}

func BenchmarkObserve(b *testing.B) {
	h := NewHistogram(LatencyBuckets())
	for b.Loop() {
		h.Observe(0.0031)
	}
}

func BenchmarkWith(b *testing.B) {
	v := NewRegistry("everup_x").CounterVec("v_total", "V.", 10, "pool", "code")
	for b.Loop() {
		v.With("web", "200").Inc()
	}
}
