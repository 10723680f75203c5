package engine

import (
	"fmt"
	"testing"
)

// A lower limit takes what it must and no more, also from items that have pages to themselves.
func TestLowerLimitKeepsWhatFits(t *testing.T) {
	f := func(value int) {
		t.Helper()
		s, err := New(Options{Memory: 64 << 20, MaxItem: 1 << 20, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		data := make([]byte, value)
		for i := range (30 << 20) / value {
			r := s.Lock(fmt.Append(nil, "key", i), 1000)
			if err := r.Put(Value{}, data); err != nil {
				t.Fatal(err)
			}
			r.Unlock()
		}
		for limit := int64(56 << 20); limit >= 8<<20; limit -= 4 << 20 {
			before := s.Stats()
			if err := s.SetLimit(limit); err != nil {
				t.Fatal(err)
			}
			st := s.Stats()
			want := min(before.Bytes, limit*7/10)
			if st.Used > limit || st.Bytes < want {
				t.Errorf("values of %d bytes, limit %d MiB: %d KiB used, %d KiB of items left of %d", value, limit>>20, st.Used>>10, st.Bytes>>10, before.Bytes>>10)
			}
		}
	}
	f(600_000)
	f(50_000)
	f(5_000)
	f(500)
}
