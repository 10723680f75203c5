package http2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/labtest"
)

// peer speaks to a Conn in lines, and tells in lines what comes of it.
type peer struct {
	t    *testing.T
	c    Conn
	pool Pool
	now  time.Duration
	held []byte // of input, that is not taken yet
	enc  *hpack.Encoder
	buf  bytes.Buffer
	dec  *hpack.Decoder
	all  map[uint32]*Stream
}

// TestConn runs the conversations of testdata/conn. Commands:
//
//	server, client        begin, with options streams=, window=, conn=, pending=, head=
//	recv [cut=N]          take the frames of the input, N bytes at a time
//	send                  do what the input says: head, data, end, trailers, reset, release, took, open, drain, finish, writable
//	after DURATION        let time pass
//	flush [N]             take N bytes of the output, or all
func TestConn(t *testing.T) {
	labtest.Script(t, "testdata/conn", func(t *testing.T) labtest.Runner {
		p := &peer{t: t}
		return p.run
	})
}

func (p *peer) run(cmd string, args []string, input string) string {
	opt := map[string]int{}
	for _, a := range args {
		if k, v, ok := strings.Cut(a, "="); ok {
			opt[k], _ = strconv.Atoi(v)
		}
	}
	var out strings.Builder
	switch cmd {
	case "server", "client":
		p.begin(cmd, opt)
	case "recv":
		var b []byte
		for _, line := range strings.Split(input, "\n") {
			b = append(b, p.frame(line)...)
		}
		p.receive(&out, b, opt["cut"])
	case "send":
		for _, line := range strings.Split(input, "\n") {
			p.do(&out, strings.Fields(line))
		}
	case "after":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			p.t.Fatal(err)
		}
		p.now += d
	case "flush":
	default:
		p.t.Fatalf("no command %q", cmd)
	}
	if cmd != "send" || opt["keep"] == 0 {
		p.flush(&out)
	}
	return out.String()
}

func (p *peer) begin(role string, opt map[string]int) {
	o := DefaultOptions()
	o.ConnWindow = 1 << 17
	for k, v := range opt {
		switch k {
		case "streams":
			o.MaxStreams = v
		case "window":
			o.StreamWindow = int32(v)
		case "conn":
			o.ConnWindow = int32(v)
		case "pending":
			o.MaxPending = v
		case "head":
			o.Limits.Head = v
		}
	}
	r := Server
	if role == "client" {
		r = Client
	}
	p.c.Begin(r, &o, &p.pool)
	p.enc, p.dec, p.all, p.held = hpack.NewEncoder(&p.buf), hpack.NewDecoder(4096, nil), map[uint32]*Stream{}, nil
}

// frame makes a frame of a line: TYPE stream flags… key=value… or raw bytes in hexadecimal.
func (p *peer) frame(line string) []byte {
	w := strings.Fields(line)
	if w[0] == "PREFACE" {
		return []byte(Preface)
	}
	if w[0] == "RAW" {
		b, err := hex.DecodeString(strings.Join(w[1:], ""))
		if err != nil {
			p.t.Fatal(err)
		}
		return b
	}
	types := map[string]FrameType{}
	for i := range 0x11 {
		types[FrameType(i).String()] = FrameType(i)
	}
	kind, ok := types[w[0]]
	id, err := strconv.Atoi(w[1])
	if !ok || err != nil {
		p.t.Fatalf("%q is no frame", line)
	}
	h := FrameHeader{Type: kind, Stream: uint32(id)}
	var payload, tail []byte
	if kind == FrameHeaders {
		h.Flags = FlagEndHeaders
	}
	p.buf.Reset()
	for _, a := range w[2:] {
		k, v, _ := strings.Cut(a, "=")
		n, _ := strconv.ParseUint(v, 0, 32)
		switch {
		case k == "END_STREAM":
			h.Flags |= FlagEndStream
		case k == "ACK":
			h.Flags |= FlagAck
		case k == "MORE":
			h.Flags &^= FlagEndHeaders
		case k == "END_HEADERS":
			h.Flags |= FlagEndHeaders
		case k == "pad":
			h.Flags |= FlagPadded
			payload, tail = append([]byte{byte(n)}, payload...), make([]byte, n)
		case k == "dep":
			h.Flags |= FlagPriority
			payload = append(appendUint32(payload, uint32(n)), 15)
		case k == "u32":
			payload = appendUint32(payload, uint32(n))
		case k == "zeros":
			payload = append(payload, make([]byte, n)...)
		case k == "text":
			payload = append(payload, v...)
		case k == "hex":
			b, err := hex.DecodeString(v)
			if err != nil {
				p.t.Fatal(err)
			}
			payload = append(payload, b...)
		case kind == FrameSettings:
			id, _ := strconv.Atoi(k)
			payload = appendUint32(binary.BigEndian.AppendUint16(payload, uint16(id)), uint32(n))
		default: // a field; the colon of a pseudo-header field stays with its name
			name, value, ok := strings.Cut(a[1:], "=")
			if !ok {
				p.t.Fatalf("%q is no field", a)
			}
			value, err := strconv.Unquote(`"` + value + `"`)
			if err != nil {
				p.t.Fatal(err)
			}
			p.enc.WriteField(hpack.HeaderField{Name: strings.ReplaceAll(a[:1]+name, "~", " "), Value: strings.ReplaceAll(value, "~", " ")})
		}
	}
	payload = append(append(payload, p.buf.Bytes()...), tail...)
	h.Length = uint32(len(payload))
	return append(h.Append(nil), payload...)
}

