package resp

import (
	"bytes"
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// benchmark has a session work through batches of 16 times a request.
func benchmark(b *testing.B, words ...string) {
	svc := service(Options{Env: newEnv(b, engine.Options{})})
	s := svc.Session(&session.Peer{Env: svc.o.Env, Meter: session.NewMeter()})
	defer s.End()
	var out session.Out
	in := bytes.Repeat(request(words...), 16)
	s.Step(request("SET", "some:key:16bytes", strings.Repeat("v", 100)), &out)
	b.ReportAllocs()
	for b.Loop() {
		out.Buf = out.Buf[:0]
		s.Step(in, &out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/command")
}

func BenchmarkGet(b *testing.B) { benchmark(b, "GET", "some:key:16bytes") }
func BenchmarkSet(b *testing.B) {
	benchmark(b, "SET", "some:key:16bytes", strings.Repeat("v", 100), "EX", "100")
}
func BenchmarkMGet(b *testing.B) {
	benchmark(b, "MGET", "some:key:16bytes", "none", "some:key:16bytes")
}
