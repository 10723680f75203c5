package tlsconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"
)

// issue makes a certificate that is its own authority.
func issue(t testing.TB, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: []net.IP{{127, 0, 0, 1}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// configs are those of two sides that know each other.
func configs(t testing.TB, version uint16) (server, client *tls.Config) {
	cert, pool := issue(t, "example.test")
	server = &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, DynamicRecordSizingDisabled: true,
		MinVersion: version, MaxVersion: version,
	}
	client = &tls.Config{
		RootCAs: pool, ServerName: "example.test", NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true,
		MinVersion: version, MaxVersion: version,
	}
	return server, client
}

// queue is one direction of a wire.
type queue struct {
	b      []byte
	limit  int // bytes that it holds; 0: no bound
	piece  int // bytes of a read or write; 0: no bound
	closed bool
	writes int
}

// wire is one end of two queues.
type wire struct{ in, out *queue }

func (w wire) Read(p []byte) (int, error) {
	q := w.in
	if len(q.b) == 0 {
		if q.closed {
			return 0, io.EOF
		}
		return 0, ErrAgain
	}
	if q.piece > 0 {
		p = p[:min(len(p), q.piece)]
	}
	n := copy(p, q.b)
	q.b = q.b[n:]
	return n, nil
}

func (w wire) Write(p []byte) (int, error) {
	q := w.out
	q.writes++
	if q.limit > 0 {
		p = p[:min(len(p), q.limit-len(q.b))]
	}
	if q.piece > 0 {
		p = p[:min(len(p), q.piece)]
	}
	if len(p) == 0 {
		return 0, ErrAgain
	}
	q.b = append(q.b, p...)
	return len(p), nil
}

// pair is a client and a server on one wire.
type pair struct {
	client, server     *Conn
	toServer, toClient *queue
	env                *Env
}

func newPair(server, client *tls.Config, piece, limit int) *pair {
	p := &pair{toServer: &queue{piece: piece, limit: limit}, toClient: &queue{piece: piece, limit: limit}, env: NewEnv(8)}
	p.server = Server(wire{p.toServer, p.toClient}, server, p.env)
	p.client = Client(wire{p.toClient, p.toServer}, client, p.env)
	return p
}

// shake goes on with both handshakes until neither can.
func (p *pair) shake() (client, server error) {
	client, server = ErrAgain, ErrAgain
	for range 100000 {
		before := len(p.toServer.b) + len(p.toClient.b) + p.client.Pending() + p.server.Pending()
		was := [2]error{client, server}
		if client == ErrAgain {
			client = p.client.Handshake()
		}
		if server == ErrAgain {
			server = p.server.Handshake()
		}
		p.client.Flush()
		p.server.Flush()
		after := len(p.toServer.b) + len(p.toClient.b) + p.client.Pending() + p.server.Pending()
		if client != ErrAgain && server != ErrAgain || before == 0 && after == 0 && was == [2]error{client, server} {
			break
		}
	}
	return client, server
}

func connect(t testing.TB, version uint16, piece, limit int) *pair {
	t.Helper()
	s, c := configs(t, version)
	p := newPair(s, c, piece, limit)
	if c, s := p.shake(); c != nil || s != nil {
		t.Fatalf("handshake: client %v, server %v", c, s)
	}
	return p
}

// carry moves data from a to b until all is there, with room for up to size bytes a read.
func carry(t testing.TB, a, b *Conn, data []byte, size int) []byte {
	t.Helper()
	var got []byte
	left := data
	p := make([]byte, size)
	for len(got) < len(data) {
		moved := false
		if len(left) > 0 {
			n, err := a.Write(left[:len(left)/3], left[len(left)/3:])
			if err != nil && err != ErrAgain {
				t.Fatalf("write: %v", err)
			}
			left = left[n:]
			moved = n > 0
		} else if a.Flush() == nil {
			moved = true
		}
		for {
			n, err := b.Read(p)
			if err == ErrAgain {
				break
			}
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			got = append(got, p[:n]...)
			moved = true
		}
		if !moved && a.Pending() == 0 {
			t.Fatalf("stands still after %d of %d bytes", len(got), len(data))
		}
	}
	return got
}

// leaks fails the test if goroutines that were made in it are left.
func leaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			runtime.Gosched()
		}
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	})
}
