package tlsconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func random(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// Whatever pieces the wire makes of it, what goes in comes out.
func TestPieces(t *testing.T) {
	for name, v := range versions {
		for _, piece := range []int{1, 2, 5, 17, 1000, 0} {
			t.Run(fmt.Sprint(name, "/", piece), func(t *testing.T) {
				leaks(t)
				p := connect(t, v, piece, 0)
				size := 200000
				if piece > 0 {
					size = min(size, 20000*piece)
				}
				data := random(size)
				for _, room := range []int{1 << 16, 999} {
					if got := carry(t, p.client, p.server, data, room); !bytes.Equal(got, data) {
						t.Errorf("the server has read other bytes than the client wrote")
					}
					if got := carry(t, p.server, p.client, data, room); !bytes.Equal(got, data) {
						t.Errorf("the client has read other bytes than the server wrote")
					}
				}
				if !p.client.Idle() || !p.server.Idle() {
					t.Error("something is left")
				}
			})
		}
	}
}

// A wire that holds little makes Write tell what it has taken, never more.
func TestNarrowWire(t *testing.T) {
	for name, v := range versions {
		for _, limit := range []int{1, 100, 20000} {
			t.Run(fmt.Sprint(name, "/", limit), func(t *testing.T) {
				p := connect(t, v, 0, 0)
				p.toServer.limit, p.toClient.limit = limit, limit
				data := random(min(200000, 3000*limit))
				if got := carry(t, p.client, p.server, data, 4096); !bytes.Equal(got, data) {
					t.Error("other bytes than were written")
				}
			})
		}
	}
}

// Write is as far as the wire is: all is written only when the wire has taken all, and before that in proportion.
func TestWriteTellsWhatTheWireHasTaken(t *testing.T) {
	p := connect(t, tls.VersionTLS13, 0, 0)
	p.toClient.limit = 10000
	data := random(16000)
	told := 0
	write := func() int {
		n, err := p.server.Write(data[told:])
		if err != nil && err != ErrAgain {
			t.Fatal(err)
		}
		told += n
		return n
	}
	if n := write(); n < 9900 || n > 10000 {
		t.Errorf("of 16000 bytes the wire has 10000 of their record: %d are written", n)
	}
	if n := write(); n != 0 {
		t.Errorf("%d are written while the wire is full", n)
	}
	p.toClient.limit = 16021 // a byte is missing of the record
	if write(); told >= 16000 {
		t.Error("all is written before the wire has all")
	}
	p.toClient.limit = 0
	if write(); told != 16000 {
		t.Errorf("%d are written", told)
	}
	if got := carry(t, p.server, p.client, nil, 1); got != nil {
		t.Error("read something")
	}
	got := make([]byte, 20000)
	if n, err := p.client.Read(got); err != nil || !bytes.Equal(got[:n], data) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// A head and its content are one record and one call of the wire; so are four records.
func TestSmallPiecesShareARecord(t *testing.T) {
	p := connect(t, tls.VersionTLS13, 0, 0)
	p.client.Idle() // the tickets
	f := func(want []int, pieces ...int) {
		t.Helper()
		p.toClient.b, p.toClient.writes = nil, 0
		var parts [][]byte
		total := 0
		for _, n := range pieces {
			parts = append(parts, random(n))
			total += n
		}
		if n, err := p.server.Write(parts...); n != min(total, maxSealed) || err != nil {
			t.Fatalf("Write = %d, %v, want %d", n, err, total)
		}
		if p.toClient.writes != 1 {
			t.Errorf("%d calls of the wire", p.toClient.writes)
		}
		var got []int
		for b := p.toClient.b; len(b) > 0; {
			n := int(b[3])<<8 | int(b[4])
			got = append(got, n-17)
			b = b[5+n:]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("records (-want +got)\n%s", diff)
		}
	}
	f([]int{1300}, 300, 1000, 0)
	f([]int{16384, 300}, 300, 16384)
	f([]int{16384, 16384, 16384, 16384, 202}, 200, 65536, 2)
	f([]int{16384}, 16384)
	f([]int{16384, 16384, 16384, 16384, 15360}, 90000)
}

func TestState(t *testing.T) {
	server, client := configs(t, tls.VersionTLS13)
	mine, authority := issue(t, "somebody")
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, authority
	client.Certificates = []tls.Certificate{mine}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		p := newPair(server, client, 0, 0)
		if c, s := p.shake(); c != nil || s != nil {
			t.Fatal(c, s)
		}
		got := p.server.State()
		if got.Version != tls.VersionTLS13 || got.DidResume != resumed || got.ServerName != "example.test" || got.NegotiatedProtocol != "http/1.1" ||
			len(got.VerifiedChains) != 1 || !got.PeerCertificates[0].Equal(mine.Leaf) {
			t.Errorf("server's state %+v", got)
		}
		if got := p.client.State(); got.DidResume != resumed || got.NegotiatedProtocol != "http/1.1" || len(got.VerifiedChains) != 1 {
			t.Errorf("client's state %+v", got)
		}
		carry(t, p.server, p.client, random(1), 1) // the ticket comes with it
	}
}

// The end with close_notify and without are two.
func TestEnds(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			p := connect(t, v, 0, 0)
			var b [10]byte
			p.client.Write([]byte("last"))
			if err := p.client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			p.toServer.closed = true
			if n, err := p.server.Read(b[:]); string(b[:n]) != "last" || err != nil {
				t.Errorf("Read = %q, %v", b[:n], err)
			}
			for range 2 {
				if _, err := p.server.Read(b[:]); err != io.EOF {
					t.Errorf("after close_notify: %v", err)
				}
			}
			// The other direction lives on.
			if got := carry(t, p.server, p.client, []byte("answer"), 100); string(got) != "answer" {
				t.Errorf("after half a close came %q", got)
			}
			p.toClient.closed = true
			for range 2 {
				if _, err := p.client.Read(b[:]); !errors.Is(err, ErrTruncated) {
					t.Errorf("after the wire's end: %v", err)
				}
			}
		})
	}
}

