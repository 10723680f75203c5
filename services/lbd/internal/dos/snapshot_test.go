package dos

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
)

// calendar is a time of the calendar to begin with.
var calendar = time.UnixMilli(1_800_000_000_123)

// again is who a set holds, and what another process with the same options makes of its snapshot when the calendar has gone on so long.
func again(t *testing.T, s *Set, now int64, later time.Duration) *Set {
	t.Helper()
	snap, err := DecodeSnapshot(s.Snapshot(now, calendar).Encode())
	if err != nil {
		t.Fatal(err)
	}
	out := sharing("login")
	out.Restore(snap, 5*second, calendar.Add(later))
	return out
}

func TestSnapshot(t *testing.T) {
	s := sharing("login")
	one, login := s.Get(Default), s.Get("login")
	one.ask("192.0.2.1", 7, 100*second) // hard, and suspect
	one.ask("2001:db8::1", 4, 90*second)
	one.Hold(key(t, "value:00112233445566778899aabbccddeeff"), Suspect, time.Hour, Manual, 100*second)
	one.Hold(key(t, "value:00112233445566778899aabbccddeeff"), Hard, 61*time.Second, Manual, 100*second)
	login.Hold(key(t, "192.0.2.1"), Suspect, 30*time.Second, Shared, 100*second)
	f := func(later time.Duration, first, second string) {
		t.Helper()
		got := again(t, s, 100*int64(time.Second), later)
		if have := got.Get(Default).held(5 * int64(time.Second)); have != first {
			t.Errorf("after %v default holds %s, want %s", later, have, first)
		}
		if have := got.Get("login").held(5 * int64(time.Second)); have != second {
			t.Errorf("after %v login holds %s, want %s", later, have, second)
		}
	}
	f(0, "value:00112233445566778899aabbccddeeff hard 1m1s manual; 192.0.2.1 hard 1m0s counted; 2001:db8::/64 suspect 50s counted; ", "192.0.2.1 suspect 30s shared; ")
	f(29*time.Second+900*time.Millisecond, "value:00112233445566778899aabbccddeeff hard 31.1s manual; 192.0.2.1 hard 30.1s counted; 2001:db8::/64 suspect 20.1s counted; ",
		"192.0.2.1 suspect 100ms shared; ")
	f(30*time.Second, "value:00112233445566778899aabbccddeeff hard 31s manual; 192.0.2.1 hard 30s counted; 2001:db8::/64 suspect 20s counted; ", "")
	f(61*time.Second, "value:00112233445566778899aabbccddeeff suspect 58m59s manual; ", "")
	f(time.Hour, "", "")
	// The calendar was set back: nothing is known of the time that has passed.
	f(-1000*time.Hour, "value:00112233445566778899aabbccddeeff hard 1m1s manual; 192.0.2.1 hard 1m0s counted; 2001:db8::/64 suspect 50s counted; ", "192.0.2.1 suspect 30s shared; ")

	// What is kept still is not taken back with requests, and can be withdrawn or lifted.
	got := again(t, s, 100*second, 0)
	k := key(t, "192.0.2.1")
	for range 9 {
		got.Get(Default).Undo(k, 5*second, 5*second)
	}
	if l := got.Get(Default).Level(k, 5*second); l != Hard {
		t.Errorf("after requests were taken back it is %v", l)
	}
	got.Get("login").withdraw(k, 5*second)
	if l := got.Get("login").Level(k, 5*second); l != None {
		t.Errorf("withdrawn it is %v", l)
	}
}

// Others are not told of who is restored, which they may have let go, before he goes on.
func TestRestoredAreNotTold(t *testing.T) {
	s := sharing("login")
	d := s.Get(Default)
	d.ask("192.0.2.1", 7, second)
	d.ask("192.0.2.2", 7, second)
	d.Hold(key(t, "192.0.2.3"), Hard, time.Hour, Manual, second)
	got := again(t, s, second, 0).Get(Default)
	if c := got.Recall(5 * second); len(c) != 0 {
		t.Errorf("told %+v", c)
	}
	if h := got.held(5 * second); strings.Count(h, "counted") != 2 || strings.Count(h, "manual") != 1 {
		t.Errorf("held %s", h)
	}
	got.ask("192.0.2.2", 4, 6*second)
	got.ask("192.0.2.3", 4, 6*second)
	got.Configure(func() Options { o := options(); o.Share, o.Keys = true, 16; return o }(), 6*second) // the mark goes along
	c := got.Recall(7 * second)
	if len(c) != 2 || c[0].Key.String() != "192.0.2.3" || c[0].By != Manual || c[1].Key.String() != "192.0.2.2" || c[1].By != Counted {
		t.Errorf("told %+v", c)
	}
	if snap := again(t, s, second, 0).Snapshot(5*second, calendar); snap.Detectors[0].Held[0].Origin != Manual {
		t.Errorf("%+v", snap)
	}
}

// Who is no key here any more, or exempt, is left out, as are detectors that have gone; nobody is held for good.
func TestRestoreFits(t *testing.T) {
	snap := &Snapshot{Taken: calendar, Detectors: []Kept{
		{Default, []Record{
			{key(t, "192.0.2.1"), Counted, [2]int64{calendar.UnixMilli() + 1<<50, 0}},
			{key(t, "192.0.2.0/24"), Counted, [2]int64{1 << 62, 1 << 62}},
			{key(t, "192.0.2.200"), Manual, [2]int64{1 << 62, 1 << 62}}, // exempt
			{key(t, "192.0.2.2"), Counted, [2]int64{}},
		}},
		{"gone", []Record{{key(t, "192.0.2.3"), Counted, [2]int64{1 << 62, 0}}}},
	}}
	s := sharing()
	if n := s.Restore(snap, second, calendar); n != 1 {
		t.Errorf("%d are held", n)
	}
	if got, want := s.Get(Default).held(second), "192.0.2.1 suspect 24h0m0s counted; "; got != want {
		t.Errorf("held %s, want %s", got, want)
	}
	if n := new(Set).Restore(snap, second, calendar); n != 0 {
		t.Errorf("%d are held by no detector", n)
	}
}

