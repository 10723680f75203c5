package daemon

import "testing"

func TestBusy(t *testing.T) {
	f := func(a, b cpuTimes, cpu, iowait uint8) {
		t.Helper()
		if c, w := busy(a, b); c != cpu || w != iowait {
			t.Errorf("busy(%v, %v) = %d, %d, want %d, %d", a, b, c, w, cpu, iowait)
		}
	}
	f(cpuTimes{}, cpuTimes{100, 50, 0}, 0, 0) // first reading
	f(cpuTimes{100, 50, 0}, cpuTimes{200, 125, 0}, 25, 0)
	f(cpuTimes{100, 50, 0}, cpuTimes{200, 100, 30}, 20, 30)
	f(cpuTimes{100, 50, 0}, cpuTimes{100, 50, 0}, 0, 0) // no time has passed
	f(cpuTimes{100, 50, 0}, cpuTimes{50, 20, 0}, 0, 0)  // counters went back
}

func TestParseProc(t *testing.T) {
	got, ok := parseStat([]byte("cpu  10 1 5 80 4 0 0 0 0 0\ncpu0 1 2 3\n"))
	if want := (cpuTimes{100, 80, 4}); !ok || got != want {
		t.Errorf("parseStat = %v, %v, want %v", got, ok, want)
	}
	for _, bad := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h i"} {
		if _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("parseStat(%q) is ok", bad)
		}
	}
	mem := func(in string, want uint8) {
		t.Helper()
		if got := parseMeminfo([]byte(in)); got != want {
			t.Errorf("parseMeminfo(%q) = %d, want %d", in, got, want)
		}
	}
	mem("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n", 75)
	mem("MemTotal:       1000 kB\n", 100) // no MemAvailable line: nothing is known to be available
	mem("", 0)
}
