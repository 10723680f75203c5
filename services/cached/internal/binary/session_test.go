package binary

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// smallItem is the largest item that conversation goes by.
const smallItem = 64 << 10

// conversation has one of everything, values of all sizes among them.
func conversation() []byte {
	big, huge := strings.Repeat("b", 5000), strings.Repeat("h", 40_000)
	return concat(
		setPacket("a", "1"), packet{op: opGet, key: "a"}, packet{op: opGetK, key: "a", opaque: 7},
		packet{op: 0x09, key: "none"}, packet{op: 0x0d, key: "none"}, packet{op: opGetK, key: "none"}, packet{op: opGet, key: "none"},
		setPacket("big", big), packet{op: opGet, key: "big"}, setPacket("huge", huge), packet{op: opGetK, key: "huge"},
		packet{op: opGet, key: "a"}, packet{op: 0x11, key: "q", ext: u64(5 << 32), value: "quiet"}, packet{op: opGAT, key: "q", ext: u32(10)},
		packet{op: opAppend, key: "big", value: huge}, packet{op: opPrepend, key: "q", value: "very "}, packet{op: opGet, key: "q"},
		packet{op: opIncr, key: "n", ext: u64(1) + u64(9) + u32(0)}, packet{op: opIncr, key: "n", ext: u64(1) + u64(9) + u32(0)},
		packet{op: 0x42, key: "unknown", ext: "ext", value: big},
		setPacket("toobig", strings.Repeat("x", smallItem)),
		packet{op: opStat}, packet{op: opStat, key: "reset"}, packet{op: opStat, key: "nothing"},
		packet{op: opTouch, key: "q", ext: u32(0)}, packet{op: opDelete, key: "q"}, packet{op: 0x14, key: "a"},
		packet{op: opVerbosity, ext: u32(1)}, packet{op: opVersion}, packet{op: opFlush}, packet{op: 0x18, ext: u32(100)},
		packet{op: opNoop, opaque: 99}, packet{op: 0x17}, packet{op: opNoop},
	)
}

const conversationWant = `01 cas=1
00 cas=1 ext=00000000 value="1"
0c opaque=7 cas=1 ext=00000000 key="a" value="1"
0c status=01 key="none"
00 status=01 value="Not found"
01 cas=2
00 cas=2 ext=00000000 value="bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
01 cas=3
0c cas=3 ext=00000000 key="huge" value="hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"
00 cas=1 ext=00000000 value="1"
1d cas=4 ext=00000005 value="quiet"
0e cas=5
0f cas=6
00 cas=6 ext=00000005 value="very quiet"
05 cas=7 value="\x00\x00\x00\x00\x00\x00\x00\t"
05 cas=8 value="\x00\x00\x00\x00\x00\x00\x00\n"
42 status=81 value="Unknown command"
01 status=03 value="Too large."
10 key="pid" value="1"
10 key="version" value="1.6.18"
10
10
10 status=01 value="Not found"
1c cas=6 ext=00000005
04
1b
0b value="1.6.18"
08
0a opaque=99
`

func TestConversation(t *testing.T) {
	r := newRig(t, newEnv(t, engine.Options{MaxItem: smallItem}))
	r.give(conversation())
	if diff := cmp.Diff(conversationWant, spell(r.take())); diff != "" || !r.done {
		t.Errorf("closed %v; answers (-want +got):\n%s", r.done, diff)
	}
	if got := r.note.ValuesSwallowed.Load(); got != 1 {
		t.Errorf("%d values swallowed, want 1", got)
	}
}

// TestAnyCut gives the same bytes in pieces of every small size, and values straight into their memory.
func TestAnyCut(t *testing.T) {
	whole := newRig(t, newEnv(t, engine.Options{MaxItem: smallItem}))
	all := conversation()
	whole.give(all)
	want := whole.take()
	for _, size := range []int{1, 7, 23, 24, 25, 100, 2047, 2048, 2049, 16 << 10, 1 << 20} {
		for _, direct := range []bool{false, true} {
			r := newRig(t, newEnv(t, engine.Options{MaxItem: smallItem}))
			for in := all; len(in) > 0 && !r.done; {
				if direct {
					if rest := r.into(in[:min(size, len(in))]); len(rest) < min(size, len(in)) {
						in = in[min(size, len(in))-len(rest):]
						r.give(nil)
						continue
					}
				}
				n := min(size, len(in))
				r.give(in[:n])
				in = in[n:]
				if len(r.held) > headerLen+20+maxKey+waitWhole {
					t.Fatalf("pieces of %d: %d bytes left unconsumed", size, len(r.held))
				}
			}
			if !bytes.Equal(r.take(), want) {
				t.Errorf("pieces of %d, direct %v: other answers", size, direct)
			}
		}
	}
}

