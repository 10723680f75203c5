package encoding

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/everup/everup/shared/labtest"
)

func specs() (all []Spec) {
	for c := Gzip; c < codings; c++ {
		for l := range levels {
			all = append(all, Spec{c, l})
		}
	}
	return all
}

func (s Spec) String() string { return s.Coding.String() + "-" + levelNames[s.Level] }

// decoder reads what an encoder of c has made, by other code than it where there is some.
func decoder(t testing.TB, c Coding, r io.Reader) io.Reader {
	t.Helper()
	switch c {
	case Gzip:
		d, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case Brotli:
		return brotli.NewReader(r)
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// text is like what servers send: words that come again, with noise in between.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString("<li class=\"item\"><a href=\"/things/")
		for range 4 {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		b.WriteString("\">" + strings.Repeat("word ", r.IntN(5)) + "</a></li>\n")
	}
	return b.Bytes()[:n]
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	r.Read(b)
	return b
}

// encode pushes data in pieces, flushing after those that flush says.
func encode(t testing.TB, e *Encoder, data []byte, piece int, flush bool) []byte {
	t.Helper()
	var out []byte
	take := func(b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	for at := 0; at < len(data); at += piece {
		take(e.Push(data[at:min(at+piece, len(data))], false))
		if flush && e.Waiting() {
			take(e.Flush())
			d := make([]byte, min(at+piece, len(data)))
			if _, err := io.ReadFull(decoder(t, e.Spec().Coding, bytes.NewReader(out)), d); err != nil || !bytes.Equal(d, data[:len(d)]) {
				t.Fatalf("%s: after a flush at %d: %v", e.Spec(), at, err)
			}
		}
	}
	take(e.Push(nil, true))
	return out
}

func TestRoundTrip(t *testing.T) {
	p := NewPool(1 << 30)
	for _, s := range specs() {
		for _, data := range [][]byte{nil, []byte("x"), text(1000), text(300 << 10), noise(200 << 10)} {
			for _, piece := range []int{1 << 10, 16 << 10, 64 << 10} {
				e := p.Get(s) // the same again and again: it begins anew
				out := encode(t, e, data, piece, piece == 64<<10)
				p.Put(e)
				got, err := io.ReadAll(decoder(t, s.Coding, bytes.NewReader(out)))
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s, %d bytes by %d: %d bytes, %v", s, len(data), piece, len(got), err)
				}
			}
		}
	}
	if c := p.Counts(); c.Lent != 0 || c.Refused != 0 || c.Begun[Gzip] != 45 {
		t.Errorf("%+v", c)
	}
}

// A stream that is broken off leaves nothing to the next one.
func TestBrokenOff(t *testing.T) {
	p := NewPool(1 << 30)
	for _, s := range specs() {
		e := p.Get(s)
		if _, err := e.Push(text(70<<10), false); err != nil || !e.Waiting() {
			t.Fatal(err, e.Waiting())
		}
		p.Put(e)
		again := p.Get(s)
		if again != e || again.Waiting() {
			t.Fatalf("%s: not the one that was put back, or not new", s)
		}
		data := []byte(strings.Repeat("other ", 1000))
		got, err := io.ReadAll(decoder(t, s.Coding, bytes.NewReader(encode(t, again, data, 999, false))))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", s, err)
		}
		p.Put(again)
	}
}

// Programs that people have read what comes out.
func TestPrograms(t *testing.T) {
	p := NewPool(1 << 30)
	data := text(500 << 10)
	for c, program := range map[Coding]string{Gzip: "gzip", Brotli: "brotli", Zstd: "zstd"} {
		t.Run(program, func(t *testing.T) {
			labtest.Needs(t, program)
			for l := range levels {
				e := p.Get(Spec{c, l})
				cmd := exec.Command(program, "-dc")
				cmd.Stdin = bytes.NewReader(encode(t, e, data, 10000, false))
				p.Put(e)
				if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes, %v", e.Spec(), len(got), err)
				}
			}
		})
	}
}