// receive gives the Conn bytes, so many at a time, and tells the events.
func (p *peer) receive(out *strings.Builder, b []byte, cut int) {
	for len(b) > 0 {
		n := len(b)
		if cut > 0 {
			n = min(cut, n)
		}
		p.held = append(p.held, b[:n]...)
		b = b[n:]
		for {
			ev, n := p.c.Next(p.now, p.held)
			p.held = p.held[n:]
			if ev.Kind == None {
				break
			}
			p.tell(out, ev)
			if ev.Kind == Failed {
				return
			}
		}
	}
}

// tell writes an event.
func (p *peer) tell(out *strings.Builder, ev Event) {
	end := ""
	if ev.End {
		end = " end"
	}
	if ev.Stream != nil {
		p.all[ev.Stream.ID()] = ev.Stream
	}
	switch ev.Kind {
	case Head:
		var h http1.Head
		b := p.c.Take(&h, nil)
		fmt.Fprintf(out, "head %d%s", ev.Stream.ID(), end)
		if h.Status != 0 {
			fmt.Fprintf(out, " %d", h.Status)
		} else {
			fmt.Fprintf(out, " %s %s", h.Method.In(b), h.Target.Raw.In(b))
		}
		for i := range h.Fields {
			fmt.Fprintf(out, " %s=%s", h.Fields[i].Name.In(b), h.Fields[i].Value.In(b))
		}
		switch h.Body.Kind {
		case http1.Length:
			fmt.Fprintf(out, ", length %d", h.Body.Length)
		case http1.UntilClose:
			out.WriteString(", until end")
		}
		out.WriteString("\n")
	case Refused:
		fmt.Fprintf(out, "refused %d%s %s\n", ev.Stream.ID(), end, ev.Why)
	case Data:
		fmt.Fprintf(out, "data %d%s %d %q\n", ev.Stream.ID(), end, len(ev.Data), ev.Data[:min(len(ev.Data), 20)])
		if t := ev.Stream.Trailers(); t != nil {
			t.Trailers(func(name, value []byte) { fmt.Fprintf(out, "trailer %s=%s\n", name, value) })
		}
	case Reset:
		fmt.Fprintf(out, "reset %d %s %s\n", ev.Stream.ID(), ev.Code, ev.Reason)
	case Failed:
		fmt.Fprintf(out, "failed %s %s\n", ev.Code, ev.Reason)
	}
}

// do is a caller's call.
func (p *peer) do(out *strings.Builder, w []string) {
	num := func(i int) int {
		n, err := strconv.Atoi(w[i])
		if err != nil {
			p.t.Fatal(err)
		}
		return n
	}
	var s *Stream
	if len(w) > 1 && w[0] != "open" {
		if s = p.all[uint32(num(1))]; s == nil {
			p.t.Fatalf("%v: no such stream", w)
		}
	}
	end := w[len(w)-1] == "end" && len(w) > 2
	switch w[0] {
	case "head":
		p.c.SendHead(s, AppendField(AppendStatus(nil, num(2)), []byte("A"), []byte("b")), end)
	case "request":
		p.c.SendHead(s, AppendRequest(nil, []byte(w[2]), []byte("http"), []byte("a"), []byte("/")), end)
	case "trailers":
		p.c.SendHead(s, AppendField(nil, []byte("Sum"), []byte("1")), true)
	case "large":
		p.c.SendHead(s, AppendField(AppendStatus(nil, 200), []byte("large"), bytes.Repeat([]byte("x"), num(2))), end)
	case "data":
		n := p.c.SendData(s, bytes.Repeat([]byte("x"), num(2)), end)
		fmt.Fprintf(out, "sent %d\n", n)
	case "end":
		p.c.End(s)
	case "shown": // to who writes, but not written
		p.c.Output()
	case "reset":
		p.c.Reset(s, ErrCode(num(2)))
	case "release":
		p.c.Release(s)
		delete(p.all, uint32(num(1)))
	case "took":
		p.c.Took(s, num(2))
	case "open":
		if s := p.c.Open(len(w) > 1); s != nil {
			p.all[s.ID()] = s
			fmt.Fprintf(out, "opened %d\n", s.ID())
		} else {
			out.WriteString("none opened\n")
		}
	case "drain":
		p.c.Drain()
	case "finish":
		p.c.FinishDrain()
	case "state":
		fmt.Fprintf(out, "active %d, done %v\n", p.c.Active(), p.c.Done())
	case "writable":
		if s := p.c.Writable(); s != nil {
			fmt.Fprintf(out, "writable %d\n", s.ID())
		} else {
			out.WriteString("none writable\n")
		}
	default:
		p.t.Fatalf("no call %q", w)
	}
}

