package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func at(s int) time.Time { return time.Unix(1000+int64(s), 0) }

// TestVisible drives the core through time: what shows, since when, and what was recorded.
func TestVisible(t *testing.T) {
	type step struct {
		at    int
		set   string // level set at that time, "" for a look only
		shows string // "level since count"
	}
	f := func(name string, o Options, steps []step, history string) {
		t.Helper()
		s := state{id: "x", opts: o}
		s.startLocked(at(0))
		for _, st := range steps {
			if st.set != "" {
				var l Level
				if err := l.UnmarshalText([]byte(st.set)); err != nil {
					t.Fatal(err)
				}
				s.setLocked(at(st.at), l, note{detail: st.set + "!"})
			}
			v, _ := s.statusLocked(at(st.at), true)
			if got := fmt.Sprintf("%v %d %d", v.Level, v.Since.Unix()-1000, v.Count); got != st.shows {
				t.Errorf("%s: at %d: %s, want %s", name, st.at, got, st.shows)
			}
		}
		var got []string
		for _, h := range s.history {
			got = append(got, fmt.Sprintf("%d:%v:%s", h.At.Unix()-1000, h.Level, h.Detail))
		}
		if g := strings.Join(got, " "); g != history {
			t.Errorf("%s: history %q, want %q", name, g, history)
		}
	}
	f("at once", Options{}, []step{
		{0, "", "ok 0 0"}, {1, "fail", "fail 1 1"}, {2, "fail", "fail 1 1"}, {3, "warn", "warn 3 1"}, {4, "fail", "fail 4 2"}, {5, "ok", "ok 5 2"},
	}, "1:fail:fail! 3:warn:warn! 4:fail:fail! 5:ok:ok!")
	ten := Options{Visible: 10 * time.Second}
	f("mended in time", ten, []step{{1, "fail", "ok 0 0"}, {10, "ok", "ok 0 0"}, {12, "fail", "ok 0 0"}, {21, "", "ok 0 0"}}, "")
	f("lasts", ten, []step{{1, "fail", "ok 0 0"}, {10, "fail", "ok 0 0"}, {11, "", "fail 1 1"}, {12, "ok", "ok 12 1"}},
		"1:fail:fail! 12:ok:ok!")
	f("worse in steps", ten, []step{{1, "warn", "ok 0 0"}, {5, "fail", "ok 0 0"}, {11, "", "warn 1 1"}, {15, "", "fail 5 2"}},
		"1:warn:warn! 5:fail:fail!")
	f("both steps between two looks", ten, []step{{1, "warn", "ok 0 0"}, {5, "fail", "ok 0 0"}, {40, "", "fail 5 2"}},
		"1:warn:warn! 5:fail:fail!")
	f("back to warn before fail showed", ten, []step{{1, "warn", "ok 0 0"}, {5, "fail", "ok 0 0"}, {9, "warn", "ok 0 0"}, {11, "", "warn 1 1"}, {40, "", "warn 1 1"}},
		"1:warn:warn!")
	f("warn hides fail for a while", ten, []step{{1, "warn", "ok 0 0"}, {20, "fail", "warn 1 1"}, {25, "warn", "warn 1 1"}, {26, "fail", "warn 1 1"}, {36, "", "fail 26 2"}},
		"1:warn:warn! 26:fail:fail!")
	f("a set settles what was due", ten, []step{{1, "fail", "ok 0 0"}, {30, "ok", "ok 30 1"}}, "1:fail:fail! 30:ok:ok!")
	f("pending", Options{Pending: true, Visible: time.Hour}, []step{{0, "", "fail 0 0"}, {1, "", "fail 0 0"}, {2, "ok", "ok 2 0"}},
		"0:fail:not yet known 2:ok:ok!")
}

func TestHistoryBound(t *testing.T) {
	i := NewRegistry().Item("x", Options{})
	for n := range 100 {
		i.Fail(fmt.Sprint(n), "")
		i.OK()
	}
	s, _ := i.status(time.Now(), true)
	if len(s.History) != historySize || s.History[historySize-2].Detail != "99" || s.Count != 100 {
		t.Errorf("%d transitions, count %d: %v", len(s.History), s.Count, s.History)
	}
}

func TestSnapshotAndJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry()
		r.Item("b.ok", Options{Title: "B"})
		r.Item("c.warn", Options{}).Warn("disk at 91%", "remove files")
		r.Item("d.fail", Options{Title: "D", Gates: true}).Fail("down", "")
		r.Item("a.fail", Options{}).Fail("down", "")
		got, err := json.Marshal(r.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		const now = `"2000-01-01T00:00:00Z"`
		want := `[{"id":"a.fail","title":"","level":"fail","detail":"down","since":` + now + `,"count":1,"history":[{"at":` + now + `,"level":"fail","detail":"down"}]},` +
			`{"id":"d.fail","title":"D","level":"fail","detail":"down","gates":true,"since":` + now + `,"count":1,"history":[{"at":` + now + `,"level":"fail","detail":"down"}]},` +
			`{"id":"c.warn","title":"","level":"warn","detail":"disk at 91%","hint":"remove files","since":` + now + `,"count":1,"history":[{"at":` + now + `,"level":"warn","detail":"disk at 91%"}]},` +
			`{"id":"b.ok","title":"B","level":"ok","since":` + now + `,"count":0}]`
		if d := cmp.Diff(want, strings.ReplaceAll(string(got), time.Now().Format(time.RFC3339), "2000-01-01T00:00:00Z")); d != "" {
			t.Errorf("JSON (-want +got):\n%s", d)
		}
		var back []Status
		if err := json.Unmarshal(got, &back); err != nil || back[2].Level != Warn {
			t.Errorf("back: %v %v", back, err)
		}
		if r.Worst() != Fail || NewRegistry().Worst() != OK {
			t.Error("Worst is wrong")
		}
	})
}

func TestLevelText(t *testing.T) {
	var l Level
	if err := json.Unmarshal([]byte(`"bad"`), &l); err == nil {
		t.Error("an unknown level was read")
	}
	if _, err := json.Marshal(Level(9)); err == nil {
		t.Error("an unknown level was written")
	}
}

func TestReady(t *testing.T) {
	r := NewRegistry()
	f := func(want ...string) {
		t.Helper()
		ok, reasons := r.Ready()
		if d := cmp.Diff(want, reasons); d != "" || ok != (len(want) == 0) {
			t.Errorf("ready %v, reasons (-want +got):\n%s", ok, d)
		}
	}
	f()
	p := r.Item("lbd.start", Options{Title: "first check", Gates: true, Pending: true})
	f("lbd.start: first check: not yet known")
	p.OK()
	f()
	g := r.Item("lbd.listen", Options{Gates: true})
	g.Warn("slow", "")
	f()
	g.Fail("", "")
	r.Item("lbd.other", Options{}).Fail("does not gate", "")
	f("lbd.listen")
	r.SetDraining("upgrade")
	f("draining: upgrade", "lbd.listen")
	r.Item("bus.down", Options{Gates: true}).Fail("", "")
	f("draining: upgrade", "bus.down", "lbd.listen")
	r.Remove("bus.down")
	r.Remove("lbd.listen")
	f("draining: upgrade")
	r.SetDraining("")
	f("draining: no reason given")
}

func TestSameItem(t *testing.T) {
	r := NewRegistry()
	a := r.Item("x", Options{Title: "first"})
	if b := r.Item("x", Options{Title: "second"}); a != b || b.opts.Title != "first" {
		t.Error("an id asked for twice is not the same item")
	}
	r.Remove("x")
	a.Fail("gone", "") // without effect
	if n := len(r.Snapshot()); n != 0 {
		t.Errorf("%d items after Remove", n)
	}
	if r.Item("x", Options{}) == a {
		t.Error("a removed item came back")
	}
	r.Remove("never there")
}

