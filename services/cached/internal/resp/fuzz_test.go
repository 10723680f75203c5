package resp

import (
	"bytes"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
)

// FuzzSession gives any bytes whole and in two pieces: the answers are the same and what is held stays bounded.
func FuzzSession(f *testing.F) {
	in, _ := conversation()
	f.Add(in[:2000], uint16(100), false)
	f.Add([]byte("*1\r\n$-2\r\n"), uint16(3), false)
	f.Add([]byte("*9223372036854775807\r\n$3\r\nDEL\r\n$1\r\na\r\n"), uint16(30), false)
	f.Add([]byte("*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$20000\r\nxxx"), uint16(30), true)
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$30000\r\nxxx"), uint16(33), false)
	f.Add([]byte("set a 'b\\'c'\r\nget \"a\\x00\"\r\nAUTH secret\r\n"), uint16(9), true)
	f.Add([]byte("*3\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$7\r\nSETNAME\r\n*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n"), uint16(9), false)
	f.Add([]byte("SET a 1 EX 10 NX GET\r\nGETEX a PXAT 5\r\nEXPIRE a 1 LT XX\r\nSCAN 0 MATCH [a-\r\n"), uint16(20), false)
	f.Fuzz(func(t *testing.T, in []byte, at uint16, guarded bool) {
		run := func(cuts ...int) string {
			o := Options{Env: newEnv(t, engine.Options{Memory: 4 << 20, MaxItem: 64 << 10})}
			if guarded {
				o.Password = "secret"
			}
			r := newRig(t, service(o))
			rest := in
			for _, n := range cuts {
				n = min(n, len(rest))
				r.give(rest[:n])
				rest = r.into(rest[n:])
			}
			r.give(rest)
			if len(r.held) > heldMax && !r.done {
				t.Fatalf("%d bytes left unconsumed", len(r.held))
			}
			return r.take()
		}
		want := run()
		if bytes.Contains(bytes.ToUpper(in), []byte("INFO")) {
			return // tells the time that the process has used
		}
		if got := run(int(at)); got != want {
			t.Fatalf("cut at %d: %q, whole: %q", at, got, want)
		}
	})
}

// FuzzMatch has no pattern take long or fail.
func FuzzMatch(f *testing.F) {
	f.Add([]byte("*a[b-*c?"), []byte("xxabc"))
	f.Fuzz(func(t *testing.T, p, s []byte) {
		match(p, s)
		if !match([]byte("*"), s) || !match(quoted(s), s) {
			t.Errorf("%q does not match itself", s)
		}
	})
}

func quoted(s []byte) (p []byte) {
	for _, c := range s {
		p = append(p, '\\', c)
	}
	return p
}
