package http2

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// flooder sends frames to a server, whose handlers do what a test says.
type flooder struct {
	t    *testing.T
	c    Conn
	pool Pool
	now  time.Duration
	next uint32
	head []byte
	// left unflushed if set
	stuck bool
	hold  bool // requests are not answered, nor is their content taken
}

func newFlooder(t *testing.T) *flooder {
	f := &flooder{t: t, next: 1, head: AppendRequest(nil, []byte("GET"), []byte("http"), []byte("a"), []byte("/"))}
	o := DefaultOptions()
	f.c.Begin(Server, &o, &f.pool)
	f.send([]byte(Preface))
	f.send(appendSettings(nil))
	return f
}

// send gives frames; streams that are reset are released, requests are answered if they are complete.
func (f *flooder) send(b []byte) {
	for {
		ev, n := f.c.Next(f.now, b)
		b = b[n:]
		switch ev.Kind {
		case None, Failed:
			if !f.stuck {
				f.c.Flushed(f.c.Pending())
			}
			return
		case Head:
			if ev.End && !f.hold {
				f.c.SendHead(ev.Stream, AppendStatus(nil, 200), true)
				f.c.Release(ev.Stream)
			}
		case Refused:
			f.c.Reset(ev.Stream, ProtocolError)
			f.c.Release(ev.Stream)
		case Reset:
			f.c.Release(ev.Stream)
		case Data:
			if !f.hold {
				f.c.Took(ev.Stream, len(ev.Data))
			}
		}
	}
}

func (f *flooder) frame(kind FrameType, flags Flags, stream uint32, payload []byte) {
	f.send(append(FrameHeader{uint32(len(payload)), kind, flags, stream}.Append(nil), payload...))
}

// open opens a stream and returns its number.
func (f *flooder) open(flags Flags) uint32 {
	id := f.next
	f.next += 2
	f.frame(FrameHeaders, flags|FlagEndHeaders, id, f.head)
	return id
}