// flush tells the frames of the output.
func (p *peer) flush(out *strings.Builder) {
	b := p.c.Output()
	if s := string(b); strings.HasPrefix(s, Preface) {
		out.WriteString("> PREFACE\n")
		b = b[len(Preface):]
	}
	for len(b) > 0 {
		h := ParseFrameHeader(b)
		payload := b[FrameHeaderLen : FrameHeaderLen+h.Length]
		b = b[FrameHeaderLen+h.Length:]
		fmt.Fprintf(out, "> %s %d", h.Type, h.Stream)
		p.tellFrame(out, h, payload)
		out.WriteString("\n")
	}
	p.c.Flushed(p.c.Pending())
}

func (p *peer) tellFrame(out *strings.Builder, h FrameHeader, b []byte) {
	switch h.Type {
	case FrameHeaders, FrameContinuation:
		if h.Flags&FlagEndStream != 0 && h.Type == FrameHeaders {
			out.WriteString(" END_STREAM")
		}
		if h.Flags&FlagEndHeaders == 0 {
			out.WriteString(" MORE")
		}
		p.dec.SetEmitFunc(func(f hpack.HeaderField) { fmt.Fprintf(out, " %s=%.20s", f.Name, f.Value) })
		if _, err := p.dec.Write(b); err != nil {
			p.t.Fatal(err)
		}
		if h.Flags&FlagEndHeaders != 0 {
			if err := p.dec.Close(); err != nil {
				p.t.Fatal(err)
			}
		}
	case FrameData:
		fmt.Fprintf(out, " %d", len(b))
		if h.Flags&FlagEndStream != 0 {
			out.WriteString(" END_STREAM")
		}
	case FrameSettings:
		if h.Flags&FlagAck != 0 {
			out.WriteString(" ACK")
		}
		for ; len(b) > 0; b = b[6:] {
			fmt.Fprintf(out, " %d=%d", binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:]))
		}
	case FrameRSTStream:
		fmt.Fprintf(out, " %s", ErrCode(binary.BigEndian.Uint32(b)))
	case FrameWindowUpdate:
		fmt.Fprintf(out, " %d", binary.BigEndian.Uint32(b))
	case FrameGoAway:
		fmt.Fprintf(out, " last %d %s %s", binary.BigEndian.Uint32(b), ErrCode(binary.BigEndian.Uint32(b[4:])), b[8:])
	case FramePing:
		if h.Flags&FlagAck != 0 {
			out.WriteString(" ACK")
		}
		fmt.Fprintf(out, " %x", b)
	}
}

// TestLateAnswers: answers to requests that were taken back meanwhile do not end the connection, however many they are; an answer without a
// request does.
func TestLateAnswers(t *testing.T) {
	var c Conn
	var pool Pool
	o := DefaultOptions()
	c.Begin(Client, &o, &pool)
	give := func(b []byte) (ev Event) {
		for n := 0; ; b = b[n:] {
			if ev, n = c.Next(0, b); ev.Kind != Data && ev.Kind != Reset {
				c.Flushed(c.Pending())
				return ev
			}
		}
	}
	frame := func(kind FrameType, flags Flags, id uint32, p []byte) []byte {
		return append(FrameHeader{uint32(len(p)), kind, flags, id}.Append(nil), p...)
	}
	give(appendSettings(nil))
	head := AppendRequest(nil, []byte("GET"), []byte("http"), []byte("a"), []byte("/"))
	for range 300 {
		s := c.Open(false)
		c.SendHead(s, head, true)
		c.Release(s)
	}
	for id := uint32(1); id < 600; id += 2 {
		for _, b := range [][]byte{frame(FrameHeaders, FlagEndHeaders, id, AppendStatus(nil, 200)), frame(FrameData, 0, id, make([]byte, 5000))} {
			if ev := give(b); ev.Kind != None || c.failed {
				t.Fatalf("stream %d: %+v", id, ev)
			}
		}
	}
	if c.receive+c.owed != o.ConnWindow {
		t.Errorf("a window of %d and %d owed, want %d", c.receive, c.owed, o.ConnWindow)
	}
	if ev := give(frame(FrameHeaders, FlagEndHeaders, 601, AppendStatus(nil, 200))); ev.Kind != Failed || ev.Reason != BadStreamID {
		t.Errorf("no request was made: %+v", ev)
	}
}
