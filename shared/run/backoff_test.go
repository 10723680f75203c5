package run

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackoffDoublesToMaxAndForgets(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 20 * time.Second, Healthy: time.Minute}
	var got []time.Duration
	for range 7 {
		got = append(got, b.Next(0, 0.5))
	}
	got = append(got, b.Next(time.Minute-1, 0.5), b.Next(time.Minute, 0.5), b.Next(0, 0.5))
	s := time.Second
	want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 20 * s, 20 * s, 20 * s, s, 2 * s}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("pauses (-want +got):\n%s", d)
	}
	if b.Fails() != 2 {
		t.Errorf("Fails() = %d, want 2", b.Fails())
	}
}

func TestBackoffJitterStaysWithinBounds(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 10 * time.Second, Jitter: 0.5}
	b.Next(0, 0)
	if lo, hi := b.Next(0, 0), (&Backoff{Min: 2 * time.Second, Max: 10 * time.Second, Jitter: 0.5}).Next(0, 0.999999); lo != time.Second || hi < 2990*time.Millisecond {
		t.Errorf("a pause of 2 s with jitter 0.5 spreads over %v to %v, want 1 s to 3 s", lo, hi)
	}
	for i := range 200 {
		if p := b.Next(0, float64(i%10)/10); p < b.Min || p > b.Max {
			t.Fatalf("pause %v outside %v to %v", p, b.Min, b.Max)
		}
	}
	huge := Backoff{Min: time.Nanosecond, Max: 1<<63 - 1}
	for range 100 {
		if p := huge.Next(0, 0.5); p <= 0 {
			t.Fatalf("pause overflowed to %v", p)
		}
	}
}
