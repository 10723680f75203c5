package footprint

import (
	"os"
	"testing"
	"time"
)

// The bars "at rest" of BARS.md that do not depend on how busy the machine is; the start is given room for that.
func TestAtRest(t *testing.T) {
	bin := os.Getenv("EVERUP_BIN")
	if bin == "" {
		t.Skip("SKIP-NEEDS: binaries built by make (EVERUP_BIN)")
	}
	samples, err := Run(t.Context(), Options{Bin: bin, Fleet: true, Rest: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 5 {
		t.Fatalf("%d daemons", len(samples))
	}
	for _, s := range samples {
		t.Logf("%s: ready after %v, RSS %d MiB, CPU %v a second, binary %d MiB", s.Daemon, s.Ready, s.RSS>>20, s.CPU, s.Binary>>20)
		if s.RSS == 0 || s.RSS > 40<<20 || s.Binary > 35<<20 || s.Ready > 5*time.Second {
			t.Errorf("%s: %+v", s.Daemon, s)
		}
	}
}

func TestMedians(t *testing.T) {
	runs := [][]Sample{
		{{Daemon: "a", Ready: 3, RSS: 10, CPU: 1}}, {{Daemon: "a", Ready: 1, RSS: 30, CPU: 3}}, {{Daemon: "a", Ready: 2, RSS: 20, CPU: 2}},
	}
	if got, want := Medians(runs)[0], (Sample{Daemon: "a", Ready: 2, RSS: 20, CPU: 2}); got != want {
		t.Errorf("Medians = %+v, want %+v", got, want)
	}
}
