package text

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// step runs a batch that needs no more input through a session.
func step(t testing.TB, s session.Session, out *session.Out, batch []byte) {
	for len(batch) > 0 {
		n, next := s.Step(batch, out)
		batch = batch[n:]
		out.Buf = out.Buf[:0]
		if next != session.More && next != session.Yield && next != session.Flush {
			t.Fatalf("next %d", next)
		}
	}
}

const value100 = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

// batches are pipelines of 16 commands, by name.
func batches() map[string][]byte {
	f := func(line string) []byte { return bytes.Repeat([]byte(line), 16) }
	return map[string][]byte{
		"get":      f("get key:0123456789\r\n"),
		"gets":     f("gets key:0123456789\r\n"),
		"miss":     f("get nokey:012345678\r\n"),
		"set":      f("set key:0123456789 0 0 100\r\n" + value100 + "\r\n"),
		"mg":       f("mg key:0123456789 v\r\n"),
		"mg-flags": f("mg key:0123456789 s v t f c k q O123\r\n"),
		"ms":       f("ms key:0123456789 100 T60 c\r\n" + value100 + "\r\n"),
		"md":       f("md nokey:012345678 q\r\n"),
		"delete":   f("delete nokey:012345678\r\n"),
		"touch":    f("touch key:0123456789 0\r\n"),
		"gat":      f("gat 0 key:0123456789\r\n"),
		"add":      f("add key:0123456789 0 0 1\r\nx\r\n"),
		"cas":      f("cas nokey 0 0 1 1\r\nx\r\n"),
		"incr":     f("incr nokey 1\r\n"),
		"ma":       f("ma nokey v\r\n"),
		"mn":       f("mn\r\n"),
		"multiget": []byte("get" + string(f(" key:0123456789")) + "\r\n"),
	}
}

func prepared(t testing.TB) (session.Session, *session.Out) {
	env := newEnv(t)
	d := newDriver(t, env)
	d.send([]byte("set key:0123456789 0 0 100\r\n" + value100 + "\r\n"))
	return d.s, &session.Out{Buf: make([]byte, 0, 128<<10)}
}

// TestNoAllocations finds that all that is allocated is the plain engine's: by its Put, which copies.
func TestNoAllocations(t *testing.T) {
	s, out := prepared(t)
	engines := testing.AllocsPerRun(100, func() {
		c := s.(*client)
		r := c.store.Lock([]byte("key:0123456789"), c.env.Clock.Now())
		_ = r.Put(engine.Value{}, []byte(value100))
		r.Unlock()
	})
	for name, batch := range batches() {
		allowed := 0.0
		if name == "set" || name == "ms" {
			allowed = 16 * engines
		}
		if n := testing.AllocsPerRun(100, func() { step(t, s, out, batch) }); n > allowed {
			t.Errorf("%s: %v allocations in a batch, %v of them the engine's", name, n, allowed)
		}
	}
}

// processorTime is what the process has used: on a busy machine the time that counts.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkPipeline16(b *testing.B) {
	for name, batch := range batches() {
		b.Run(name, func(b *testing.B) {
			s, out := prepared(b)
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				step(b, s, out, batch)
			}
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N)/16, "cpu-ns/cmd")
		})
	}
}

// BenchmarkEngine is what of it is the engine's.
func BenchmarkEngine(b *testing.B) {
	s, _ := prepared(b)
	c := s.(*client)
	key, buf := []byte("key:0123456789"), make([]byte, 0, 1<<10)
	data := []byte(value100)
	run := func(name string, f func(r *engine.Ref)) {
		b.Run(name, func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				r := c.store.Lock(key, 1)
				f(&r)
				r.Unlock()
			}
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/cmd")
		})
	}
	run("get", func(r *engine.Ref) {
		buf = r.AppendValue(buf[:0])
		r.Use()
	})
	run("put", func(r *engine.Ref) { _ = r.Put(engine.Value{}, data) })
}