func TestHeaderIsJudged(t *testing.T) {
	f := func(p packet, want string) {
		t.Helper()
		r := newRig(t, newEnv(t, engine.Options{}))
		r.give(p.bytes()[:headerLen])
		if got := spell(r.take()); got != want || !r.done {
			t.Errorf("%+v: %q, closed %v; want %q and closed", p, got, r.done, want)
		}
		if r.note.ProtocolErrors.Load() != 1 {
			t.Errorf("%+v: %d protocol errors counted", p, r.note.ProtocolErrors.Load())
		}
	}
	unknown := func(op string) string { return op + " status=81 value=\"Unknown command\"\n" }
	invalid := func(op string) string { return op + " status=04 value=\"Invalid arguments\"\n" }
	f(packet{op: opGet, keyLen: 3, inAll: 2}, unknown("00"))
	f(packet{op: opSet, extLen: 8, keyLen: 3, inAll: 10}, unknown("01"))
	f(packet{op: 0x99, keyLen: 3, inAll: 2}, unknown("99"))
	f(packet{op: opSASLAuth, keyLen: 0xffff, inAll: 10}, unknown("21"))
	f(packet{op: opGet, keyLen: 251, inAll: 251}, invalid("00"))
	f(packet{op: 0x99, keyLen: 251, inAll: 251}, invalid("99"))
	f(packet{op: opGet}, invalid("00"))
	f(packet{op: opGet, key: "k", value: "v"}, invalid("00"))
	f(packet{op: 0x09, key: "k", ext: "e"}, invalid("09"))
	f(packet{op: opSet, key: "k", value: "v"}, invalid("01"))
	f(packet{op: 0x11, ext: u64(0)}, invalid("11"))
	f(packet{op: opSet, key: "k", ext: u64(0) + "x"}, invalid("01"))
	f(packet{op: opAppend, key: "k", ext: u64(0)}, invalid("0e"))
	f(packet{op: opAppend, value: "v"}, invalid("0e"))
	f(packet{op: opDelete, key: "k", value: "v"}, invalid("04"))
	f(packet{op: opIncr, key: "k", ext: u64(0)}, invalid("05"))
	f(packet{op: opDecr, ext: u64(0) + u64(0) + u32(0)}, invalid("06"))
	f(packet{op: opIncr, key: "k", ext: u64(0) + u64(0) + u32(0), value: "v"}, invalid("05"))
	f(packet{op: opTouch, key: "k", ext: u64(0)}, invalid("1c"))
	f(packet{op: opTouch, key: "k", ext: u32(0), value: "v"}, invalid("1c"))
	f(packet{op: 0x1e, key: "k"}, invalid("1e"))
	f(packet{op: opFlush, ext: "ab"}, invalid("08"))
	f(packet{op: opFlush, key: "k"}, invalid("08"))
	f(packet{op: opNoop, ext: "a"}, invalid("0a"))
	f(packet{op: opQuit, value: "a"}, invalid("07"))
	f(packet{op: opVersion, key: "a"}, invalid("0b"))
	f(packet{op: opStat, key: "reset", value: "v"}, invalid("10"))
	f(packet{op: opStat, ext: "a"}, invalid("10"))
	f(packet{op: opSASLList, key: "a"}, invalid("20"))
	f(packet{op: opSASLAuth, value: "a"}, invalid("21"))
}

func TestNoRequestCloses(t *testing.T) {
	f := func(in string) {
		t.Helper()
		r := newRig(t, newEnv(t, engine.Options{}))
		r.give([]byte(in))
		if got := r.take(); len(got) > 0 || !r.done {
			t.Errorf("%q: answered %x, closed %v; want silence and a close", in, got, r.done)
		}
	}
	f("\x81")
	f("get a\r\n")
	f("\x81" + strings.Repeat("\x00", 23))
	f(string(packet{op: 0x11, key: "k", ext: u64(0)}.bytes()) + "\x00")
}

// TestTurnIsBounded pipelines more than a turn may do.
func TestTurnIsBounded(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, env)
	r.give(concat(setPacket("k", strings.Repeat("v", 10_000)), setPacket("long", strings.Repeat("v", engine.PinAbove+1)), setPacket("s", "v")))
	r.take()
	f := func(p packet, want session.Next, low, high int) {
		t.Helper()
		in := bytes.Repeat(p.bytes(), 2000)
		var out session.Out
		n, next := r.s.Step(in, &out)
		if done := n / len(p.bytes()); next != want || done < low || done > high || len(out.Buf) > session.OutHigh+engine.PinAbove+headerLen+maxKey {
			t.Errorf("%d packets done, next %d, %d bytes answered; want %d to %d and next %d", done, next, len(out.Buf), low, high, want)
		}
		out.Big.Unpin()
	}
	f(packet{op: opGet, key: "k"}, session.Flush, 7, 7)
	f(packet{op: opGet, key: "long"}, session.Flush, 1, 1)
	f(packet{op: 0x09, key: "none"}, session.Yield, session.Turn, session.Turn)
	f(packet{op: opGet, key: "s"}, session.Yield, session.Turn, session.Turn)
	f(packet{op: 0x11, key: "k", ext: u64(0), value: strings.Repeat("v", 10_000)}, session.Yield, 100, 110)
}

