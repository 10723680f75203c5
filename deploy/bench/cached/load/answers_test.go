package load

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rig is a reader of answers with the requests it has sent.
func rig(p Protocol, multiget int) (*answers, *part) {
	w, err := Workload{Protocol: p, Multiget: multiget, Keys: 1 << 20, KeyLen: 8, Sizes: Fixed(5), CheckEvery: 1, Requests: 1}.normal()
	if err != nil {
		panic(err)
	}
	plan := newPlan(w)
	return &answers{plan: plan, queue: newPending(16, multiget)}, plan.part(0, 1)
}

// ask puts a get of the keys into the queue.
func (a *answers) ask(ids ...uint32) {
	a.queue.begin(true, 0)
	for _, id := range ids {
		a.queue.addKey(id)
	}
}

// store puts a set into the queue.
func (a *answers) store(id uint32) {
	a.queue.begin(false, 0)
	a.queue.addKey(id)
}

// val returns the value of a key.
func (a *answers) val(id uint32) string {
	return string(a.plan.values.append(nil, 5, second(a.plan.values.of(id))))
}

func second(_, b int) int { return b }

// feed gives the bytes in pieces of n (all at once: 0) and returns what was counted, or the error's words.
func feed(a *answers, in string, n int) string { return feedTo(a, new(Result), in, n) }

func feedTo(a *answers, r *Result, in string, n int) string {
	var kept []byte
	for len(in) > 0 {
		k := len(in)
		if n > 0 {
			k = min(n, k)
		}
		kept = append(kept, in[:k]...)
		in = in[k:]
		used, err := a.consume(kept, r, 0)
		if err != nil {
			return err.Error()
		}
		kept = kept[used:]
	}
	return fmt.Sprintf("requests %d, hits %d, misses %d, stored %d, refused %d %q, checked %d, pending %d, kept %d",
		r.Requests, r.Hits, r.Misses, r.Stored, r.Refused, r.Refusal, r.Checked, a.queue.len(), len(kept))
}

func header(op byte, status, key, extras, body int, opaque uint32) string {
	b := []byte{magicResponse, op, byte(key >> 8), byte(key), byte(extras), 0, byte(status >> 8), byte(status)}
	b = binary.BigEndian.AppendUint32(b, uint32(body))
	b = binary.BigEndian.AppendUint32(b, opaque)
	return string(append(b, 0, 0, 0, 0, 0, 0, 0, 9))
}

