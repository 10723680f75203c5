package probe

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
)

// patience is the timeout of checks that are to succeed: the machine may be busy.
const patience = 20 * time.Second

// check runs one check with the configuration text against addr.
func check(t testing.TB, addr string, text string) Result {
	t.Helper()
	return checkTarget(t, Target{Addr: mustAddrPort(addr)}, text, patience)
}

func checkTarget(t testing.TB, tg Target, text string, timeout time.Duration) Result {
	t.Helper()
	c, err := New(makeConfig(t, text))
	if err != nil {
		t.Fatalf("New: %v\n%s", err, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return c.Check(ctx, tg)
}

// wantOK fails unless r is OK with the words in its detail.
func wantOK(t testing.TB, r Result, words ...string) {
	t.Helper()
	if !r.OK || r.Class != 0 {
		t.Errorf("result %+v, want OK", r)
	}
	wantWords(t, r, words)
}

// wantBad fails unless r is not OK, of the class, with the words in its detail.
func wantBad(t testing.TB, r Result, class fault.Class, words ...string) {
	t.Helper()
	if r.OK || r.Warn || r.Class != class {
		t.Errorf("result %+v (%s), want %s", r, r.Class, class)
	}
	wantWords(t, r, words)
}

func wantWords(t testing.TB, r Result, words []string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(r.Detail, w) {
			t.Errorf("detail %q lacks %q", r.Detail, w)
		}
	}
}

// serve accepts TCP connections on loopback and hands each to f, until the test ends.
func serve(t testing.TB, f func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, f)
	return ln.Addr().String()
}

func serveOn(t testing.TB, ln net.Listener, f func(net.Conn)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				f(c)
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// exchange is one step of a scripted line server: it reads a line that begins with want ("" reads none), then
// writes reply.
type exchange struct{ want, reply string }

// scripted returns a server that follows the steps, then waits for the client to close. limit, when not
// negative, is after how many bytes of its own it closes.
func scripted(steps []exchange, limit int) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for _, s := range steps {
			if s.want != "" {
				line, err := in.ReadString('\n')
				if err != nil || !strings.HasPrefix(line, s.want) {
					fmt.Fprintf(c, "unexpected %q\r\n", line)
					return
				}
			}
			reply := s.reply
			if limit >= 0 && len(reply) > limit {
				io.WriteString(c, reply[:limit])
				return
			}
			if limit >= 0 {
				limit -= len(reply)
			}
			io.WriteString(c, reply)
		}
		if limit != 0 {
			io.Copy(io.Discard, in)
		}
	}
}

// certificate makes a self-signed certificate for the names that ends at notAfter, and a file to trust it by.
func certificate(t testing.TB, notAfter time.Time, names ...string) (cert tls.Certificate, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "probe test"},
		NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: notAfter, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(names) > 0 {
		tmpl.IPAddresses = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caFile
}

// days returns the time n days and a bit from now.
func days(n int) time.Time { return time.Now().Add(time.Duration(n)*24*time.Hour + time.Hour) }

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