func TestBound(t *testing.T) {
	r := NewRegistry()
	for i := range MaxItems {
		r.Item(fmt.Sprint(i), Options{})
	}
	over := r.Item("over", Options{Gates: true, Visible: time.Hour})
	over.Fail("unseen", "")
	all := r.Snapshot()
	if len(all) != MaxItems+1 || all[0].ID != FullID || all[0].Level != Warn || all[0].Count != 1 {
		t.Errorf("%d items, first %+v", len(all), all[0])
	}
	if ok, _ := r.Ready(); !ok {
		t.Error("a refused item gates")
	}
	r.Remove("7")
	if r.Worst() != OK {
		t.Error("health.full stays after room was made")
	}
	if r.Item("over", Options{}) == over {
		t.Error("the refused item was kept")
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry()
		c, cancel := r.Watch()
		f := func(want bool, what string) {
			t.Helper()
			synctest.Wait()
			select {
			case <-c:
				if !want {
					t.Errorf("token after %s", what)
				}
			default:
				if want {
					t.Errorf("no token after %s", what)
				}
			}
		}
		i := r.Item("x", Options{Visible: 10 * time.Second})
		f(true, "a new item")
		i.OK()
		f(false, "the same level")
		i.Fail("a", "")
		f(false, "a hidden change")
		time.Sleep(9 * time.Second)
		f(false, "9 s")
		time.Sleep(time.Second)
		f(true, "the hidden change showed")
		if r.Worst() != Fail {
			t.Error("not shown")
		}
		i.Fail("b", "")
		f(true, "a new detail")
		i.Fail("b", "")
		f(false, "the same detail")
		i.OK()
		i.Warn("w", "")
		i.OK()
		r.SetDraining("x")
		f(true, "several changes")
		f(false, "coalesced changes")
		time.Sleep(time.Minute)
		f(false, "a change that mended itself in time")
		i.Warn("w", "")
		time.Sleep(5 * time.Second)
		i.Fail("f", "")
		time.Sleep(5 * time.Second)
		f(true, "warn showed")
		time.Sleep(5 * time.Second)
		f(true, "fail showed")
		i.OK()
		i.Fail("f", "")
		f(true, "ok")
		r.Remove("x")
		f(true, "Remove")
		time.Sleep(time.Minute)
		f(false, "a removed item's time")
		i.OK()
		i.Fail("late", "")
		time.Sleep(time.Minute)
		f(false, "setting a removed item")
		cancel()
		cancel()
		r.Item("y", Options{}).Fail("", "")
		f(false, "cancel")
	})
}

func TestSetAllocs(t *testing.T) {
	i := NewRegistry().Item("x", Options{Visible: time.Hour})
	i.Fail("d", "h")
	if n := testing.AllocsPerRun(100, func() { i.Fail("d", "h") }); n != 0 {
		t.Errorf("%v allocations for no change", n)
	}
}

func TestConcurrent(t *testing.T) {
	r := NewRegistry()
	c, cancel := r.Watch()
	defer cancel()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range 300 {
				id := fmt.Sprint(n % 7)
				i := r.Item(id, Options{Gates: n%2 == 0, Visible: time.Duration(n%3) * time.Microsecond})
				i.Set(Level(n%3), fmt.Sprint(n), "h")
				if n%50 == w {
					r.Remove(id)
				}
				r.Ready()
				select {
				case <-c:
				default:
				}
			}
		})
		wg.Go(func() {
			for range 100 {
				r.Snapshot()
				_, stop := r.Watch()
				stop()
			}
		})
	}
	wg.Wait()
	if n := len(r.Snapshot()); n > 7 {
		t.Errorf("%d items", n)
	}
}

func TestCutKeepsCharacters(t *testing.T) {
	r := NewRegistry()
	i := r.Item("x", Options{})
	i.Fail("a"+strings.Repeat("é", maxText), "")
	if d := r.Snapshot()[0].Detail; len(d) != maxText-1 || !utf8.ValidString(d) {
		t.Errorf("%d bytes, valid %v", len(d), utf8.ValidString(d))
	}
}
