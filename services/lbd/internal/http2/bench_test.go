package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// turn is a conversation that comes again and again: 10 requests in one piece, with fields that a client sends, and their answers.
type turn struct {
	c    Conn
	pool Pool
	head http1.Head
	text []byte
	in   []byte
	id   uint32
	buf  bytes.Buffer
	enc  *hpack.Encoder
}

func newTurn() *turn {
	r := &turn{}
	o := DefaultOptions()
	r.c.Begin(Server, &o, &r.pool)
	r.enc = hpack.NewEncoder(&r.buf)
	r.id = 1
	r.c.Next(0, appendSettings([]byte(Preface)))
	return r
}

// prepare makes the requests.
func (r *turn) prepare() {
	r.in = r.in[:0]
	for range 10 {
		r.buf.Reset()
		for _, f := range [][2]string{
			{":method", "GET"}, {":scheme", "http"}, {":authority", "www.example.com"}, {":path", "/index.html"},
			{"accept", "*/*"}, {"accept-encoding", "gzip, deflate, br"}, {"user-agent", "Mozilla/5.0 (X11; Linux x86_64)"}, {"cookie", "session=0123456789abcdef"},
		} {
			r.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		r.in = FrameHeader{uint32(r.buf.Len()), FrameHeaders, FlagEndHeaders | FlagEndStream, r.id}.Append(r.in)
		r.in = append(r.in, r.buf.Bytes()...)
		r.id += 2
	}
	r.in = appendWindowUpdate(r.in, 0, 10*1024)
}

var content = make([]byte, 1024)

func (r *turn) serve() (n int) {
	block := [128]byte{}
	for in := r.in; ; {
		ev, k := r.c.Next(0, in)
		in = in[k:]
		if ev.Kind == None {
			break
		}
		r.text = r.c.Take(&r.head, r.text)
		b := AppendStatus(block[:0], 200)
		for i := range r.head.Fields[:2] {
			b = AppendField(b, r.head.Fields[i].Name.In(r.text), r.head.Fields[i].Value.In(r.text))
		}
		r.c.SendHead(ev.Stream, b, false)
		r.c.SendData(ev.Stream, content, true)
		r.c.Release(ev.Stream)
		n++
	}
	r.c.Flushed(r.c.Pending())
	return n
}

func TestAllocations(t *testing.T) {
	r := newTurn()
	for range 20 {
		r.prepare()
		r.serve()
	}
	if n := testing.AllocsPerRun(50, func() {
		r.prepare()
		if r.serve() != 10 {
			t.Fatal("not all are served")
		}
	}); n > 0 {
		t.Errorf("%v allocations for 10 streams", n)
	}
}

func BenchmarkServe(b *testing.B) {
	r := newTurn()
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		r.prepare()
		b.StartTimer()
		r.serve()
	}
}

func BenchmarkHuffman(b *testing.B) {
	src := hpack.AppendHuffmanString(nil, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	var dst []byte
	b.SetBytes(int64(len(src)))
	for range b.N {
		dst, _ = appendHuffman(dst[:0], src)
	}
}
