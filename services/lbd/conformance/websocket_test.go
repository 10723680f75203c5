package conformance

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// conversation is frames as a peer sends them: messages of the lengths where the head of a frame changes, whole and in fragments with
// pings between, and a close.
func conversation(masked bool, seed byte) []byte {
	fill := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*7) + seed
		}
		return b
	}
	var b []byte
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		b = frame{fin | binaryData, fill(n)}.append(b, masked)
		b = frame{text, fill(n)}.append(b, masked)
		b = frame{fin | ping, fill(125)}.append(b, masked)
		b = frame{continuation, fill(n / 2)}.append(b, masked)
		b = frame{fin | pong, nil}.append(b, masked)
		b = frame{fin | continuation, fill(n)}.append(b, masked)
	}
	return frame{fin | closing, append([]byte{0x03, 0xe9}, "over"...)}.append(b, masked) // 1001
}

// openSockets opens so many WebSockets, which are closed with the test.
func openSockets(t *testing.T, addr string, n int) []*socket {
	t.Helper()
	sockets := make([]*socket, n)
	for i := range sockets {
		s, err := dialSocket(addr, "/socket")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		sockets[i] = s
	}
	return sockets
}

// echoAll fails the test for each WebSocket on which nothing comes back.
func echoAll(t *testing.T, sockets []*socket) {
	t.Helper()
	for i, s := range sockets {
		if err := s.echo("at the end"); err != nil {
			t.Errorf("socket %d: %v", i, err)
		}
	}
}

// halves are the kinds of connections that can end one way while the other lives on.
type halves interface{ CloseWrite() error }

// pair opens a WebSocket through lbd and returns both of its ends. With config it is over TLS on the client's side.
func pair(t *testing.T, addr string, config *tls.Config, conns <-chan *socket) (client, member *socket) {
	t.Helper()
	var c net.Conn
	var err error
	if config == nil {
		c, err = net.Dial("tcp", addr)
	} else {
		c, err = tls.Dial("tcp", addr, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	if client, err = openSocket(c, addr, "/"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	member = <-conns
	t.Cleanup(func() { member.Close() })
	return client, member
}

// relay sends bytes from one end, which then ends its half, and returns what comes to the other until that has ended.
func relay(from, to *socket, sent []byte) ([]byte, error) {
	var got []byte
	var sending, reading error
	var wg sync.WaitGroup
	wg.Go(func() {
		for len(sent) > 0 && sending == nil { // in pieces that end anywhere within a frame
			n := min(len(sent), 4097)
			_, sending = from.Write(sent[:n])
			sent = sent[n:]
		}
		sending = errors.Join(sending, from.Conn.(halves).CloseWrite())
	})
	wg.Go(func() { got, reading = io.ReadAll(to.in) })
	wg.Wait()
	return got, errors.Join(sending, reading)
}

// TestWebSocketBytes: what is sent comes as it was sent, both ways at once and one after the other. An end that has sent all still hears
// what the other has to say.
func TestWebSocketBytes(t *testing.T) {
	t.Parallel()
	member, conns := rawMember(t)
	certs := labtest.NewCerts(t)
	plain, secure := labtest.FreeAddr(t), labtest.FreeAddr(t)
	startProgram(t, plain, fmt.Sprintf("listen: [%q, {addr: %q, tls: web}]\ntls: {web: {certificates: [%s]}}\nroutes: [{pool: web}]\npools: {web: %s}\n",
		plain, secure, certificate(certs), poolYAML("", member)))
	there, back := conversation(true, 1), conversation(false, 2)
	check := func(what string, got []byte, err error, want []byte) {
		t.Helper()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, want %d; alike: %v", what, len(got), err, len(want), bytes.HasPrefix(want, got))
		}
	}
	f := func(name, addr string, config *tls.Config) {
		c, m := pair(t, addr, config, conns)
		var wg sync.WaitGroup
		wg.Go(func() { got, err := relay(c, m, there); check(name+", to the member", got, err, there) })
		wg.Go(func() { got, err := relay(m, c, back); check(name+", to the client", got, err, back) })
		wg.Wait()

		c, m = pair(t, addr, config, conns)
		got, err := relay(c, m, there)
		check(name+", to the member first", got, err, there)
		got, err = relay(m, c, back)
		check(name+", to the client that has ended", got, err, back)

		c, m = pair(t, addr, config, conns)
		got, err = relay(m, c, back)
		check(name+", to the client first", got, err, back)
		got, err = relay(c, m, there)
		check(name+", to the member that has ended", got, err, there)
	}
	f("plain", plain, nil)
	f("TLS", secure, certs.Client())
}
