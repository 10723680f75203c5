package viptest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOutside: what is failed or skipped is told, and what was registered is undone in either case, the last first.
func TestOutside(t *testing.T) {
	f := func(name, want string, run func(t testing.TB)) {
		t.Helper()
		var order []int
		err := Outside(t.Context(), name, func(t testing.TB) {
			t.Cleanup(func() { order = append(order, 1) })
			t.Cleanup(func() { order = append(order, 2) })
			run(t)
		})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if !slices.Equal(order, []int{2, 1}) {
			t.Errorf("%s: cleaned up in the order %v", name, order)
		}
	}
	f("good", "", func(t testing.TB) { t.Log("seen by nobody") })
	f("bad", "bad: before\nno 7", func(t testing.TB) {
		t.Log("before")
		t.Fatalf("no %d", 7)
	})
	f("error", "error: went on\nafter", func(t testing.TB) {
		t.Error("went on")
		t.Log("after")
	})
	f("absent", "absent: SKIP-NEEDS: x", func(t testing.TB) { t.Skip("SKIP-NEEDS: x") })
}
