package viptest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEchoes: windows of loss are told from the sent and the answered.
func TestEchoes(t *testing.T) {
	base := time.Now()
	f := func(want Echoes, answered ...time.Duration) {
		t.Helper()
		e := &Echo{base: base, o: EchoOptions{Each: 2}}
		for i, a := range answered {
			e.sent = append(e.sent, time.Duration(10+2*i))
			if a != 0 {
				a += e.sent[i]
			}
			e.answered = append(e.answered, a)
		}
		if diff := cmp.Diff(want, e.echoes()); diff != "" {
			t.Errorf("%v: -want +got:\n%s", answered, diff)
		}
	}
	at := func(i int) time.Time { return base.Add(time.Duration(10 + 2*i)) }
	f(Echoes{})
	f(Echoes{Sent: 3, Slowest: 5, Late: 2}, 1, 5, 1)
	f(Echoes{Sent: 5, Lost: 2, Slowest: 1, Late: 2, Losses: []Loss{{Began: at(1), For: 4, Lost: 2}}}, 1, 0, 0, 1, 1)
	f(Echoes{Sent: 5, Lost: 3, Slowest: 1, Late: 2, Losses: []Loss{{Began: at(0), For: 2, Lost: 1}, {Began: at(3), For: 4, Lost: 2, Cut: true}}}, 0, 1, 1, 0, 0)
	several := Echoes{Losses: []Loss{{Began: at(0), For: 2}, {Began: at(2), For: 8}, {Began: at(9), For: 4}}}
	if got := several.Longest().For; got != 8 {
		t.Errorf("the longest loss is %v", got)
	}
	if got := several.Outage(); got != 22 {
		t.Errorf("the outage is %v, not from 10 to 32", got)
	}
	if got := (Echoes{}).Outage() + (Echoes{}).Longest().For; got != 0 {
		t.Errorf("without a loss there is an outage of %v", got)
	}
}

// TestLate: the prober's own lateness counts where it touches the stretch asked for.
func TestLate(t *testing.T) {
	base := time.Now()
	e := &Echo{base: base, o: EchoOptions{Each: 2}, sent: []time.Duration{2, 4, 9, 11, 13, 23}}
	f := func(from, to int, want time.Duration) {
		t.Helper()
		if got := e.Late(base.Add(time.Duration(from)), base.Add(time.Duration(to))); got != want {
			t.Errorf("late by %d between %d and %d, want %d", got, from, to, want)
		}
	}
	f(0, 30, 8)
	f(0, 13, 3)
	f(5, 6, 3)
	f(9, 13, 0)
	f(30, 40, 0)
}

// TestBetween: the time without a holder and with two is summed within the stretch asked for.
func TestBetween(t *testing.T) {
	base := time.Now()
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	h := &Holders{changes: []change{{at(0), nil}, {at(10), []string{"a"}}, {at(20), []string{"a", "b"}}, {at(25), []string{"b"}}, {at(40), nil}}}
	f := func(from, to int, want Tenure) {
		t.Helper()
		want.From, want.To = at(from), at(to)
		if diff := cmp.Diff(want, h.Between(at(from), at(to))); diff != "" {
			t.Errorf("%d to %d: -want +got:\n%s", from, to, diff)
		}
	}
	ms := time.Millisecond
	f(0, 50, Tenure{None: 20 * ms, Two: 5 * ms, Changes: []string{"+0s []", "+10ms [a]", "+20ms [a b]", "+25ms [b]", "+40ms []"}})
	f(22, 30, Tenure{Two: 3 * ms, Changes: []string{"+0s [a b]", "+3ms [b]"}})
	f(5, 20, Tenure{None: 5 * ms, Changes: []string{"+0s []", "+5ms [a]"}})
	f(41, 45, Tenure{None: 4 * ms, Changes: []string{"+0s []"}})
}