// Each row is read whole, in two pieces cut at every byte, and byte by byte: the outcome is the same.
func TestAnswers(t *testing.T) {
	type row struct {
		name     string
		protocol Protocol
		multiget int
		asked    func(*answers)
		bytes    func(*answers) string
		want     string
	}
	get := func(ids ...uint32) func(*answers) { return func(a *answers) { a.ask(ids...) } }
	set := func(a *answers) { a.store(7) }
	say := func(s string) func(*answers) string { return func(*answers) string { return s } }
	text := func(format string, ids ...uint32) func(*answers) string {
		return func(a *answers) string {
			var v []any
			for _, id := range ids {
				v = append(v, string(appendKey(nil, id, 8)), a.val(id))
			}
			return fmt.Sprintf(format, v...)
		}
	}
	rows := []row{
		{"hit", Text, 1, get(7), text("VALUE %s 0 5\r\n%s\r\nEND\r\n", 7), `requests 1, hits 1, misses 0, stored 0, refused 0 "", checked 1, pending 0, kept 0`},
		{"miss", Text, 1, get(7), say("END\r\n"), `requests 1, hits 0, misses 1, stored 0, refused 0 "", checked 0, pending 0, kept 0`},
		{"some of many", Text, 3, get(1, 2, 3), text("VALUE %s 0 5\r\n%s\r\nVALUE %s 0 5\r\n%s\r\nEND\r\n", 1, 3),
			`requests 1, hits 2, misses 1, stored 0, refused 0 "", checked 2, pending 0, kept 0`},
		{"not over", Text, 1, get(7), text("VALUE %s 0 5\r\n%s\r\nEN", 7), `requests 0, hits 1, misses 0, stored 0, refused 0 "", checked 1, pending 1, kept 2`},
		{"stored", Text, 1, set, say("STORED\r\n"), `requests 1, hits 0, misses 0, stored 1, refused 0 "", checked 0, pending 0, kept 0`},
		{"refused", Text, 1, set, say("SERVER_ERROR object too large for cache\r\n"),
			`requests 1, hits 0, misses 0, stored 0, refused 1 "SERVER_ERROR object too large for cache", checked 0, pending 0, kept 0`},
		{"other key", Text, 1, get(7), text("VALUE %s 0 5\r\n%s\r\nEND\r\n", 8), `load: the server sent a key that was not asked for: "VALUE 00000008 0 5"`},
		{"out of turn", Text, 2, get(1, 2), text("VALUE %s 0 5\r\n%s\r\nVALUE %s 0 5\r\n%s\r\nEND\r\n", 2, 1),
			`load: the server sent a key that was not asked for: "VALUE 00000001 0 5"`},
		{"length", Text, 1, get(7), text("VALUE %s 0 6\r\n%s!\r\nEND\r\n", 7), `load: the server sent a value that should have 5 bytes: "VALUE 00000007 0 6"`},
		{"flags", Text, 1, get(7), text("VALUE %s 1 5\r\n%s\r\nEND\r\n", 7), `load: the server sent a bad VALUE line: "VALUE 00000007 1 5"`},
		{"error", Text, 1, get(7), say("ERROR\r\n"), `load: the server sent no answer to a get: "ERROR"`},
		{"error to a set", Text, 1, set, say("CLIENT_ERROR bad data chunk\r\n"), `load: the server sent no answer to a set: "CLIENT_ERROR bad data chunk"`},
		{"bare LF", Text, 1, set, say("STORED\n"), `load: the server sent a line that does not end in CR LF: "STORED\n"`},
		{"unasked", Text, 1, func(*answers) {}, say("E"), `load: the server sent nothing was asked: "E"`},

		{"meta hit", Meta, 1, get(7), text("VA 5 k%s f0\r\n%s\r\n", 7), `requests 1, hits 1, misses 0, stored 0, refused 0 "", checked 1, pending 0, kept 0`},
		{"meta miss", Meta, 1, get(7), say("EN\r\n"), `requests 1, hits 0, misses 1, stored 0, refused 0 "", checked 0, pending 0, kept 0`},
		{"meta miss with the key", Meta, 1, get(7), say("EN k00000007\r\n"), `requests 1, hits 0, misses 1, stored 0, refused 0 "", checked 0, pending 0, kept 0`},
		{"meta miss with another key", Meta, 1, get(7), say("EN k00000008\r\n"), `load: the server sent no answer to an mg: "EN k00000008"`},
		{"meta many", Meta, 3, get(1, 2, 3), text("VA 5 k%s f0\r\n%s\r\nMN\r\n", 2), `requests 1, hits 1, misses 2, stored 0, refused 0 "", checked 1, pending 0, kept 0`},
		{"meta stored", Meta, 1, set, say("HD\r\n"), `requests 1, hits 0, misses 0, stored 1, refused 0 "", checked 0, pending 0, kept 0`},
		{"meta bad line", Meta, 1, get(7), say("VA 5 f0\r\n"), `load: the server sent a bad VA line: "VA 5 f0"`},
		{"meta word", Meta, 1, get(7), say("HD\r\n"), `load: the server sent no answer to an mg: "HD"`},

		{"binary hit", Binary, 1, get(7), func(a *answers) string { return header(opGet, 0, 0, 4, 9, 7) + "\x00\x00\x00\x00" + a.val(7) },
			`requests 1, hits 1, misses 0, stored 0, refused 0 "", checked 1, pending 0, kept 0`},
		{"binary miss", Binary, 1, get(7), say(header(opGet, 1, 0, 0, 9, 7) + "Not found"),
			`requests 1, hits 0, misses 1, stored 0, refused 0 "", checked 0, pending 0, kept 0`},
		{"binary many", Binary, 2, get(1, 2), func(a *answers) string {
			return header(opGetKQ, 0, 8, 4, 17, 2) + "\x00\x00\x00\x0000000002" + a.val(2) + header(opNoOp, 0, 0, 0, 0, 0)
		}, `requests 1, hits 1, misses 1, stored 0, refused 0 "", checked 1, pending 0, kept 0`},
		{"binary stored", Binary, 1, set, say(header(opSet, 0, 0, 0, 0, 7)), `requests 1, hits 0, misses 0, stored 1, refused 0 "", checked 0, pending 0, kept 0`},
		{"binary too large", Binary, 1, set, say(header(opSet, 3, 0, 0, 10, 7) + "Too large."),
			`requests 1, hits 0, misses 0, stored 0, refused 1 "\x00\x03", checked 0, pending 0, kept 0`},
	}
	for _, r := range rows {
		in := func() string { a, _ := rig(r.protocol, r.multiget); return r.bytes(a) }()
		outcome := func(cut func(a *answers) string) string {
			a, _ := rig(r.protocol, r.multiget)
			r.asked(a)
			return cut(a)
		}
		if got := outcome(func(a *answers) string { return feed(a, in, 0) }); got != r.want {
			t.Errorf("%s: %s\nwant %s", r.name, got, r.want)
		}
		if strings.HasPrefix(r.want, "load:") {
			continue // how much of the bytes an error quotes depends on the pieces
		}
		for n := 1; n < len(in); n++ {
			if got := outcome(func(a *answers) string { return feed(a, in, n) }); got != r.want {
				t.Errorf("%s in pieces of %d: %s", r.name, n, got)
			}
		}
	}
}

