package http2

import (
	"testing"
	"time"
)

// road is a way between two ends on which bytes are some time, however many they are.
type road struct {
	delay   time.Duration
	pieces  [][]byte
	arrives []time.Duration
}

func (r *road) send(now time.Duration, b []byte) {
	if len(b) > 0 {
		r.pieces, r.arrives = append(r.pieces, append([]byte(nil), b...)), append(r.arrives, now+r.delay)
	}
}

func (r *road) take(now time.Duration) (b []byte) {
	for len(r.arrives) > 0 && r.arrives[0] <= now {
		b = append(b, r.pieces[0]...)
		r.pieces, r.arrives = r.pieces[1:], r.arrives[1:]
	}
	return b
}

// upload is content on its way from a client to a server in model time.
type upload struct {
	client, server         Conn
	clientPool, serverPool Pool
	up, down               road
	in                     [2][]byte // what has come of a frame
	mute                   bool      // the client answers no PING
	use                    int       // bytes that the server uses in a millisecond
	left                   []int     // bytes to be sent, by stream
	streams                []*Stream
	held                   map[*Stream]int
	used, most             int
}

func newUpload(o Options, g *Growth, roundTrip time.Duration) *upload {
	u := &upload{up: road{delay: roundTrip / 2}, down: road{delay: roundTrip / 2}, use: 1 << 30, held: map[*Stream]int{}}
	u.serverPool.Growth = g
	clients := DefaultOptions()
	clients.MaxPending = 1 << 26
	u.client.Begin(Client, &clients, &u.clientPool)
	u.server.Begin(Server, &o, &u.serverPool)
	return u
}

// run sends so many bytes on each of some streams and returns how long that takes.
func (u *upload) run(t *testing.T, sizes ...int) time.Duration {
	t.Helper()
	piece, now := make([]byte, 1<<20), time.Duration(0)
	total := 0
	for _, n := range sizes {
		total += n
	}
	for u.left = sizes; ; now += time.Millisecond {
		u.receive(&u.client, 0, u.down.take(now), now)
		for i := range u.left {
			if i == len(u.streams) {
				s := u.client.Open(false)
				u.client.SendHead(s, AppendRequest(nil, []byte("PUT"), []byte("http"), []byte("a"), []byte("/")), false)
				u.streams = append(u.streams, s)
			}
		}
		for i, n := range u.left {
			for n > 0 {
				k := u.client.SendData(u.streams[i], piece[:min(n, len(piece))], n <= len(piece))
				if n -= k; k == 0 {
					break
				}
			}
			u.left[i] = n
		}
		for s := u.client.Writable(); s != nil; s = u.client.Writable() {
			i := int(s.ID() / 2)
			k := u.client.SendData(s, piece[:min(u.left[i], len(piece))], u.left[i] <= len(piece))
			u.left[i] -= k
		}
		u.flush(&u.client, &u.up, now)
		u.receive(&u.server, 1, u.up.take(now), now)
		room := u.use
		for s, n := range u.held {
			k := min(n, room)
			u.held[s], room, u.used = n-k, room-k, u.used+k
			if k > 0 {
				u.server.Took(s, k)
			}
		}
		u.flush(&u.server, &u.down, now)
		if _, why, failed := u.server.Failure(); failed || now > time.Hour {
			t.Fatalf("after %s %s", now, why)
		}
		if u.used == total {
			return now
		}
	}
}

func (u *upload) waiting() (n int) {
	for _, k := range u.held {
		n += k
	}
	return n
}

func (u *upload) flush(c *Conn, to *road, now time.Duration) {
	b := c.Output()
	if u.mute && c == &u.client {
		b = withoutAcks(b)
	}
	to.send(now, b)
	c.Flushed(c.Pending())
}