// An end within a record is a truncation, too.
func TestCutRecord(t *testing.T) {
	p := connect(t, tls.VersionTLS13, 0, 0)
	p.client.Write([]byte("message"))
	p.toServer.b = p.toServer.b[:len(p.toServer.b)-1]
	p.toServer.closed = true
	if n, err := p.server.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrTruncated) {
		t.Errorf("Read = %d, %v", n, err)
	}
}

// A handshake can be left in whatever state it is, on both sides, and nothing is left of it.
func TestAbandoned(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			leaks(t)
			server, client := configs(t, v)
			for steps := 0; ; steps++ {
				p := newPair(server, client, 97, 0)
				done := false
				for range steps {
					c, s := p.client.Handshake(), p.server.Handshake()
					done = c == nil && s == nil
				}
				p.client.Close()
				p.server.Close()
				if n := p.env.Shaking(); n != 0 {
					t.Fatalf("after %d steps %d handshakes are under way", steps, n)
				}
				if done {
					return
				}
			}
		})
	}
}

// The bound of a loop's handshakes is one of those under way.
func TestTooManyHandshakes(t *testing.T) {
	server, client := configs(t, tls.VersionTLS13)
	env := NewEnv(1)
	a := Client(wire{new(queue), new(queue)}, client, env)
	b := Server(wire{new(queue), new(queue)}, server, env)
	if err := a.Handshake(); err != ErrAgain {
		t.Fatal(err)
	}
	if err := b.Handshake(); err != ErrBusy {
		t.Errorf("the second: %v", err)
	}
	a.Close()
	if err := b.Handshake(); err != ErrAgain {
		t.Errorf("when the first was left: %v", err)
	}
	b.Close()
}

// A refused peer is told why.
func TestRefusedHandshake(t *testing.T) {
	leaks(t)
	server, client := configs(t, tls.VersionTLS13)
	client.MaxVersion, client.MinVersion = tls.VersionTLS12, tls.VersionTLS12
	p := newPair(server, client, 0, 0)
	c, s := p.shake()
	if s == nil || c == nil || c.Error() != "remote error: tls: protocol version not supported" {
		t.Errorf("client %v, server %v", c, s)
	}
	if p.env.Shaking() != 0 {
		t.Error("it counts as under way")
	}
}

func TestGarbage(t *testing.T) {
	leaks(t)
	server, _ := configs(t, tls.VersionTLS13)
	f := func(bytes string, want Fault) {
		t.Helper()
		in := &queue{b: []byte(bytes), closed: true}
		c := Server(wire{in, new(queue)}, server, NewEnv(1))
		if err := c.Handshake(); FaultOf(err) != want {
			t.Errorf("%.20q: %v (%s), want %s", bytes, err, FaultOf(err), want)
		}
		c.Close()
	}
	f("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NotTLS)
	f("", Closed)
	f("\x16\x03\x01", Closed)
	f("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", NotTLS)
	f("\x15\x03\x01\x00\x02\x02\x28", Refused)
	f("\x16\x03\x01\xff\xff"+string(make([]byte, 1000)), NotTLS)
	f("\x16\x03\x01\x00\x04\x01\xff\xff\xff", TooLong)
	// A message of the allowed length in records of one byte each: what is read is bounded.
	long := "\x16\x03\x01\x00\x04\x01\x00\xff\xff" + strings.Repeat("\x16\x03\x01\x00\x01\x00", 20000)
	f(long, TooLong)
}

// What is read and written in a steady state needs no memory but a few words of crypto/tls.
func TestAllocations(t *testing.T) {
	p := connect(t, tls.VersionTLS13, 0, 0)
	data := random(65536)
	head := random(300)
	room := make([]byte, 70000)
	step := func() {
		p.toServer.b = p.toServer.b[:0]
		if n, err := p.client.Write(head, data); n != len(head)+len(data) || err != nil {
			t.Fatal(n, err)
		}
		b := p.toServer.b
		if n, err := p.server.Read(room); n != len(head)+len(data) || err != nil {
			t.Fatal(n, err)
		}
		p.toServer.b = b
	}
	step()
	if n := testing.AllocsPerRun(100, step); n > 12 {
		t.Errorf("%v allocations for five records", n)
	} else {
		t.Logf("%v allocations for five records", n)
	}
}