// TestFloods does each thing until the connection ends: after more often than anybody does it in earnest, and not too late. At a pace that
// people have it goes on for an hour.
func TestFloods(t *testing.T) {
	u32 := func(n uint32) []byte { return appendUint32(nil, n) }
	for _, tt := range []struct {
		name  string
		want  Reason
		least int // so often it may be done at once
		most  int
		pace  time.Duration
		step  func(f *flooder)
	}{
		{"resets", RapidReset, 200, 1000, 25 * time.Millisecond, func(f *flooder) { f.frame(FrameRSTStream, 0, f.open(0), u32(8)) }},
		{"heads that are none", RapidReset, 200, 1000, 25 * time.Millisecond, func(f *flooder) {
			f.frame(FrameHeaders, FlagEndHeaders|FlagEndStream, f.next, []byte{0x82})
			f.next += 2
		}},
		{"settings", SettingsFlood, 20, 100, 250 * time.Millisecond, func(f *flooder) { f.frame(FrameSettings, 0, 0, nil) }},
		{"acknowledgements", SettingsFlood, 20, 100, 250 * time.Millisecond, func(f *flooder) { f.frame(FrameSettings, FlagAck, 0, nil) }},
		{"pings", PingFlood, 500, 1100, 20 * time.Millisecond, func(f *flooder) { f.frame(FramePing, 0, 0, make([]byte, 8)) }},
		{"windows", UpdateFlood, 2000, 5100, 5 * time.Millisecond, func(f *flooder) { f.frame(FrameWindowUpdate, 0, 0, u32(1)) }},
		{"priorities", IdleFlood, 500, 2000, 20 * time.Millisecond, func(f *flooder) { f.frame(FramePriority, 0, 1, make([]byte, 5)) }},
		{"unknown frames", IdleFlood, 500, 2000, 20 * time.Millisecond, func(f *flooder) { f.frame(0x77, 0, 0, nil) }},
		{"content of closed streams", IdleFlood, 500, 2000, 20 * time.Millisecond, func(f *flooder) {
			if f.next == 1 {
				f.open(FlagEndStream)
			}
			f.frame(FrameData, 0, 1, nil)
		}},
		{"empty content", EmptyFlood, 50, 200, 200 * time.Millisecond, func(f *flooder) {
			if f.next == 1 {
				f.open(0)
			}
			f.frame(FrameData, 0, 1, nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFlooder(t)
			n := 0
			for ; n < 2*tt.most && !f.c.failed; n++ {
				tt.step(f)
			}
			code, why, _ := f.c.Failure()
			if n < tt.least || n > tt.most || why != tt.want || code != EnhanceYourCalm || !why.Flood() {
				t.Errorf("after %d times: %s %s", n, code, why)
			}
			f = newFlooder(t)
			for end := time.Hour; f.now < end && !f.c.failed; f.now += tt.pace {
				tt.step(f)
			}
			if f.c.failed {
				t.Errorf("one each %s ends with %s after %s", tt.pace, f.c.reason, f.now)
			}
		})
	}
}

// TestMadeYouReset has streams ended by us, each for a fault of the client's while its request is served (CVE-2025-8671): that is no cheaper for it
// than to reset them itself.
func TestMadeYouReset(t *testing.T) {
	u32 := func(n uint32) []byte { return appendUint32(nil, n) }
	one := AppendField(AppendRequest(nil, []byte("POST"), []byte("http"), []byte("a"), []byte("/")), []byte("content-length"), []byte("1"))
	for _, tt := range []struct {
		name string
		want Reason
		step func(f *flooder)
	}{
		{"a window that does not grow", ZeroIncrement, func(f *flooder) { f.frame(FrameWindowUpdate, 0, f.open(FlagEndStream), u32(0)) }},
		{"a window too large", WindowOverflow, func(f *flooder) { f.frame(FrameWindowUpdate, 0, f.open(FlagEndStream), u32(maxWindow)) }},
		{"content behind the end", ClosedStream, func(f *flooder) { f.frame(FrameData, 0, f.open(FlagEndStream), []byte("x")) }},
		{"a head behind the end", ClosedStream, func(f *flooder) { f.frame(FrameHeaders, FlagEndHeaders, f.open(FlagEndStream), f.head) }},
		{"a priority of another length", BadFrameSize, func(f *flooder) { f.frame(FramePriority, 0, f.open(FlagEndStream), make([]byte, 4)) }},
		{"a stream that depends on itself", SelfDependency, func(f *flooder) {
			id := f.open(FlagEndStream)
			f.frame(FramePriority, 0, id, append(u32(id), 0))
		}},
		{"trailers that do not end", BadTrailers, func(f *flooder) {
			f.frame(FrameHeaders, FlagEndHeaders, f.open(0), AppendField(nil, []byte("x"), []byte("y")))
		}},
		{"more content than was said", LengthMismatch, func(f *flooder) {
			f.head = one
			f.frame(FrameData, 0, f.open(0), []byte("xy"))
		}},
		{"more content than the window", WindowExceeded, func(f *flooder) {
			id := f.open(0)
			for range 5 {
				f.frame(FrameData, 0, id, make([]byte, MaxFrame-8))
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFlooder(t)
			f.hold = true
			n := 0
			for ; n < 2000 && !f.c.failed; n++ {
				tt.step(f)
			}
			if code, why, _ := f.c.Failure(); n < 200 || n > 502 || why != RapidReset || code != EnhanceYourCalm {
				t.Errorf("after %d times: %s %s", n, code, why)
			}
			if sent := f.pool.Tallies[Server].Resets[Sent][tt.want].Load(); sent < 500 {
				t.Errorf("%d resets for %s were counted", sent, tt.want)
			}
			f = newFlooder(t)
			f.hold = true
			for end := time.Minute; f.now < end && !f.c.failed; f.now += 25 * time.Millisecond {
				tt.step(f)
			}
			if f.c.failed {
				t.Errorf("one each 25ms ends with %s after %s", f.c.reason, f.now)
			}
		})
	}
}

// TestAllowances: what is told of a connection counts for it, also where it is very much.
func TestAllowances(t *testing.T) {
	for _, tt := range []struct{ rate, most int }{{1, 11}, {7, 71}, {1_000_000, 10_000_001}} {
		var b bucket
		n := 1
		for ; b.pour(time.Hour, Allow(tt.rate)); n++ {
		}
		if n != tt.most {
			t.Errorf("%d/s run over at once after %d, want %d", tt.rate, n, tt.most)
		}
		if b.pour(time.Hour+time.Second/time.Duration(tt.rate)/2, Allow(tt.rate)) || !b.pour(1<<62, Allow(tt.rate)) || b.level != 1 {
			t.Errorf("%d/s: %+v after years", tt.rate, b)
		}
	}
}

// TestContentUnderWay: a client learns late that it need not send the rest. What it has sent of it is no flood, whatever the window.
func TestContentUnderWay(t *testing.T) {
	f := newFlooder(t)
	id := f.open(0)
	s := f.c.table.get(id)
	f.c.SendHead(s, AppendStatus(nil, 413), true)
	f.c.Release(s)
	for range 5000 {
		f.frame(FrameData, 0, id, make([]byte, 1000))
	}
	if f.c.failed {
		t.Errorf("it ends with %s", f.c.reason)
	}
}

// TestManyStreams: all streams of a client may end at once, for no fault of its own, and what it has sent for them comes after.
func TestManyStreams(t *testing.T) {
	var pool Pool
	f := &flooder{t: t, next: 1, head: AppendRequest(nil, []byte("POST"), []byte("http"), []byte("a"), []byte("/")), hold: true, stuck: true}
	o := DefaultOptions()
	o.MaxStreams = 5000
	f.c.Begin(Server, &o, &pool)
	f.send([]byte(Preface))
	f.send(appendSettings(nil))
	for range o.MaxStreams {
		f.open(0)
	}
	f.c.Each(func(s *Stream) { f.c.Reset(s, Cancel); f.c.Release(s) })
	for i := range o.MaxStreams {
		f.frame(FrameData, FlagEndStream, uint32(2*i+1), []byte("x"))
	}
	if n := pool.Tallies[Server].Resets[Sent][Cancel.cause()].Load(); f.c.failed || n != 5000 {
		t.Errorf("%d are reset; it ends with %s", n, f.c.reason)
	}
}

// TestUsefulWork: who sends a PING for each piece of content, or a WINDOW_UPDATE or two, may do so as fast as it can.
func TestUsefulWork(t *testing.T) {
	f := newFlooder(t)
	f.open(0)
	for range 20000 {
		f.frame(FrameData, 0, 1, []byte("x"))
		f.frame(FramePing, 0, 0, make([]byte, 8))
		f.frame(FrameWindowUpdate, 0, 0, appendUint32(nil, 1))
		f.frame(FrameWindowUpdate, 0, 1, appendUint32(nil, 1))
		f.frame(FramePriority, 0, 3, make([]byte, 5))
	}
	if f.c.failed {
		t.Errorf("%s", f.c.reason)
	}
}

// TestUnwantedContent: content that goes on after we have reset its stream, in pieces as small as there are, is no flood.
func TestUnwantedContent(t *testing.T) {
	f := newFlooder(t)
	id := f.open(0)
	f.c.Reset(f.c.table.get(id), NoError)
	for range 1 << 16 {
		f.frame(FrameData, 0, id, []byte("x"))
	}
	f.frame(FrameData, FlagEndStream, id, nil)
	if f.c.failed {
		t.Errorf("%s", f.c.reason)
	}
}

// TestContinuationFlood sends a block without end, in large pieces, in small ones, and in empty ones.
func TestContinuationFlood(t *testing.T) {
	for _, size := range []int{0, 1, 100, 16384} {
		f := newFlooder(t)
		f.frame(FrameHeaders, 0, 1, nil)
		n := 1
		for ; n < 1000 && !f.c.failed; n++ {
			f.frame(FrameContinuation, 0, 1, make([]byte, size))
		}
		if f.c.reason != BlockFlood || n > f.c.o.maxBlockFrames()+1 || cap(f.c.partial) > 1<<18 {
			t.Errorf("pieces of %d: %s after %d, %d bytes kept", size, f.c.reason, n, cap(f.c.partial))
		}
	}
}

// TestBomb sends a block of few bytes that stands for many.
func TestBomb(t *testing.T) {
	f := newFlooder(t)
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	for range 10000 {
		enc.WriteField(hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte("y"), 4000))})
	}
	block := append(bytes.Clone(f.head), buf.Bytes()...)
	ev, _ := f.c.Next(0, append(FrameHeader{uint32(len(block)), FrameHeaders, FlagEndHeaders, 1}.Append(nil), block...))
	if ev.Kind != Refused || ev.Why.Status() != 431 || cap(f.pool.text.b) > 1<<18 {
		t.Errorf("%+v, %d bytes kept", ev, cap(f.pool.text.b))
	}
}

// TestControlFlood has a peer ask for answers, at a pace that is allowed, that it does not read.
func TestControlFlood(t *testing.T) {
	f := newFlooder(t)
	f.stuck = true
	n, maxControl := 0, f.c.o.maxControl()
	for ; n < 10*maxControl && !f.c.failed; n++ {
		f.now += time.Second
		f.frame(FramePing, 0, 0, make([]byte, 8))
	}
	if f.c.reason != ControlFlood || n > maxControl+10 || f.c.Pending() > 100*maxControl {
		t.Errorf("%s after %d, %d bytes wait", f.c.reason, n, f.c.Pending())
	}
}

// TestStreamFlood opens streams that are not answered, and goes on.
func TestStreamFlood(t *testing.T) {
	f := newFlooder(t)
	n := 0
	for ; n < 10000 && !f.c.failed; n++ {
		f.open(0)
	}
	if f.c.reason != StreamFlood || f.c.Active() != 100 || n > 1000 {
		t.Errorf("%s after %d, %d active", f.c.reason, n, f.c.Active())
	}
}
