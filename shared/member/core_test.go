package member

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// randomRecord draws from few keys, times and writers, so that conflicts and ties are common.
func randomRecord(r *rand.Rand) record {
	rec := record{
		Key: string(rune('a' + r.IntN(3))), At: stampOf(t0) + stamp(r.IntN(4)), By: ID(rune('x' + r.IntN(2))),
		Deleted: r.IntN(4) == 0,
	}
	if !rec.Deleted {
		rec.Value = []byte{byte(r.IntN(3))}
	}
	return rec
}

func merged(sets ...[]record) map[string]record {
	s := newStore()
	for _, set := range sets {
		s.merge(set)
	}
	return s.records
}

func TestMergeIsCommutativeAssociativeIdempotent(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	set := func() (out []record) {
		for range r.IntN(8) {
			out = append(out, randomRecord(r))
		}
		return out
	}
	values := func(m map[string]record) (out []record) {
		for _, rec := range m {
			out = append(out, rec)
		}
		return out
	}
	for range 5000 {
		a, b, c := set(), set(), set()
		if d := cmp.Diff(merged(a, b), merged(b, a)); d != "" {
			t.Fatalf("not commutative: %v %v\n%s", a, b, d)
		}
		left, right := merged(values(merged(a, b)), c), merged(a, values(merged(b, c)))
		if d := cmp.Diff(left, right); d != "" {
			t.Fatalf("not associative: %s", d)
		}
		if d := cmp.Diff(merged(a), merged(a, a, values(merged(a)))); d != "" {
			t.Fatalf("not idempotent: %s", d)
		}
	}
}

func TestClock(t *testing.T) {
	var c hlc
	a := c.next(t0)
	b := c.next(t0.Add(-time.Hour)) // the wall clock was set back
	if b <= a {
		t.Errorf("%v is not after %v", b, a)
	}
	c.observe(stampOf(t0.Add(time.Minute)))
	if d := c.next(t0); d <= stampOf(t0.Add(time.Minute)) {
		t.Errorf("%v is not after what was observed", d)
	}
	if !stampOf(t0.Add(23*time.Hour)).sane(t0) || stampOf(t0.Add(25*time.Hour)).sane(t0) {
		t.Error("the bound of skew is not 24 h")
	}
}

