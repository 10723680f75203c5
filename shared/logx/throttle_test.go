package logx

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle(t *testing.T) {
	th := NewThrottle(time.Minute)
	start := time.Unix(1000, 0)
	f := func(after time.Duration, key string, ok bool, suppressed int) {
		t.Helper()
		if o, s := th.AllowAt(start.Add(after), key); o != ok || s != suppressed {
			t.Errorf("%s at %v: (%v, %d), want (%v, %d)", key, after, o, s, ok, suppressed)
		}
	}
	f(0, "a", true, 0)
	f(time.Second, "a", false, 0)
	f(time.Second, "b", true, 0)
	f(59*time.Second, "a", false, 0)
	f(60*time.Second, "a", true, 2)
	f(61*time.Second, "a", false, 0)
	f(61*time.Second, "b", true, 0)
}

func TestThrottleBound(t *testing.T) {
	th := NewThrottle(time.Hour)
	now := time.Unix(1000, 0)
	for i := range throttleKeys {
		th.AllowAt(now, fmt.Sprint(i))
	}
	if ok, _ := th.AllowAt(now, "0"); ok {
		t.Fatal("key 0 was forgotten too early")
	}
	th.AllowAt(now, "new") // pushes out "0", the oldest
	if len(th.keys) != throttleKeys || th.order.Len() != throttleKeys {
		t.Errorf("%d keys, %d in order", len(th.keys), th.order.Len())
	}
	if ok, _ := th.AllowAt(now, "1"); ok {
		t.Error("key 1 was forgotten before the oldest")
	}
	if ok, _ := th.AllowAt(now, "0"); !ok {
		t.Error("the oldest key did not make room")
	}
}

func TestThrottleClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(time.Second)
		th.Allow("a")
		th.Allow("a")
		time.Sleep(time.Second)
		if ok, n := th.Allow("a"); !ok || n != 1 {
			t.Errorf("(%v, %d), want (true, 1)", ok, n)
		}
	})
}