func TestWrongValueIsFound(t *testing.T) {
	a, _ := rig(Text, 1)
	a.ask(7)
	broken := []byte(a.val(7))
	broken[3] ^= 1
	got := feed(a, fmt.Sprintf("VALUE 00000007 0 5\r\n%s\r\nEND\r\n", broken), 0)
	if !strings.Contains(got, "a wrong value, at byte 0 or later") {
		t.Error(got)
	}
}

// A hit that comes whole counts as one that comes in pieces; what is not exactly so is left to the reader of pieces and its errors.
func TestWholeHits(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		for _, n := range []int{0, 1, 7} {
			a, _ := rig(Text, 2)
			a.plan.CheckEvery = 1000
			a.ask(1, 2)
			if got := feed(a, in, n); !strings.HasPrefix(got, want) {
				t.Errorf("%q in pieces of %d: %s", in, n, got)
			}
		}
	}
	f("VALUE 00000001 0 5\r\nabcde\r\nVALUE 00000002 0 5\r\nabcde\r\nEND\r\n", "requests 1, hits 2, misses 0,")
	f("VALUE 00000002 0 5\r\nabcde\r\nEND\r\n", "requests 1, hits 1, misses 1,")
	f("VALUE 00000001 0 5\r\nabcde\r\nVALUE 00000001 0 5\r\nabcde\r\nEND\r\n", "load: the server sent a key that was not asked for")
	f("VALUE 00000001 0 5\r\nabcde\n\nEND\r\n", "load: the server sent a value without CR LF")
	f("VALUE 00000001 1 5\r\nabcde\r\nEND\r\n", "load: the server sent a bad VALUE line")
}

func TestLineWithoutEnd(t *testing.T) {
	a, _ := rig(Text, 1)
	a.ask(7)
	if got := feed(a, strings.Repeat("x", lineLimit+2), 100); !strings.Contains(got, "a line without an end") {
		t.Error(got)
	}
}

func TestRefillIsBounded(t *testing.T) {
	a, _ := rig(Text, 3)
	w := a.plan.Workload
	w.Refill = true
	a.plan = newPlan(w)
	a.refill = make([]uint32, 0, 2)
	a.ask(1, 2, 3)
	var r Result
	if _, err := a.consume([]byte("END\r\n"), &r, 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint32{1, 2}, a.refill); diff != "" || r.Dropped != 1 || r.Misses != 3 {
		t.Errorf("%s, dropped %d, misses %d", diff, r.Dropped, r.Misses)
	}
}

