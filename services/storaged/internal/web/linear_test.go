package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// op is one finished operation on a counter: a read that saw value, or a write that made it.
type op struct {
	write      bool
	value      int
	start, end time.Time
}

// linearizable checks a history of a counter that starts at 0 and that every write raises by one. The values order
// the writes, so the history is linearizable if and only if that order breaks no real-time order: an operation that ended before another
// began saw no later value, and no value was made twice.
func linearizable(history []op) error {
	made := map[int]bool{}
	for _, a := range history {
		if a.write && made[a.value] {
			return fmt.Errorf("two writes made %d", a.value)
		}
		made[a.value] = made[a.value] || a.write
		for _, b := range history {
			if !a.end.Before(b.start) {
				continue
			}
			if a.value > b.value || b.write && a.value == b.value {
				return fmt.Errorf("%+v ended before %+v began", a, b)
			}
		}
	}
	for _, a := range history {
		if a.value > 0 && !made[a.value] {
			return fmt.Errorf("%d was read and never written", a.value)
		}
	}
	return nil
}

func TestLinearizableFindsFaults(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	f := func(ok bool, h ...op) {
		t.Helper()
		if err := linearizable(h); (err == nil) != ok {
			t.Errorf("%v: %v", h, err)
		}
	}
	f(true, op{true, 1, at(0), at(2)}, op{false, 0, at(1), at(3)}, op{false, 1, at(1), at(3)})
	f(false, op{true, 1, at(0), at(2)}, op{false, 0, at(3), at(4)})
	f(false, op{false, 1, at(0), at(1)}, op{true, 1, at(2), at(3)})
	f(false, op{true, 1, at(0), at(9)}, op{true, 1, at(0), at(9)})
	f(false, op{false, 5, at(0), at(1)})
}

// TestCompareAndSwapIsLinearizable lets clients raise a counter by If-Match while others read it.
func TestCompareAndSwapIsLinearizable(t *testing.T) {
	r := newRig(t, nil)
	r.do(t, "PUT", "/n", "0")
	var mu sync.Mutex
	var history []op
	add := func(o op) {
		mu.Lock()
		history = append(history, o)
		mu.Unlock()
	}
	read := func() (int, string, op) {
		start := time.Now()
		resp, body := r.send(t, "GET", "/n", "")
		v, err := strconv.Atoi(body)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s %q", resp.Status, body)
		}
		return v, resp.Header.Get("ETag"), op{false, v, start, time.Now()}
	}
	const writers, each = 3, 8
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for won := 0; won < each; {
				v, etag, o := read()
				add(o)
				start := time.Now()
				resp, _ := r.send(t, "PUT", "/n", strconv.Itoa(v+1), "If-Match: "+etag)
				switch resp.StatusCode {
				case http.StatusNoContent:
					won++
					add(op{true, v + 1, start, time.Now()})
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("%s", resp.Status)
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 100 {
				_, _, o := read()
				add(o)
			}
		})
	}
	wg.Wait()
	if err := linearizable(history); err != nil {
		t.Error(err)
	}
	if got, want := r.do(t, "GET", "/n", ""), fmt.Sprint("200 ", writers*each); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if left := strings.Count(fmt.Sprint(history), "true"); left == 0 {
		t.Error("no write in the history")
	}
}
