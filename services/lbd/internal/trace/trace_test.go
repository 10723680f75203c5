package trace

import (
	"regexp"
	"testing"
	"time"
)

// Ids are UUIDs of version 7 whose time is that of the request, and no two are the same.
func TestIDs(t *testing.T) {
	s := NewSource()
	at := time.UnixMilli(0x0193_5a3c_1f00)
	form := regexp.MustCompile(`^01935a3c-1f00-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 10000 {
		id := s.AppendID(nil, at)
		if !form.Match(id) || seen[string(id)] || !ValidID(id) || len(id) != IDLen {
			t.Fatalf("id %s, seen before: %v", id, seen[string(id)])
		}
		seen[string(id)] = true
	}
	if a, b := s.AppendID(nil, at), s.AppendID(nil, at.Add(time.Millisecond)); string(a) >= string(b) {
		t.Errorf("%s is not before %s", a, b)
	}
	one, two := Seeded([32]byte{1}), Seeded([32]byte{1})
	if string(one.AppendID(nil, at)) != string(two.AppendID(nil, at)) || string(one.AppendID(nil, at)) == string(Seeded([32]byte{2}).AppendID(nil, at)) {
		t.Error("ids are not those of the seed")
	}
}

func TestParents(t *testing.T) {
	s := NewSource()
	form := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0([01])$`)
	for _, sampled := range []bool{false, true} {
		v := s.AppendParent(nil, sampled)
		if m := form.FindSubmatch(v); m == nil || (string(m[1]) == "1") != sampled || string(TraceID(v)) != string(v[3:35]) {
			t.Errorf("%s, sampled %v, trace %s", v, sampled, TraceID(v))
		}
	}
}

func TestTraceID(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	f := func(v, want string) {
		t.Helper()
		if got := string(TraceID([]byte(v))); got != want {
			t.Errorf("%q: %q, want %q", v, got, want)
		}
	}
	f("00-"+id+"-00f067aa0ba902b7-01", id)
	f("00-"+id+"-00f067aa0ba902b7-ff", id) // flags that are not known
	f("cc-"+id+"-00f067aa0ba902b7-01-what-follows", id)
	f("cc-"+id+"-00f067aa0ba902b7-01", id)
	f("cc-"+id+"-00f067aa0ba902b7-01.x", "")
	f("00-"+id+"-00f067aa0ba902b7-01-x", "")
	f("ff-"+id+"-00f067aa0ba902b7-01", "")
	f("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "")
	f("00-"+id+"-0000000000000000-01", "")
	f("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "")
	f("00-"+id+"-00f067aa0ba902b7-0", "")
	f("00_"+id+"-00f067aa0ba902b7-01", "")
	f("0g-"+id+"-00f067aa0ba902b7-01", "")
	f(" 00-"+id+"-00f067aa0ba902b7-01", "")
	f("", "")
}

func TestValidID(t *testing.T) {
	f := func(v string, want bool) {
		t.Helper()
		if ValidID([]byte(v)) != want {
			t.Errorf("%q: %v", v, !want)
		}
	}
	f("018f-aZ_9.:/+=@", true)
	f("", false)
	f("a b", false)
	f(`a"`, false)
	f("a\x00", false)
	f("é", false)
	f("<script>", false)
	f(string(make([]byte, 129)), false)
}

func FuzzTraceID(f *testing.F) {
	f.Add([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	form := regexp.MustCompile(`^([0-9a-e][0-9a-f]|f[0-9a-e])-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-[\x00-\xff]*)?$`)
	f.Fuzz(func(t *testing.T, v []byte) {
		if id := TraceID(v); id != nil && (!form.Match(v) || string(id) != string(v[3:35])) {
			t.Errorf("%q has the trace id %q", v, id)
		}
	})
}

func TestAllocs(t *testing.T) {
	s := NewSource()
	b := make([]byte, 0, 128)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { b = s.AppendParent(s.AppendID(b[:0], now), true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkID(b *testing.B) {
	s := NewSource()
	buf := make([]byte, 0, 64)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		buf = s.AppendID(buf[:0], now)
	}
}