// Encoding a request and reading its answer allocate nothing.
func TestNoAllocations(t *testing.T) {
	for _, p := range []Protocol{Text, Meta, Binary} {
		a, part := rig(p, 1)
		part.left = 1 << 30
		answer := map[Protocol]string{Text: "END\r\nSTORED\r\n", Meta: "EN\r\nHD\r\n",
			Binary: header(opGet, 1, 0, 0, 0, 0) + header(opSet, 0, 0, 0, 0, 9)}[p]
		in := []byte(answer)
		var r Result
		r.Latency.allocate()
		buf := make([]byte, 0, 4096)
		n := testing.AllocsPerRun(1000, func() {
			buf = part.appendGet(buf[:0], &a.queue, 0)
			buf = part.appendSet(buf, &a.queue, 9, 0)
			if used, err := a.consume(in, &r, 5); err != nil || used != len(in) {
				panic(fmt.Sprint(used, err))
			}
		})
		if n != 0 {
			t.Errorf("protocol %d: %v allocations", p, n)
		}
	}
}

// Whatever bytes come and however they are cut, reading ends with an error or counts as if they had come at once.
func FuzzAnswers(f *testing.F) {
	for p := range byte(3) {
		f.Add(p, byte(1), 3, "VALUE 00000007 0 5\r\nabcde\r\nEND\r\n")
		f.Add(p, byte(0), 2, "VALUE 00000000 0 5\r\nabcde\r\nEND\r\nSTORED\r\nVALUE 00000001 0 5\r\nabcde\r\nEND\r\nSTORED\r\n")
		f.Add(p, byte(1), 9, "VALUE 00000001 0 5\r\nabcde\r\nEND\r\nSTORED\r\nVALUE 00000002 0 5\r\nabcde\r\nVALUE 00000003 0 5\r\nabcde\r\nEND\r\n")
		f.Add(p, byte(2), 5, "END\r\nEND\r\nSTORED\r\n")
		f.Add(p, byte(1), 1, "EN\r\nHD\r\nSERVER_ERROR x\r\n")
		f.Add(p, byte(3), 4, "VA 5 k00000001 f0\r\nabcde\r\nMN\r\n")
		f.Add(p, byte(1), 7, header(opGet, 1, 0, 0, 9, 1)+"Not found"+header(opSet, 3, 0, 0, 2, 7)+"no")
		f.Add(p, byte(2), 9, header(opGetKQ, 0, 8, 4, 17, 2)+"\x00\x00\x00\x0000000002abcde"+header(opNoOp, 0, 0, 0, 0, 0))
	}
	var plans [3][4]*plan
	for p := range plans {
		for m := range plans[p] {
			a, _ := rig(Protocol(p), m+1)
			a.plan.CheckEvery = 3
			plans[p][m] = a.plan
		}
	}
	var r Result
	f.Fuzz(func(t *testing.T, protocol, multiget byte, cut int, in string) {
		p, m := protocol%3, int(multiget%4)+1
		fresh := func() *answers {
			a := &answers{plan: plans[p][m-1], queue: newPending(16, m)}
			r = Result{Latency: r.Latency}
			for i := range 3 {
				a.queue.begin(true, 0)
				for k := range m {
					a.queue.addKey(uint32(i*m + k))
				}
				a.store(7)
			}
			return a
		}
		whole := feedTo(fresh(), &r, in, 0)
		pieces := feedTo(fresh(), &r, in, min(max(cut, 1), 64))
		isError := strings.HasPrefix(whole, "load:")
		if isError != strings.HasPrefix(pieces, "load:") {
			t.Fatalf("at once: %s\nin pieces: %s", whole, pieces)
		}
		if !isError && whole != pieces {
			t.Fatalf("at once: %s\nin pieces: %s", whole, pieces)
		}
	})
}
