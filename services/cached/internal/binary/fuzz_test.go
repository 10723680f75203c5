package binary

import (
	"bytes"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
)

// FuzzSession gives any bytes whole and in two pieces: the answers are the same, they are answers, and what is held stays bounded.
func FuzzSession(f *testing.F) {
	f.Add(conversation()[:3000], uint16(100), false)
	for _, p := range saslExchanges {
		if b := concat(p...); len(b) < 4000 {
			f.Add(b, uint16(30), true)
		}
	}
	f.Add(packet{op: opSet, key: "k", ext: u64(0), inAll: 1<<32 - 1}.bytes(), uint16(24), false)
	f.Add(packet{op: opAppend, key: "k", inAll: 3000, value: "value"}.bytes(), uint16(26), false)
	f.Fuzz(func(t *testing.T, in []byte, at uint16, sasl bool) {
		run := func(cuts ...int) []byte {
			env := newEnv(t, engine.Options{Memory: 4 << 20, MaxItem: 64 << 10})
			env.SASL = sasl
			r := newRig(t, env)
			rest := in
			for _, n := range cuts {
				n = min(n, len(rest))
				r.give(rest[:n])
				rest = r.into(rest[n:])
			}
			r.give(rest)
			if len(r.held) > headerLen+20+maxKey+waitWhole && !r.done {
				t.Fatalf("%d bytes left unconsumed", len(r.held))
			}
			return r.take()
		}
		want := run()
		for b := want; len(b) > 0; {
			_, rest, ok := cut(b)
			if !ok {
				t.Fatalf("no answer: %x", b)
			}
			b = rest
		}
		if got := run(int(at)); !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: %s, whole: %s", at, spell(got), spell(want))
		}
	})
}