// withoutAcks leaves out acknowledgements of PING.
func withoutAcks(b []byte) (out []byte) {
	if n := len(Preface); len(b) > n && string(b[:n]) == Preface {
		out, b = append(out, b[:n]...), b[n:]
	}
	for len(b) > 0 {
		h := ParseFrameHeader(b)
		n := FrameHeaderLen + int(h.Length)
		if h.Type != FramePing {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out
}

func (u *upload) receive(c *Conn, i int, b []byte, now time.Duration) {
	b = append(u.in[i], b...)
	for {
		ev, n := c.Next(now, b)
		b = b[n:]
		switch ev.Kind {
		case None, Failed:
			u.in[i] = append([]byte(nil), b...)
			return
		case Data:
			u.held[ev.Stream] += len(ev.Data)
			u.most = max(u.most, u.waiting())
		}
	}
}

// TestGrowth: with a round trip of 50 ms an upload is as fast as its window lets it be, and the window grows where the content is used, within
// all bounds.
func TestGrowth(t *testing.T) {
	const size, roundTrip = 32 << 20, 50 * time.Millisecond
	growing := DefaultOptions()
	growing.ConnWindow, growing.MaxWindow = 100<<16, 4<<20
	f := func(name string, o Options, room int64, change func(*upload), atLeast, atMost time.Duration, used, most int64, sizes ...int) {
		t.Helper()
		g := new(Growth)
		g.SetLimit(room)
		u := newUpload(o, g, roundTrip)
		if change != nil {
			change(u)
		}
		if len(sizes) == 0 {
			sizes = []int{size}
		}
		total := 0
		for _, n := range sizes {
			total += n
		}
		took := u.run(t, sizes...)
		t.Logf("%s: %s, %.1f MB/s, windows larger by %d KiB, at most %d KiB waited", name, took, float64(total)/1e6/took.Seconds(), g.Used()>>10, u.most>>10)
		if took < atLeast || took > atMost || g.Used() != used || int64(u.most) > most {
			t.Errorf("%s: %s, windows larger by %d, %d have waited; want %s to %s, %d, %d", name, took, g.Used(), u.most, atLeast, atMost, used, most)
		}
		for s := range u.held {
			u.server.Release(s)
		}
		if g.Used() != 0 || u.server.grown != 0 || u.server.receive+u.server.owed != o.ConnWindow {
			t.Errorf("%s: %d, %d are not given back; the connection's window is %d", name, g.Used(), u.server.grown, u.server.receive+u.server.owed)
		}
	}
	fixed := growing
	fixed.MaxWindow = 0
	f("fixed", fixed, 1<<30, nil, 24*time.Second, 27*time.Second, 0, 64<<10)
	f("growing", growing, 1<<30, nil, 500*time.Millisecond, 2*time.Second, 4032<<10, 4<<20)
	f("growing, little room", growing, 448<<10, nil, 3*time.Second, 5*time.Second, 448<<10, 512<<10)
	f("no room", growing, 0, nil, 24*time.Second, 27*time.Second, 0, 64<<10)
	f("a peer that answers no PING", growing, 1<<30, func(u *upload) { u.mute = true }, 24*time.Second, 27*time.Second, 0, 64<<10)
	f("slow use", growing, 1<<30, func(u *upload) { u.use = 1000 }, 4*time.Second, 6*time.Second, 64<<10, 128<<10, 4<<20)
	f("slower use", growing, 1<<30, func(u *upload) { u.use = 300 }, 3*time.Second, 4*time.Second, 0, 64<<10, 1<<20)
	small := growing
	small.ConnWindow = 512 << 10
	f("a small window of the connection", small, 1<<30, nil, 1500*time.Millisecond, 5*time.Second, 448<<10, 1<<20)
	f("short", growing, 1<<30, nil, 0, 100*time.Millisecond, 0, 64<<10, 30<<10)
	f("two at once, which the connection has no room for", growing, 1<<30, nil, time.Second, 4*time.Second, 4032<<10+1984<<10, 13<<20, size, size)
}