// TestStatsAreToldInParts has more lines than may wait to be written at once.
func TestStatsAreToldInParts(t *testing.T) {
	env := newEnv(t, engine.Options{})
	pairs := make([]session.Pair, 10_000)
	for i := range pairs {
		pairs[i] = session.Pair{Name: "name", Value: "some value"}
	}
	o := &Options{Stats: func(string) ([]session.Pair, bool) { return pairs, true }}
	s := New(&session.Peer{Env: env}, o)
	defer s.End()
	in := concat(packet{op: opStat, opaque: 3}, packet{op: opNoop, opaque: 4})
	var got []byte
	for next := session.Flush; next != session.More; {
		var n int
		var out session.Out
		n, next = s.Step(in, &out)
		if in = in[n:]; len(out.Buf) > session.OutHigh+100 {
			t.Fatalf("%d bytes waiting to be written", len(out.Buf))
		}
		got = append(got, out.Buf...)
	}
	lines := strings.Split(spell(got), "\n")
	if want := len(pairs) + 3; len(lines) != want || lines[0] != `10 opaque=3 key="name" value="some value"` || lines[want-2] != "0a opaque=4" {
		t.Errorf("%d lines, the first %q, the last %q", len(lines), lines[0], lines[len(lines)-2])
	}
}

func TestPinnedValueOutlivesItsKey(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, env)
	value := strings.Repeat("old", 10_000)
	r.give(setPacket("k", value).bytes())
	r.take()
	var out session.Out
	get := packet{op: opGet, key: "k"}.bytes()
	if n, next := r.s.Step(get, &out); n != len(get) || next != session.Flush || out.Big.Len() != len(value) {
		t.Fatalf("consumed %d, next %d, %d bytes pinned", n, next, out.Big.Len())
	}
	other := newRig(t, env)
	other.give(setPacket("k", strings.Repeat("new", 10_000)).bytes())
	other.give(packet{op: opDelete, key: "k"}.bytes())
	r.out = out
	r.write()
	if a, _, ok := cut(r.take()); !ok || a.value != value {
		t.Errorf("the value changed while it was being sent")
	}
}

func TestEndLetsGoOfTheValue(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, env)
	b := setPacket("k", strings.Repeat("v", 100_000)).bytes()
	r.give(b[:50_000])
	if got := r.s.State(); got != "conn_nread" || !r.s.(*conn).pend.Held() {
		t.Fatalf("state %s while a value arrives", got)
	}
	r.s.End()
	if r.s.(*conn).pend.Held() {
		t.Error("memory is still held")
	}
}

func TestAllocations(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, env)
	r.give(setPacket("key", strings.Repeat("v", 100)).bytes())
	in := append(packet{op: opGet, key: "key"}.bytes(), packet{op: opGAT, key: "key", ext: u32(0)}.bytes()...)
	in = append(in, packet{op: 0x09, key: "none"}.bytes()...)
	in = append(in, packet{op: opTouch, key: "key", ext: u32(9)}.bytes()...)
	var out session.Out
	if n := testing.AllocsPerRun(1000, func() {
		out.Buf = out.Buf[:0]
		r.s.Step(in, &out)
	}); n != 0 {
		t.Errorf("%.1f allocations for reads", n)
	}
}

// TestStoreAllocatesNoMore compares a set with what the store itself allocates.
func TestStoreAllocatesNoMore(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, env)
	key, value := []byte("key"), bytes.Repeat([]byte("v"), 100)
	var out session.Out
	in := setPacket("key", string(value)).bytes()
	own := testing.AllocsPerRun(1000, func() {
		ref := env.Store.Lock(key, testNow)
		if err := ref.Put(engine.Value{}, value); err != nil {
			t.Fatal(err)
		}
		ref.Unlock()
	})
	if n := testing.AllocsPerRun(1000, func() {
		out.Buf = out.Buf[:0]
		r.s.Step(in, &out)
	}); n > own {
		t.Errorf("%.1f allocations for a set, of which the store's are %.1f", n, own)
	}
}

// TestFlushTimes has items and times at which they are to be dropped; memcached's clock is whole seconds, and it drops one early.
func TestFlushTimes(t *testing.T) {
	f := func(exptime uint32, after int64, want bool) {
		t.Helper()
		env := newEnv(t, engine.Options{})
		var told []int64
		env.Flushed = func(delay int64) { told = append(told, delay) }
		r := newRig(t, env)
		r.give(concat(setPacket("k", "v"), packet{op: opFlush, ext: u32(exptime)}))
		env.Clock.Set(testNow + after)
		r.take()
		r.give(packet{op: opGet, key: "k"}.bytes())
		if a, _, _ := cut(r.take()); (a.status == statusOK) != want || r.note.CmdFlush.Load() != 1 {
			t.Errorf("flush at %d, %d s later: found %v; told %v", exptime, after, !want, told)
		}
	}
	f(0, 0, false)
	f(1, 0, false)
	f(2, 0, true)
	f(2, 2, false)
	f(1000, 999, true)
	f(1000, 1000, false)
	f(2592001, 0, true) // long before the start
	f(testNow+5, 4, true)
	f(testNow+5, 5, false)
}
