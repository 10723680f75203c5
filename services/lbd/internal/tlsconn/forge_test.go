package tlsconn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// forger seals whatever records it is told to, as a client of TLS 1.3 with TLS_AES_128_GCM_SHA256 that has done its handshake.
type forger struct {
	secret []byte
	seq    uint64
}

// label is HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context.
func label(t testing.TB, secret []byte, name string, n int) []byte {
	t.Helper()
	name = "tls13 " + name
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(len(name)))
	info = append(append(info, name...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f *forger) record(t testing.TB, kind byte, content string) []byte {
	block, err := aes.NewCipher(label(t, f.secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := label(t, f.secret, "iv", 12)
	for i := range 8 {
		nonce[4+i] ^= byte(f.seq >> (56 - 8*i))
	}
	f.seq++
	plain := append([]byte(content), kind)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(plain)+16))
	return aead.Seal(head, nonce, plain, head)
}

// update is a key update, after which the next keys are used.
func (f *forger) update(t testing.TB, ask bool) []byte {
	content := "\x18\x00\x00\x01\x00"
	if ask {
		content = "\x18\x00\x00\x01\x01"
	}
	b := f.record(t, 22, content)
	f.rekey(t)
	return b
}

func (f *forger) rekey(t testing.TB) {
	f.secret, f.seq = label(t, f.secret, "traffic upd", 32), 0
}

// forge returns a pair after its handshake, whose client's records are made by a forger from then on.
func forge(t testing.TB) (*pair, *forger) {
	t.Helper()
	server, client := configs(t, tls.VersionTLS13)
	var log strings.Builder
	client.KeyLogWriter = &log
	p := newPair(server, client, 0, 0)
	if c, s := p.shake(); c != nil || s != nil {
		t.Fatal(c, s)
	}
	if p.server.State().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("SKIP-NEEDS: a processor with instructions for AES: without them another cipher is preferred")
	}
	for line := range strings.Lines(log.String()) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return p, &forger{secret: secret}
		}
	}
	t.Fatal("no secret was logged")
	return nil, nil
}

// Records of every kind between two of content, whole and split, do not lose a byte.
func TestForgedRecords(t *testing.T) {
	p, f := forge(t)
	var in []byte
	add := func(b []byte) { in = append(in, b...) }
	add(f.record(t, 23, "a"))
	add(f.update(t, false))
	add(f.record(t, 23, "b"))
	add(f.record(t, 23, ""))
	add(f.update(t, true))
	add(f.record(t, 22, "\x18\x00")) // a key update in two records
	add(f.record(t, 22, "\x00\x01\x00"))
	f.rekey(t)
	add(f.record(t, 23, strings.Repeat("c", maxRecord)))
	add(f.record(t, 21, "\x01\x00")) // close_notify
	var got []byte
	var end error
	room := make([]byte, 5000)
	for len(in) > 0 && end == nil {
		n := min(len(in), 7)
		p.toServer.b = append(p.toServer.b, in[:n]...)
		in = in[n:]
		for {
			k, err := p.server.Read(room)
			got = append(got, room[:k]...)
			if err == ErrAgain {
				break
			}
			if err != nil {
				end = err
				break
			}
		}
	}
	if want := "ab" + strings.Repeat("c", maxRecord); string(got) != want || end != io.EOF {
		t.Errorf("%d bytes came, want %d; ended with %v", len(got), len(want), end)
	}
	// The server has renewed its own keys, as it was asked to, and its client follows.
	if got := carry(t, p.server, p.client, []byte("answer"), 10); !bytes.Equal(got, []byte("answer")) {
		t.Errorf("%q came back", got)
	}
}

// Who asks for answers to key updates and takes none ends his connection, not the memory.
func TestFloodOfKeyUpdates(t *testing.T) {
	p, f := forge(t)
	p.toClient.b, p.toClient.limit = nil, 10
	room := make([]byte, 100)
	var err error
	for range 10000 {
		for range 8 {
			p.toServer.b = append(p.toServer.b, f.update(t, true)...)
		}
		p.toServer.b = append(p.toServer.b, f.record(t, 23, "x")...)
		if _, err = p.server.Read(room); err != nil && err != ErrAgain {
			break
		}
	}
	if !errors.Is(err, errPending) {
		t.Errorf("Read: %v", err)
	}
	if n := p.server.Pending(); n > MaxPending {
		t.Errorf("%d bytes wait", n)
	}
	p.server.Close()
}

// A row of key updates without content ends the connection.
func TestUselessRecords(t *testing.T) {
	p, f := forge(t)
	for range 100 {
		p.toServer.b = append(p.toServer.b, f.update(t, false)...)
	}
	if _, err := p.server.Read(make([]byte, 100)); err == nil || err == ErrAgain {
		t.Errorf("Read: %v", err)
	}
	if len(p.toClient.b) == 0 {
		t.Error("no alert was sent")
	}
}
