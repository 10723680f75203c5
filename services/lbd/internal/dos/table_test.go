package dos

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/everup/everup/shared/labtest"
)

func key(t testing.TB, s string) Key {
	t.Helper()
	k, err := ParseKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func hashOf(k Key) uint64 {
	h := fnv.New64a()
	h.Write([]byte(k.String()))
	return h.Sum64()
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func at(t testing.TB, s string) int64 {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return int64(d)
}

// The commands are
//
//	new PERIOD THRESHOLD HARD BAN KEYS
//	ask TIME KEY [TIMES]    requests
//	undo TIME KEY AT        one of AT is taken back
//	told TIME KEY LEVEL FOR (by another balancer), ban (by hand), withdraw, lift
//	see TIME [KEY]
func TestTableScripts(t *testing.T) {
	labtest.Script(t, "testdata/table", func(t *testing.T) labtest.Runner {
		r := &scripted{t: t}
		return r.run
	})
}

type scripted struct {
	t     *testing.T
	table *Table
}

func (r *scripted) run(cmd string, args []string, _ string) string {
	t := r.t
	if cmd == "new" {
		s := Settings{
			Period: time.Duration(at(t, args[0])), Threshold: uint64(number(t, args[1])), Hard: uint64(number(t, args[2])), Ban: time.Duration(at(t, args[3])),
		}
		r.table = NewTable(s, number(t, args[4]))
		return fmt.Sprintf("room for %d", r.table.Keys())
	}
	now := at(t, args[0])
	if cmd == "see" && len(args) == 1 {
		return r.list(now)
	}
	k := key(t, args[1])
	h := hashOf(k)
	var o Outcome
	switch cmd {
	case "ask":
		n := 1
		if len(args) > 2 {
			n = number(t, args[2])
		}
		var said []string
		for range n {
			o = r.table.Count(h, k, now)
			if o.Changed() {
				said = append(said, r.say(o, now))
			}
		}
		if len(said) == 0 || said[len(said)-1] != r.say(o, now) {
			said = append(said, r.say(o, now))
		}
		return strings.Join(said, "\n")
	case "undo":
		o = r.table.Undo(h, k, at(t, args[2]), now)
	case "told", "ban":
		by, level := Shared, Suspect
		if cmd == "ban" {
			by = Manual
		}
		if args[2] == "hard" {
			level = Hard
		}
		o = r.table.Merge(h, k, level, now+at(t, args[3]), by, now)
	case "withdraw":
		o = r.table.Withdraw(h, k, now)
	case "lift":
		o = r.table.Lift(h, k, now)
	case "see":
		return r.table.Level(h, k, now).String()
	default:
		t.Fatalf("unknown command %s", cmd)
	}
	return r.say(o, now)
}

func (r *scripted) say(o Outcome, now int64) string {
	if o.Untracked {
		return "untracked"
	}
	s := ""
	if o.Count > 0 {
		s = fmt.Sprintf("%d: ", o.Count)
	}
	if o.Level != o.Before {
		s += o.Before.String() + " -> "
	}
	s += o.Level.String()
	if o.Level > None {
		s += " for " + time.Duration(o.Until-now).String()
	}
	if o.Prolonged {
		s += ", prolonged"
	}
	if o.Evicted {
		s += ", another is forgotten"
	}
	return s
}

func (r *scripted) list(now int64) string {
	var u Use
	var out []string
	r.table.scan(0, len(r.table.sets), now, func(s *slot, l Level, count uint64) {
		u.add(l)
		if l > None {
			out = append(out, fmt.Sprintf("%s %s for %v, %s, %d requests", s.key, l, time.Duration(s.until[l-1]-now), s.origin, count))
		}
	})
	slices.Sort(out)
	return strings.Join(append(out, fmt.Sprintf("%d tracked, %d suspect, %d hard", u.Tracked, u.Suspects, u.Hard)), "\n")
}

func TestMemory(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n != 64 {
		t.Errorf("a place has %d bytes, which is no cache line; the package's documentation says 68 with its mark", n)
	}
	f := func(keys, want int) {
		t.Helper()
		if got := NewTable(Settings{}, keys).Keys(); got != want {
			t.Errorf("room for %d when asked for %d, want %d", got, keys, want)
		}
	}
	f(1, 8)
	f(8, 8)
	f(9, 16)
	f(65536, 65536)
}

func v4(n uint32) Key {
	return Nets{32, 64}.Key(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
}

// Whatever comes, a table has no more keys than it is made for, and who is held is held until the end of the time that was said last.
func TestBannedStayBannedInAFlood(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	s := Settings{Period: 10 * time.Second, Threshold: 20, Hard: 40, Ban: time.Minute}
	table := NewTable(s, 256)
	until := map[Key]int64{}
	now, untracked := int64(0), 0
	for i := range 300_000 {
		now += rnd.Int64N(int64(200 * time.Microsecond))
		k := v4(uint32(0x0a000000 + i)) // a new one
		if rnd.IntN(10) == 0 {
			k = v4(0xc0a80000 + rnd.Uint32N(100)) // one of a hundred that ask too much
		}
		o := table.Count(hashOf(k), k, now)
		if o.Untracked {
			untracked++
		}
		if end, held := until[k]; held && end > now && o.Level == None {
			t.Fatalf("request %d: %s is held no more, until %v at %v", i, k, end, now)
		}
		if o.Level > None {
			until[k] = o.Until
		}
		if i%10_000 == 0 {
			var u Use
			table.scan(0, len(table.sets), now, func(s *slot, l Level, _ uint64) {
				u.add(l)
				if l > None && until[s.key] < s.until[l-1] {
					t.Errorf("%s is held until %v, said was %v", s.key, s.until, until[s.key])
				}
			})
			if u.Tracked > 256 {
				t.Fatalf("%d keys in a table for 256", u.Tracked)
			}
		}
	}
	if len(until) < 90 {
		t.Errorf("only %d of 100 were found in the flood", len(until))
	}
	t.Logf("%d found, %d requests untracked", len(until), untracked)
}

// A key is held exactly if it would be when the requests that are taken back had never come, once all are.
func TestTakenBackIsAsIfItNeverCame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for round := range 2000 {
		s := Settings{Period: 10 * time.Second, Threshold: 1 + rnd.Uint64N(10), Ban: time.Minute}
		s.Hard = s.Threshold + 1 + rnd.Uint64N(5)
		with, without := NewTable(s, 8), NewTable(s, 8)
		k := v4(1)
		var images []int64
		now := int64(0)
		for range 1 + rnd.IntN(30) {
			now += rnd.Int64N(int64(100 * time.Millisecond)) // all in one interval, where counts are exact
			with.Count(0, k, now)
			if rnd.IntN(3) > 0 {
				without.Count(0, k, now)
			} else {
				images = append(images, now)
			}
		}
		rnd.Shuffle(len(images), func(i, j int) { images[i], images[j] = images[j], images[i] })
		for _, at := range images {
			with.Undo(0, k, at, now)
		}
		if got, want := with.Level(0, k, now), without.Level(0, k, now); got != want {
			t.Fatalf("round %d: %v with %d requests taken back, %v without them", round, got, len(images), want)
		}
		if got, want := with.Count(0, k, now).Count, without.Count(0, k, now).Count; got != want {
			t.Fatalf("round %d: a count of %d, want %d", round, got, want)
		}
	}
}