func TestForget(t *testing.T) {
	s := sharing()
	d := s.Get(Default)
	d.ask("192.0.2.1", 7, second)
	d.ask("192.0.2.2", 7, second)
	before := s.Snapshot(second, calendar)
	d.Lift(key(t, "192.0.2.1"), Manual, second)
	d.ask("192.0.2.3", 7, second)
	after := s.Snapshot(second, calendar)
	next := sharing()
	next.Restore(before, second, calendar)
	feed := next.Follow(10)
	next.Forget(before, after, second)
	next.Restore(after, second, calendar)
	if got := next.Get(Default).held(second); strings.Contains(got, "192.0.2.1 ") || !strings.Contains(got, "192.0.2.2 ") || !strings.Contains(got, "192.0.2.3 ") {
		t.Errorf("held %s", got)
	}
	changes, _ := feed.Take(10)
	if m := next.Tell(changes, second); m != nil {
		t.Errorf("the fleet is told %+v", m)
	}
}

// A snapshot is bounded, and holds the worst.
func TestSnapshotIsBounded(t *testing.T) {
	s := new(Set)
	o := options()
	o.Keys = 1 << 18
	s.Configure([]Named{{Default, o}}, 0)
	d := s.Get(Default)
	for i := range MaxKept + 2000 {
		level := Suspect
		if i < 1000 {
			level = Hard
		}
		if err := d.Hold(v4(uint32(0x0a000000+i)), level, time.Duration(i+1)*time.Second, Counted, 0); err != nil && fault.Of(err) != fault.Full { // some sets are
			t.Fatal(err)
		}
	}
	snap := s.Snapshot(0, calendar)
	if n := len(snap.Detectors[0].Held); n != MaxKept {
		t.Fatalf("%d are kept", n)
	}
	for i, r := range snap.Detectors[0].Held {
		if hard := r.Ends[1] > 0; hard != (i < 1000) {
			t.Fatalf("place %d: %+v", i, r)
		}
	}
	if b := snap.Encode(); len(b) != cap(b) || len(b) > MaxKept*recordSize+100 {
		t.Errorf("%d bytes, room for %d", len(b), cap(b))
	}
}

// reseal puts the right checksum behind what a test has made.
func reseal(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body[:len(body):len(body)], sumOf(body))
}

func TestDecodeSnapshotRefuses(t *testing.T) {
	s := sharing("login")
	s.Get(Default).ask("192.0.2.1", 7, second)
	good := s.Snapshot(second, calendar).Encode()
	body := good[:len(good)-sumSize]
	f := func(what string, b []byte, class fault.Class) {
		t.Helper()
		if got, err := DecodeSnapshot(b); fault.Of(err) != class || got != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	f("nothing", nil, fault.Corrupt)
	f("another file", []byte(strings.Repeat("a page of something else", 5)), fault.Corrupt)
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x10
		f(fmt.Sprintf("byte %d", i), b, fault.Corrupt)
	}
	for i := range good {
		f(fmt.Sprintf("%d bytes", i), good[:i], fault.Corrupt)
	}
	f("more", append(bytes.Clone(good), 0), fault.Corrupt)
	change := func(at int, c byte) []byte {
		b := bytes.Clone(body)
		b[at] = c
		return reseal(b)
	}
	first := headSize + 1 + len(Default) + 4
	f("a later version", change(len(snapshotMagic), snapshotVersion+1), fault.Unsupported)
	f("no name", reseal(append(bytes.Clone(body), 0, 0, 0, 0, 0)), fault.Corrupt)
	f("a name cut off", reseal(append(bytes.Clone(body), 9, 'a')), fault.Corrupt)
	f("too many records", change(first-4, 0xff), fault.Corrupt)
	f("a key of no kind", change(first, 0), fault.Corrupt)
	f("a key of another kind", change(first, 200), fault.Corrupt)
	f("a network with bits behind it", change(first, network+100), fault.Corrupt)
	f("an origin of no kind", change(first+17, 3), fault.Corrupt)
	f("an end before all", change(first+18, 0x80), fault.Corrupt)
	if _, err := DecodeSnapshot(reseal(body)); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	s := sharing("login")
	s.Get(Default).ask("192.0.2.1", 7, second)
	s.Get("login").Hold(Nets{32, 64}.Key(options().Exempt[0].Addr()), Hard, time.Hour, Manual, second)
	good := s.Snapshot(second, calendar).Encode()
	f.Add(good)
	f.Add(good[:len(good)-sumSize])
	f.Add(new(Set).Snapshot(0, calendar).Encode())
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range [][]byte{data, reseal(data)} { // the right sum, too, that there is something behind it
			snap, err := DecodeSnapshot(b)
			if err != nil {
				if c := fault.Of(err); snap != nil || c != fault.Corrupt && c != fault.Unsupported {
					t.Fatalf("%v, %v", snap, err)
				}
				continue
			}
			if again := snap.Encode(); !bytes.Equal(again, b) {
				t.Fatalf("%x reads as %+v, which is written %x", b, snap, again)
			}
			set := sharing("login")
			set.Restore(snap, second, calendar)
			for _, d := range set.All() {
				for _, o := range d.Offenders(None, all, second) {
					if o.Until > second+int64(MaxShared) || !o.Key.Valid() {
						t.Fatalf("%s is held until %d", o.Key, o.Until)
					}
				}
			}
		}
	})
}