// An encoder takes no more memory than a Pool counts for it.
func TestMemory(t *testing.T) {
	const n = 8
	data := text(300 << 10)
	for _, s := range specs() {
		var a, b runtime.MemStats
		runtime.GC()
		runtime.GC() // also what pools keep for one round
		runtime.ReadMemStats(&a)
		list := make([]*Encoder, n)
		for i := range list {
			list[i] = newEncoder(s)
			for at := 0; at < len(data); at += 16 << 10 {
				if _, err := list[i].Push(data[at:min(at+16<<10, len(data))], false); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := list[i].Flush(); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&b)
		each := (int64(b.HeapAlloc) - int64(a.HeapAlloc)) / n
		t.Logf("%s: %d KiB, counted as %d", s, each>>10, s.Memory()>>10)
		if each > s.Memory() || each < s.Memory()*6/10 {
			t.Errorf("%s: %d bytes, counted as %d", s, each, s.Memory())
		}
		runtime.KeepAlive(list)
	}
}

func TestPoolBounds(t *testing.T) {
	small, large := Spec{Brotli, Fast}, Spec{Zstd, Best}
	p := NewPool(3*small.Memory() + large.Memory())
	var got []*Encoder
	for range 3 {
		got = append(got, p.Get(small))
	}
	e := p.Get(large)
	if e == nil || p.Get(small) != nil || p.Get(large) != nil {
		t.Fatal("the bound does not hold")
	}
	if c := p.Counts(); c.Lent != 4 || c.Refused != 2 || c.Memory != 3*small.Memory()+large.Memory() {
		t.Errorf("%+v", c)
	}
	for _, e := range got {
		p.Put(e)
	}
	p.Put(e)
	// Free encoders of one kind make room for those of another.
	var many []*Encoder
	for e := p.Get(small); e != nil; e = p.Get(small) {
		many = append(many, e)
	}
	if want := int((3*small.Memory() + large.Memory()) / small.Memory()); len(many) != want {
		t.Errorf("%d encoders, want %d", len(many), want)
	}
	// A smaller bound takes effect as they come back.
	p.SetLimit(small.Memory())
	for _, e := range many {
		p.Put(e)
	}
	if c := p.Counts(); c.Lent != 0 || c.Memory > small.Memory() {
		t.Errorf("%+v", c)
	}
}

// Encoders that nobody uses are kept up to maxIdle.
func TestPoolIdle(t *testing.T) {
	p := NewPool(1 << 30)
	s := Spec{Zstd, Best}
	var list []*Encoder
	for range maxIdle/int(s.Memory()) + 3 {
		list = append(list, p.Get(s))
	}
	for _, e := range list {
		p.Put(e)
	}
	if c := p.Counts(); c.Memory > maxIdle || c.Memory < maxIdle-s.Memory() {
		t.Errorf("%+v", c)
	}
}

func TestPoolConcurrently(t *testing.T) {
	p := NewPool(20 << 20)
	data := text(40 << 10)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				s := specs()[(i+j)%len(specs())]
				e := p.Get(s)
				if e == nil {
					continue
				}
				if _, err := e.Push(data, j%2 == 0); err != nil {
					t.Error(err)
				}
				p.Put(e)
			}
		})
	}
	wg.Wait()
	if c := p.Counts(); c.Lent != 0 || c.Memory > 20<<20 {
		t.Errorf("%+v", c)
	}
}

// An encoder that was used before allocates next to nothing for a further stream.
func TestReuseAllocates(t *testing.T) {
	p := NewPool(1 << 30)
	data := text(60 << 10)
	for _, s := range specs() {
		run := func() {
			e := p.Get(s)
			if _, err := e.Push(data, false); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Push(nil, true); err != nil {
				t.Fatal(err)
			}
			p.Put(e)
		}
		run()
		if n := testing.AllocsPerRun(20, run); n > 20 {
			t.Errorf("%s: %v allocations", s, n)
		} else {
			t.Logf("%s: %v allocations", s, n)
		}
	}
}

// FuzzTransform: whatever is pushed, in pieces and with flushes wherever, comes out of the decoder again.
func FuzzTransform(f *testing.F) {
	f.Add(byte(0), []byte("hello hello hello"), []byte{3, 255, 4})
	f.Add(byte(4), text(5000), []byte{200, 255, 255, 1})
	f.Add(byte(8), noise(3000), []byte{})
	p := NewPool(1 << 30)
	f.Fuzz(func(t *testing.T, kind byte, data, cuts []byte) {
		s := specs()[int(kind)%len(specs())]
		e := p.Get(s)
		defer p.Put(e)
		var out []byte
		take := func(b []byte, err error) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
		rest := data
		for _, c := range cuts {
			if c == 255 {
				take(e.Flush())
				continue
			}
			n := min(int(c)*17, len(rest))
			take(e.Push(rest[:n], false))
			rest = rest[n:]
		}
		take(e.Push(rest, true))
		got, err := io.ReadAll(decoder(t, s.Coding, bytes.NewReader(out)))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s: %d of %d bytes, %v", s, len(got), len(data), err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	data := text(256 << 10)
	for _, s := range specs() {
		b.Run(s.String(), func(b *testing.B) {
			p := NewPool(1 << 30)
			b.SetBytes(int64(len(data)))
			out := 0
			for b.Loop() {
				e := p.Get(s)
				out = len(encode(b, e, data, 16<<10, false))
				p.Put(e)
			}
			b.ReportMetric(float64(len(data))/float64(out), "ratio")
		})
	}
}
