package text

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/everup/everup/services/cached/internal/oracletest"
)

// FuzzSplit gives a session any bytes, whole and in pieces: it never panics, holds no more than it may (the driver looks), and answers
// the same.
func FuzzSplit(f *testing.F) {
	for _, name := range []string{"text", "meta"} {
		for i, c := range oracletest.Cases(f, name) {
			if i%12 == 0 && len(c.Send) < 1<<10 { // TestGoldenSplit has them all
				f.Add(c.Send, uint64(len(c.Send)), false)
			}
		}
	}
	f.Add([]byte("set a 0 0 5000\r\n"+string(bytes.Repeat([]byte("x"), 5000))+"\r\nget a a\r\n"), uint64(1), false)
	f.Add([]byte("set a 0 0 20000\r\n"+string(bytes.Repeat([]byte("x"), 20000))+"\r\nget a a a\r\nmg a v k\r\n"), uint64(2), false)
	f.Add([]byte("set a 0 0 9\r\nuser pass\r\nget a\r\n"), uint64(3), true)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, auth bool) {
		if longLine.Match(in) {
			return // such a line is refused or not depending on whether its end is there
		}
		want, wantClosed := say(t, auth, in)
		got, gotClosed := say(t, auth, oracletest.Split(in, seed)...)
		if diff := firstDifference(want, got); diff != "" || wantClosed != gotClosed {
			t.Errorf("%q in pieces: %s; closed %v, whole %v", in, diff, gotClosed, wantClosed)
		}
	})
}

// say tells a new session of a new store the pieces and returns the answers.
func say(t *testing.T, auth bool, pieces ...[]byte) (answer []byte, closed bool) {
	env := newEnv(t)
	if auth {
		logins(env)
	}
	d := newDriver(t, env)
	for _, p := range pieces {
		answer = append(answer, d.send(p)...)
	}
	if !d.closed {
		d.s.End()
	}
	return normal(answer), d.closed
}

// normal makes what depends on what was sent together the same: a dump or watch after other commands is refused in one piece only.
func normal(answer []byte) []byte {
	if bytes.Contains(answer, []byte("cannot pipeline other commands")) {
		return nil
	}
	return answer
}

// firstDifference shows where two answers differ; an answer that is nil for normal is like any.
func firstDifference(a, b []byte) string {
	if a == nil || b == nil || bytes.Equal(a, b) {
		return ""
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return fmt.Sprintf("whole %.100q, in pieces %.100q", a[n:], b[n:])
}

// TestManyKeysInPieces has a multiget longer than a turn, with values of all sizes, in writes of any length.
func TestManyKeysInPieces(t *testing.T) {
	env := newEnv(t)
	d := newDriver(t, env)
	var want, line []byte
	line = append(line, "get"...)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		key := fmt.Sprintf("key%d", i)
		line = fmt.Appendf(line, " %s", key)
		if i%3 == 0 {
			continue
		}
		value := bytes.Repeat([]byte{byte('a' + i%26)}, []int{0, 10, 100, 3000, 17000}[r.IntN(5)])
		d.send(fmt.Appendf(nil, "set %s %d 0 %d noreply\r\n%s\r\n", key, i, len(value), value))
		want = fmt.Appendf(want, "VALUE %s %d %d\r\n%s\r\n", key, i, len(value), value)
	}
	line = append(line, "\r\nmn\r\n"...)
	want = append(want, "END\r\nMN\r\n"...)
	steps := d.steps
	if got := d.send(line); !bytes.Equal(got, want) {
		t.Errorf("whole: %s", firstDifference(want, got))
	}
	if d.steps-steps < 3000/512 {
		t.Errorf("%d turns for 3000 keys", d.steps-steps)
	}
	for seed := range uint64(5) {
		var got []byte
		for _, p := range oracletest.Split(line, seed) {
			got = append(got, d.send(p)...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("seed %d: %s", seed, firstDifference(want, got))
		}
	}
}

// longLine matches a line that may or may not arrive before it is found too long.
var longLine = regexp.MustCompile(`[^\n]{1000}[^\n]{1000}`)
