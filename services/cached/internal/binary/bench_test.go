package binary

import (
	"bytes"
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// benchmark has a session work through batches of 16 times p.
func benchmark(b *testing.B, p packet) {
	env := newEnv(b, engine.Options{})
	s := New(&session.Peer{Env: env, Meter: session.NewMeter()}, testOptions)
	defer s.End()
	var out session.Out
	in := bytes.Repeat(p.bytes(), 16)
	s.Step(setPacket("some:key:16bytes", strings.Repeat("v", 100)).bytes(), &out)
	b.ReportAllocs()
	for b.Loop() {
		out.Buf = out.Buf[:0]
		s.Step(in, &out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/command")
}

func BenchmarkGet(b *testing.B) { benchmark(b, packet{op: opGet, key: "some:key:16bytes"}) }
func BenchmarkSet(b *testing.B) {
	benchmark(b, setPacket("some:key:16bytes", strings.Repeat("v", 100)))
}
