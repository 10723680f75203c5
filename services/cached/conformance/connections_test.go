package conformance

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/oracletest"
)

// One connection too many is told so and closed, and those before it live on.
func TestTooManyConnections(t *testing.T) {
	forEach(t, func(t *testing.T, p program) {
		if !p.flags {
			t.Skip("the limit is given by a flag")
		}
		const limit = 100
		s := p.start(t, oracletest.Options{Args: []string{"-c", "100"}})
		var served []net.Conn
		for range limit + 1 {
			c := dial(t, s)
			// What is refused may be closed before this arrives.
			_, _ = io.WriteString(c, "version\r\n")
			line := make([]byte, 64)
			n, err := c.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(string(line[:n]), "VERSION") {
				served = append(served, c)
				continue
			}
			rest, _ := io.ReadAll(c) // to the end, or a reset
			if got := string(line[:n]) + string(rest); got != "ERROR Too many open connections\r\n" {
				t.Errorf("the refused connection reads %q", got)
			}
		}
		if n := len(served); n > limit || n < limit*3/4 { // memcached counts descriptors of its own too
			t.Errorf("%d connections were served, of at most %d", n, limit)
		}
		for _, c := range served {
			if _, err := io.WriteString(c, "mn\r\n"); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, 4)
			if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "MN\r\n" {
				t.Errorf("a served connection answers %q, %v", answer, err)
			}
		}
	})
}

// -D names the delimiter of prefixes, and turns their counting on.
func TestDelimiter(t *testing.T) {
	forEach(t, func(t *testing.T, p program) {
		if !p.flags {
			t.Skip("the delimiter is given by a flag")
		}
		c := dial(t, p.start(t, oracletest.Options{Args: []string{"-D", "."}}))
		if _, err := io.WriteString(c, "get a.b\r\nget c:d\r\nstats detail dump\r\nquit\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if want := "END\r\nEND\r\nPREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n"; err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}

// frame is a datagram: the header of memcached's UDP protocol, and bytes.
func frame(id, seq, total, reserved uint16, payload string) []byte {
	var b []byte
	for _, n := range []uint16{id, seq, total, reserved} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return append(b, payload...)
}

// Datagrams carry requests; answers carry the request's id, their number and how many there are.
func TestUDP(t *testing.T) {
	forEach(t, func(t *testing.T, p program) {
		if !p.flags {
			t.Skip("UDP is asked for by a flag")
		}
		s := p.start(t, oracletest.Options{TCP: true, UDP: true})
		c, err := net.Dial("udp", s.UDP)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := oracletest.Exchange(s.Network, s.Addr, []byte("set a 5 0 3\r\nabc\r\nset big 0 0 3000\r\n"+strings.Repeat("x", 3000)+"\r\n")); err != nil {
			t.Fatal(err)
		}
		f := func(name string, send []byte, want ...[]byte) {
			t.Helper()
			if _, err := c.Write(send); err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				got := make([]byte, 2048)
				n, err := c.Read(got)
				if err != nil || !bytes.Equal(got[:n], w) {
					t.Errorf("%s: answer %d is %.100q, %v; want %.100q", name, i, got[:n], err, w)
				}
			}
		}
		f("hit", frame(0x1234, 0, 1, 0, "get a\r\n"), frame(0x1234, 0, 1, 0, "VALUE a 5 3\r\nabc\r\nEND\r\n"))
		f("miss", frame(7, 0, 1, 0, "get zz\r\n"), frame(7, 0, 1, 0, "END\r\n"))
		all := "VALUE big 0 3000\r\n" + strings.Repeat("x", 3000) + "\r\nEND\r\n"
		f("three datagrams", frame(8, 0, 1, 0, "get big\r\n"), frame(8, 0, 3, 0, all[:1392]), frame(8, 1, 3, 0, all[1392:2784]), frame(8, 2, 3, 0, all[2784:]))
		// What is not answered is followed by what is: an answer to it would come first.
		f("of two datagrams", frame(9, 0, 2, 0, "get a\r\n"))
		f("too short", []byte{0, 1, 2})
		f("no command", frame(10, 0, 1, 0, ""))
		f("after them", frame(11, 0, 1, 0, "get a\r\n"), frame(11, 0, 1, 0, "VALUE a 5 3\r\nabc\r\nEND\r\n"))
		get := oracletest.Packet{Magic: 0x80, Opcode: 0, Opaque: 5, Key: []byte("a")}.Append(nil)
		hit := oracletest.Packet{Magic: 0x81, Opcode: 0, Opaque: 5, CAS: 1, Extras: []byte{0, 0, 0, 5}, Value: []byte("abc")}.Append(nil)
		if p.name == "memcached" { // which numbers are given is an engine's choice
			f("binary", frame(12, 0, 1, 0, string(get)), frame(12, 0, 1, 0, string(hit)))
		}
	})
}
