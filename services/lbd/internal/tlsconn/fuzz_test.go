package tlsconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"testing"
)

// FuzzHandshake feeds bytes in pieces to a server and to a client before their handshakes are over: whatever they are, the handshake
// ends or waits for more, and nothing of it is left when it is left.
func FuzzHandshake(f *testing.F) {
	server, client := configs(f, tls.VersionTLS13)
	server.MinVersion, client.MinVersion = tls.VersionTLS12, tls.VersionTLS12
	var hello recorder
	tls.Client(&hello, client).Handshake()
	f.Add([]byte(hello), uint16(0))
	f.Add([]byte(hello), uint16(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(3))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x40\x00"), uint16(2))
	f.Add([]byte("\x16\x03\x03\x00\x28\x02\x00\x00\x24\x03\x03"), uint16(0))
	sides := []struct {
		make   func(Wire, *tls.Config, *Env) *Conn
		config *tls.Config
	}{{Server, server}, {Client, client}}
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		for _, side := range sides {
			env := NewEnv(1)
			in, out := &queue{piece: int(piece)}, new(queue)
			c := side.make(wire{in, out}, side.config, env)
			err := c.Handshake()
			for rest := data; len(rest) > 0 && err == ErrAgain; {
				n := min(len(rest), int(piece)+1)
				in.b = append(in.b, rest[:n]...)
				rest = rest[n:]
				err = c.Handshake()
			}
			if err == nil {
				t.Error("the handshake is over, and nobody was there")
			}
			in.closed = true
			if err == ErrAgain {
				if err = c.Handshake(); !errors.Is(err, ErrTruncated) {
					t.Errorf("at the end of the wire: %v", err)
				}
			}
			c.Close()
			if env.Shaking() != 0 {
				t.Error("a handshake is left")
			}
			if c.Pending() != 0 || len(out.b) > MaxPending {
				t.Error("something waits")
			}
		}
	})
}

// FuzzTransfer sends bytes over wires that take and give them in pieces of all sizes, and some of them changed on the way: what comes is
// the beginning of what was sent, and a changed record is never taken for content.
func FuzzTransfer(f *testing.F) {
	server, client := configs(f, tls.VersionTLS13)
	f.Add([]byte("hello"), uint16(0), uint16(0), uint32(0))
	f.Add(make([]byte, 20000), uint16(3), uint16(700), uint32(0))
	f.Add(make([]byte, 500), uint16(1), uint16(1), uint32(100))
	f.Fuzz(func(t *testing.T, data []byte, piece, limit uint16, change uint32) {
		p := newPair(server, client, 0, 0)
		if c, s := p.shake(); c != nil || s != nil {
			t.Fatal(c, s)
		}
		p.toServer.piece, p.toServer.limit = int(piece), int(limit)
		var got []byte
		room := make([]byte, 1+int(limit)%5000)
		left, sent := data, uint32(0)
		for stands := 0; stands < 2; {
			stands++
			n, err := p.client.Write(left)
			if err != nil && err != ErrAgain {
				t.Fatal(err)
			}
			left = left[n:]
			if len(left) == 0 {
				p.client.Flush()
			}
			before := sent
			sent += uint32(len(p.toServer.b))
			if change > before && change <= sent && len(p.toServer.b) > 0 {
				p.toServer.b[change-before-1] ^= 1
			}
			for {
				n, err := p.server.Read(room)
				got = append(got, room[:n]...)
				if err == ErrAgain {
					break
				}
				if err != nil {
					if change == 0 {
						t.Fatalf("Read: %v", err)
					}
					return
				}
				stands = 0
			}
			if sent != before || n > 0 {
				stands = 0
			}
			if !bytes.HasPrefix(data, got) {
				t.Fatal("other bytes came than were sent")
			}
		}
		if change == 0 && !bytes.Equal(got, data) {
			t.Fatalf("%d of %d bytes came", len(got), len(data))
		}
	})
}
