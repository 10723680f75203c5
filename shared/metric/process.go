package metric

import (
	"bytes"
	"math"
	"os"
	"runtime/metrics"
	"strconv"

	"golang.org/x/sys/unix"
)

// RegisterProcess registers what the kernel and the Go runtime know of this process, as process_* and go_*.
// One look at each scrape refreshes all of them.
func RegisterProcess(r *Registry) {
	p := &process{
		rss:        r.Gauge("process_resident_memory_bytes", "Memory in RAM."),
		virtual:    r.Gauge("process_virtual_memory_bytes", "Address space."),
		threads:    r.Gauge("process_threads", "Threads of the operating system."),
		fds:        r.Gauge("process_open_fds", "Open file descriptors."),
		maxFDs:     r.Gauge("process_max_fds", "Soft limit of open file descriptors."),
		start:      r.Gauge("process_start_time_seconds", "When the process started, in seconds since 1970."),
		heap:       r.Gauge("go_heap_objects_bytes", "Memory in live and unswept heap objects."),
		total:      r.Gauge("go_memory_bytes", "All memory mapped by the Go runtime."),
		limit:      r.Gauge("go_memory_limit_bytes", "Soft memory limit of the Go runtime."),
		goroutines: r.Gauge("go_goroutines", "Goroutines."),
		gomaxprocs: r.Gauge("go_max_procs", "Threads that may run Go code at once."),
		pauses: r.Histogram("go_gc_pause_seconds", "Pauses of the garbage collector; the sum is estimated from the runtime's buckets.",
			[]float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 1}),
	}
	r.FloatCounterFunc("process_cpu_seconds_total", "CPU time used, user and system.", cpuSeconds)
	r.CounterFunc("go_gc_cycles_total", "Finished cycles of the garbage collector.", func() uint64 {
		s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
		metrics.Read(s)
		return uintOf(s[0])
	})
	p.start.Set(startTime())
	r.BeforeWrite(p.refresh)
}

type process struct {
	rss, virtual, threads, fds, maxFDs, start  *Gauge
	heap, total, limit, goroutines, gomaxprocs *Gauge
	pauses                                     *Histogram
}

func (p *process) refresh() {
	p.readProc()
	s := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/sched/gomaxprocs:threads"},
		{Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(s)
	for i, g := range []*Gauge{p.heap, p.total, p.limit, p.goroutines, p.gomaxprocs} {
		g.Set(float64(uintOf(s[i])))
	}
	if s[5].Value.Kind() == metrics.KindFloat64Histogram {
		p.pauses.copyFrom(s[5].Value.Float64Histogram())
	}
}

// readProc reads proc_pid_stat(5). What cannot be read keeps its last value.
func (p *process) readProc() {
	if f := statFields(); len(f) > 21 {
		p.threads.Set(f.num(17))
		p.virtual.Set(f.num(20))
		p.rss.Set(f.num(21) * float64(os.Getpagesize()))
	}
	if d, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.fds.Set(float64(len(d) - 1)) // one of them is the directory itself
	}
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil {
		p.maxFDs.Set(float64(lim.Cur))
	}
}

// stat is the fields of /proc/self/stat after the command name: stat[0] is the state, field 3 of the manual.
type stat [][]byte

func statFields() stat {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil
	}
	return bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
}

func (s stat) num(i int) float64 {
	v, err := strconv.ParseFloat(string(s[i]), 64)
	if err != nil {
		return 0
	}
	return v
}

// startTime is the boot time plus the process's start in clock ticks (USER_HZ, 100 on all of Linux's ports of Go).
func startTime() float64 {
	f := statFields()
	b, err := os.ReadFile("/proc/stat")
	_, rest, ok := bytes.Cut(b, []byte("\nbtime "))
	if err != nil || !ok || len(f) < 20 {
		return 0
	}
	boot, _, _ := bytes.Cut(rest, []byte("\n"))
	return stat{boot}.num(0) + f.num(19)/100
}

func cpuSeconds() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func uintOf(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s.Value.Uint64()
}

// copyFrom replaces h's counts by those of a runtime histogram, each bucket put where its upper bound falls.
func (h *Histogram) copyFrom(src *metrics.Float64Histogram) {
	counts, sum := make([]uint64, len(h.counts)), 0.0
	for i, n := range src.Counts {
		lo, hi := src.Buckets[i], src.Buckets[i+1]
		counts[h.bucket(hi)] += n
		switch {
		case math.IsInf(hi, 1):
			sum += float64(n) * lo
		case math.IsInf(lo, -1):
			sum += float64(n) * hi
		default:
			sum += float64(n) * (lo + hi) / 2
		}
	}
	for i, n := range counts {
		h.counts[i].Store(n)
	}
	h.sum.store(sum)
}
