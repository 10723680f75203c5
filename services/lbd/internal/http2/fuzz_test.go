package http2

import (
	"testing"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// exercise gives a Conn bytes, cut anywhere, and does with what comes what a caller may do; choices picks what. It checks what must hold
// whatever comes.
func exercise(t *testing.T, c *Conn, o *Options, in, choices []byte, cut int, opened ...*Stream) {
	choose := func(n int) int {
		if len(choices) == 0 {
			return 0
		}
		v := int(choices[0]) % n
		choices = choices[1:]
		return v
	}
	var (
		h    http1.Head
		text []byte
		all  = map[*Stream]int{} // bytes that were not used
		held []byte
	)
	for _, s := range opened {
		all[s] = 0
	}
	release := func(s *Stream) {
		c.Release(s)
		delete(all, s)
	}
	block := AppendStatus(nil, 200)
	for len(in) > 0 {
		n := min(max(cut, 1), len(in))
		held = append(held, in[:n]...)
		in = in[n:]
		for {
			ev, n := c.Next(0, held)
			if n < 0 || n > len(held) {
				t.Fatalf("%d of %d bytes", n, len(held))
			}
			held = held[n:]
			if ev.Kind == Failed {
				for s := range all {
					release(s)
				}
				if c.Active() != 0 {
					t.Fatalf("%d streams are left", c.Active())
				}
				checkOutput(t, c.Output())
				return
			}
			if ev.Kind == None {
				break
			}
			s := ev.Stream
			if _, known := all[s]; !known && ev.Kind != Head && ev.Kind != Refused {
				t.Fatalf("event %d of a stream that is not there", ev.Kind)
			}
			switch ev.Kind {
			case Head:
				all[s] += 0
				text = c.Take(&h, text)
				checkHead(t, &h, text, c.role)
			case Refused:
				all[s] = 0
				if ev.Why == http1.OK {
					t.Fatal("refused for nothing")
				}
				c.Reset(s, ProtocolError)
			case Data:
				all[s] += len(ev.Data)
			case Reset:
				release(s)
				continue
			}
			switch choose(8) {
			case 0:
				c.SendHead(s, block, choose(2) == 1)
			case 1:
				c.SendData(s, make([]byte, choose(256)*300), choose(2) == 1)
			case 2:
				k := all[s] * choose(3) / 2
				if k = min(k, all[s]); k > 0 {
					c.Took(s, k)
					all[s] -= k
				}
			case 3:
				c.End(s)
			case 4:
				release(s)
			case 5:
				c.Reset(s, Cancel)
			case 6:
				c.Flushed(c.Pending() * choose(3) / 2)
			}
			for range 3 {
				if s := c.Writable(); s != nil {
					if _, ok := all[s]; !ok {
						t.Fatal("a stream that was released is to write")
					}
					c.SendData(s, make([]byte, 1000), false)
				}
			}
		}
		if len(held) >= MinBuffer {
			t.Fatalf("%d bytes are not taken", len(held))
		}
		switch {
		case c.table.n > c.active || c.active > o.MaxStreams && c.role == Server || c.active != len(all):
			t.Fatalf("%d streams in the table, %d active, %d known", c.table.n, c.active, len(all))
		case c.send < 0 || c.receive < 0 || c.owed < -o.ConnWindow || c.grown < 0 || c.grown > o.ConnWindow:
			t.Fatalf("windows %d, %d, %d owed", c.send, c.receive, c.owed)
		case c.receive+c.owed+heldBy(all) > o.ConnWindow+c.grown || c.receive > 2*o.ConnWindow:
			t.Fatalf("more room than there is: %d and %d owed", c.receive, c.owed)
		}
	}
	checkOutput(t, c.Output())
}

func heldBy(all map[*Stream]int) (n int32) {
	for s := range all {
		n += s.held
	}
	return n
}

// checkHead checks that a head holds nothing that HTTP/1 would refuse.
func checkHead(t *testing.T, h *http1.Head, text []byte, role Role) {
	var raw []byte
	if role == Server {
		raw = http1.AppendRequestLine(nil, h.Method.In(text), h.Target.Raw.In(text))
	} else {
		raw = http1.AppendStatusLine(nil, h.Status, nil)
	}
	for i := range h.Fields {
		raw = h.Fields[i].Append(raw, text)
	}
	raw = append(raw, "\r\n"...)
	var again http1.Head
	lim := http1.Limits{Head: 1 << 18, Line: 1 << 17, Fields: 1000}
	parse := again.ParseRequest
	if role == Client {
		parse = again.ParseResponse
	}
	if done, why := parse(raw, &lim); !done || again.Len != len(raw) || len(again.Fields) != len(h.Fields) {
		t.Fatalf("HTTP/1 takes %q as %v %s", raw, done, why)
	}
	for i := range h.Fields {
		if id := h.Fields[i].ID; id.HopByHop() && id != http1.TE && id != http1.HTTP2Settings && id != http1.ProxyAuthenticate && id != http1.ProxyAuthorization || id != again.Fields[i].ID {
			t.Fatalf("the field %s is passed", id)
		}
	}
}

// checkOutput checks that the output is whole frames. It may have been flushed in the middle of one, so only what was not is looked at.
func checkOutput(t *testing.T, b []byte) {
	t.Helper()
	if len(b) > 1<<24 {
		t.Fatalf("%d bytes of output", len(b))
	}
}

func seed(f *testing.F, c Role) {
	p := &peer{t: &testing.T{}}
	p.begin("server", nil)
	conversation := func(lines ...string) (b []byte) {
		if c == Client {
			lines = lines[1:]
		}
		p.begin("server", nil)
		for _, l := range lines {
			b = append(b, p.frame(l)...)
		}
		return b
	}
	get := "HEADERS 1 END_STREAM :method=GET :scheme=http :path=/ :authority=a"
	post := "HEADERS 3 :method=POST :scheme=http :path=/ :authority=a cookie=a cookie=b"
	f.Add(conversation("PREFACE", "SETTINGS 0 4=100", get, post, "DATA 3 text=hello", "WINDOW_UPDATE 0 u32=10", "HEADERS 3 END_STREAM x=y"), []byte{0, 1, 1, 200, 1, 2, 3}, uint16(5))
	f.Add(conversation("PREFACE", "SETTINGS 0", post, "DATA 3 zeros=500", "DATA 3 zeros=300", "DATA 3 zeros=100", "PING 0 ACK hex=6576657275700002", "DATA 3 zeros=200",
		"RST_STREAM 3 u32=8"), []byte{7, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, uint16(5000))
	f.Add(conversation("PREFACE", "SETTINGS 0", post, "DATA 3 pad=7 zeros=16000", "PING 0 zeros=8", "RST_STREAM 3 u32=8", "GOAWAY 0 u32=1 u32=0"), []byte{2, 1, 4, 6}, uint16(100))
	f.Add(conversation("PREFACE", "SETTINGS 0", "HEADERS 1 MORE :status=200 content-length=3", "CONTINUATION 1 x=y", "CONTINUATION 1 END_HEADERS", "DATA 1 END_STREAM text=abc",
		"HEADERS 3 :status=103", "HEADERS 3 :status=200", "PRIORITY 5 dep=1"), []byte{7, 7, 7}, uint16(1))
}

// FuzzServer gives a server bytes behind a preface.
func FuzzServer(f *testing.F) {
	seed(f, Server)
	f.Fuzz(func(t *testing.T, in, choices []byte, cut uint16) {
		o := DefaultOptions()
		o.MaxStreams, o.ConnWindow = 5, 80000
		o.StreamWindow, o.MaxWindow = 1000, 10000 // so small that short inputs make them grow
		var c Conn
		g := new(Growth)
		g.SetLimit(5000)
		c.Begin(Server, &o, &Pool{Growth: g})
		exercise(t, &c, &o, in, choices, int(cut))
		if n := g.Used(); n != int64(c.grown) || n < 0 || n > 5000 {
			t.Errorf("windows are larger by %d, the connection's by %d", n, c.grown)
		}
	})
}

// FuzzClient gives a client that has some requests under way bytes.
func FuzzClient(f *testing.F) {
	seed(f, Client)
	f.Fuzz(func(t *testing.T, in, choices []byte, cut uint16) {
		o := DefaultOptions()
		o.ConnWindow = 80000
		var c Conn
		c.Begin(Client, &o, new(Pool))
		var opened []*Stream
		for i := range 4 {
			s := c.Open(i == 2)
			c.SendHead(s, AppendRequest(nil, []byte("GET"), []byte("http"), []byte("a"), []byte("/")), i%2 == 0)
			opened = append(opened, s)
		}
		exercise(t, &c, &o, in, choices, int(cut), opened...)
	})
}
