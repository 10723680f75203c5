package session

import (
	"testing"
	"time"
)

func TestHistBuckets(t *testing.T) {
	for ns := uint64(1); ns < 1<<37; ns += 1 + ns/7 {
		b := histBucket(ns)
		if upper := HistBound(b); time.Duration(ns) >= upper {
			t.Fatalf("%d ns: bucket %d ends at %d", ns, b, upper)
		}
		if b > 0 && time.Duration(ns) < HistBound(b-1) {
			t.Fatalf("%d ns: bucket %d begins at %d", ns, b, HistBound(b-1))
		}
	}
}

func TestMeterCountsAllAndTimesSome(t *testing.T) {
	m := NewMeter()
	m.Batch()
	for range 100 {
		m.Begin()
		m.End(Get)
	}
	var timed uint64
	for i := range HistBuckets {
		timed += m.Hist(Get).Bucket(i)
	}
	if m.Count(Get) != 100 || timed != 6 {
		t.Errorf("100 gets: counted %d, timed %d; want 100 and 6", m.Count(Get), timed)
	}
}