func TestStoreBounds(t *testing.T) {
	s := newStore()
	put := func(key string, size int) error {
		return s.put(record{Key: key, Value: make([]byte, size), At: stampOf(t0)})
	}
	for i := range maxKeys {
		if err := put(fmt.Sprint(i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("more", 1); !errors.Is(err, fault.Full) {
		t.Errorf("key %d: %v", maxKeys+1, err)
	}
	if err := s.put(record{Key: "0", Value: []byte("new"), At: stampOf(t0) + 1}); err != nil {
		t.Errorf("overwriting in a full state: %v", err)
	}
	if err := s.put(record{Key: "1", Deleted: true, At: stampOf(t0) + 1}); err != nil {
		t.Errorf("deleting: %v", err)
	}
	if err := put("more", 1); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
	if err := put("big", maxValue+1); !errors.Is(err, fault.Full) {
		t.Errorf("a value too big: %v", err)
	}
	s = newStore()
	for i := range maxState/maxValue - 1 {
		if err := put(fmt.Sprint(i), maxValue-8); err != nil {
			t.Fatal(err)
		}
	}
	if err, full := put("a", maxValue-8), put("b", maxValue); err != nil || !errors.Is(full, fault.Full) {
		t.Errorf("at the end of the room: %v, %v", err, full)
	}
	s.expire(t0.Add(25*time.Hour), false)
	if n, _ := s.sizes(); n != maxState/maxValue {
		t.Errorf("live keys expired: %d", n)
	}
}

func TestTombstonesExpire(t *testing.T) {
	s := newStore()
	s.put(record{Key: "k", Deleted: true, At: stampOf(t0)})
	s.expire(t0.Add(23*time.Hour), false)
	if _, ok := s.get("k"); !ok {
		t.Error("a tombstone went within its day")
	}
	s.expire(t0.Add(25*time.Hour), false)
	if _, ok := s.get("k"); ok {
		t.Error("a tombstone stays for ever")
	}
}

func TestTable(t *testing.T) {
	tab := newTable(Member{ID: "a/lbd", State: Alive})
	addr := addrPort("10.0.0.2:7941")
	tab.heard(t0, "b/lbd", addr, meta{Generation: 5})
	state := func() State { return tab.members["b/lbd"].State }

	tab.gone(t0.Add(time.Second), "b/lbd")
	if state() != Dead {
		t.Errorf("after a death: %v", state())
	}
	if tab.intends("b/lbd", 4) || state() != Dead {
		t.Error("an older process's intent excuses a death")
	}
	if !tab.intends("b/lbd", 5) || state() != Left {
		t.Error("an intent heard late does not excuse the death")
	}
	tab.heard(t0.Add(2*time.Second), "b/lbd", addr, meta{Generation: 6})
	tab.gone(t0.Add(3*time.Second), "b/lbd")
	if state() != Dead {
		t.Error("the intent of the old process excuses the new one's death")
	}
	if tab.expire(t0.Add(23 * time.Hour)) {
		t.Error("forgotten within a day")
	}
	if !tab.expire(t0.Add(25*time.Hour)) || state() != 0 {
		t.Error("remembered for ever")
	}
	tab.heard(t0, "c/lbd", addr, meta{Generation: 1, Leaving: true})
	tab.gone(t0, "c/lbd")
	if tab.members["c/lbd"].State != Left {
		t.Error("a member that said it leaves is dead")
	}
}

func TestTableIsBounded(t *testing.T) {
	tab := newTable(Member{ID: "a/lbd", State: Alive})
	for i := range maxMembers - 1 {
		tab.heard(t0, ID(fmt.Sprintf("n%d/lbd", i)), netip.AddrPort{}, meta{})
	}
	if _, ok := tab.heard(t0, "more/lbd", netip.AddrPort{}, meta{}); ok {
		t.Error("one more than the bound")
	}
	tab.gone(t0, "n7/lbd")
	if _, ok := tab.heard(t0, "more/lbd", netip.AddrPort{}, meta{}); !ok || tab.members["n7/lbd"].ID != "" {
		t.Error("the dead one did not make room")
	}
}

func fullMeta() meta {
	m := meta{Generation: 1 << 60, Zone: "rack-7", Version: "1.2.3", Padding: 3}
	m.Announcement = Announcement{
		Health: 1, Draining: true, Weight: 250, Load: Load{1, 2, 3, 4}, Config: 0xdeadbeef,
		Bus: addrPort("10.0.0.1:4222"), Figures: []Figure{{"hit_ratio", 931}, {"memory", 1000}},
		Endpoints: []Endpoint{
			{"http", "tcp", addrPort("10.0.0.1:80")}, {"http3", "udp", addrPort("[2001:db8::1]:443")}, {"dns", "udp", addrPort("10.0.0.1:53")},
		},
	}
	return m
}

func TestMetaRoundTrip(t *testing.T) {
	m := fullMeta()
	b, left := m.encode()
	if left != 0 || len(b) > 180 {
		t.Errorf("%d bytes, %d endpoints left out", len(b), left)
	}
	if d := cmp.Diff(m, parseMeta(b), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestMetaFitsWhateverIsAnnounced(t *testing.T) {
	m := fullMeta()
	m.Endpoints = nil
	for i := range 20 {
		addr := netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)})
		m.Endpoints = append(m.Endpoints, Endpoint{"a-name-that-is-rather-long-for-one", "tcp", netip.AddrPortFrom(addr, 80)})
	}
	b, left := m.encode()
	if len(b) > metaMax || left == 0 || left == 20 {
		t.Errorf("%d bytes, %d of 20 endpoints left out", len(b), left)
	}
	if got := parseMeta(b); len(got.Endpoints) != 20-left || got.Generation != m.Generation || len(got.Figures) != 0 {
		t.Errorf("read back: %+v", got)
	}

	m.Endpoints, m.Figures = nil, nil
	for i := range 9 {
		m.Figures = append(m.Figures, Figure{"a-name-of-too-many-bytes", uint16(998 + i)})
	}
	b, _ = m.encode()
	want := []Figure{{"a-name-of-too-ma", 998}, {"a-name-of-too-ma", 999}, {"a-name-of-too-ma", 1000}, {"a-name-of-too-ma", 1000}}
	if d := cmp.Diff(want, parseMeta(b).Figures); d != "" {
		t.Error(d)
	}
}

func TestMetaOfAnotherVersionIsTolerated(t *testing.T) {
	b, _ := fullMeta().encode()
	newer := append([]byte{}, b...)
	newer = append(newer, 200, 3, 1, 2, 3) // a field of the future
	if d := cmp.Diff(parseMeta(b), parseMeta(newer), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
	newer[0] = 9
	if got := parseMeta(newer); got.Generation != 0 || len(got.Endpoints) != 0 {
		t.Errorf("version 9 read as %+v", got)
	}
}

func FuzzMeta(f *testing.F) {
	b, _ := fullMeta().encode()
	f.Add(b)
	f.Add([]byte{metaVersion, tagFigure, 2, 0xff, 0xff, tagFigure, 1, 7})
	f.Add([]byte{metaVersion, tagAddr, 0, tagEndpoint, 5, 6, 0, 0, 80, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := parseMeta(b)
		enc, left := m.encode()
		if len(enc) > metaMax {
			t.Fatalf("%d bytes", len(enc))
		}
		if again := parseMeta(enc); left == 0 && len(again.Endpoints) != len(m.Endpoints) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(appendRecord(newBatch(), tagged{kindState, record{Key: "k", Value: []byte("v"), At: 7, By: "a/lbd"}}))
	f.Add(appendRecord(newBatch(), tagged{kindLeave, record{Key: "a/lbd", Value: generationValue(9), Deleted: true}}))
	f.Add([]byte{recordsVersion, 0, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, err := parseRecords(b)
		if err != nil {
			return
		}
		enc := newBatch()
		for _, r := range rs {
			enc = appendRecord(enc, r)
		}
		again, err := parseRecords(enc)
		if err != nil || len(again) != len(rs) {
			t.Fatalf("%v became %v: %v", rs, again, err)
		}
	})
}

func TestJoinTargets(t *testing.T) {
	f := func(entry string, want ...string) {
		t.Helper()
		var got []string
		for _, x := range expandJoin(entry) {
			got = append(got, fmt.Sprintf("%s %d", x.host, x.port))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	f("h", "h 7941", "h 7942", "h 7943", "h 7944", "h 7945")
	f("h:1", "h 1")
	f("10.0.0.1:7000", "10.0.0.1 7000")
	f("[2001:db8::1]:7", "2001:db8::1 7")
	f("2001:db8::1", "2001:db8::1 7941", "2001:db8::1 7942", "2001:db8::1 7943", "2001:db8::1 7944", "2001:db8::1 7945")
	for _, bad := range []string{"", ":80", "h:0", "h:x", "h:99999"} {
		if err := checkJoin([]string{bad}); !errors.Is(err, fault.Config) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestBroadcasts(t *testing.T) {
	q := &broadcasts{peers: func() int { return 3 }}
	done := 0
	q.add("a", []byte("old"), func() { done++ })
	q.add("a", []byte("new"), func() { done += 10 })
	q.add("b", []byte("bbb"), nil)
	if done != 1 {
		t.Errorf("a message replaced is not finished: %d", done)
	}
	sent := map[string]int{}
	for range 100 {
		for _, m := range q.take(2, 5) { // one fits
			sent[string(m)]++
		}
	}
	if d := cmp.Diff(map[string]int{"new": retransmitMult, "bbb": retransmitMult}, sent); d != "" || done != 11 || len(q.queue) != 0 {
		t.Errorf("done %d: %s", done, d)
	}
}
