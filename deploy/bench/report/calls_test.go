package report

import "testing"

func TestPerRequest(t *testing.T) {
	calls := map[string]int64{"read": 200, "write": 200, "epoll_wait": 50, "close": 1}
	if got := Total(calls); got != 451 {
		t.Error(got)
	}
	for digits, want := range map[int]string{1: "read 2.0, write 2.0, epoll_wait 0.5", 3: "read 2.000, write 2.000, epoll_wait 0.500, close 0.010"} {
		if got := PerRequest(calls, 100, digits); got != want {
			t.Errorf("%d digits: %s, want %s", digits, got, want)
		}
	}
}
