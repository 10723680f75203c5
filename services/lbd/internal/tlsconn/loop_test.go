package tlsconn

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/loop"
	"github.com/everup/everup/shared/labtest"
)

// echo is a connection in a loop that sends back what it is sent, and tells how it went.
type echo struct {
	l    *loop.Loop
	c    *Conn
	fd   int
	ref  loop.Ref
	buf  []byte // to be sent back
	room [8192]byte
	tell chan error // once
	up   chan *tls.ConnectionState
	done bool
	eof  bool
}

// Read and Write make it a Wire.
func (e *echo) Read(p []byte) (int, error) {
	switch n, err := unix.Read(e.fd, p); {
	case err == unix.EAGAIN:
		return 0, ErrAgain
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

func (e *echo) Write(p []byte) (int, error) {
	n, err := unix.Write(e.fd, p)
	if err == unix.EAGAIN {
		return 0, ErrAgain
	}
	return n, os.NewSyscallError("write", err)
}

func (e *echo) Ready(loop.Events) {
	if err := e.step(); err != ErrAgain {
		e.end(err)
	}
}

func (e *echo) Expired() { e.end(os.ErrDeadlineExceeded) }

func (e *echo) step() error {
	if !e.done {
		if err := e.c.Handshake(); err != nil {
			return err
		}
		e.done = true
		e.up <- e.c.State()
	}
	for {
		if len(e.buf) > 0 {
			n, err := e.c.Write(e.buf)
			if err != nil {
				return err
			}
			e.buf = e.buf[n:]
			continue
		}
		if err := e.c.Flush(); err != nil {
			return err
		}
		if e.eof {
			return nil
		}
		n, err := e.c.Read(e.room[:])
		if err == io.EOF {
			e.eof = true
			if err := e.c.CloseWrite(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		e.buf = append(e.buf, e.room[:n]...)
	}
}

func (e *echo) end(err error) {
	e.c.Close()
	e.l.Closing(e.ref)
	unix.Close(e.fd)
	e.tell <- err
}

// onLoop runs a loop with an echo over a socket, one of whose ends it returns. make makes the echo's side.
func onLoop(t *testing.T, make func(Wire, *Env) *Conn) (*echo, net.Conn) {
	t.Helper()
	labtest.LeakCheck(t)
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "peer")
	peer, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	e := start(t, l, fds[0], make)
	t.Cleanup(func() { peer.Close() })
	return e, peer
}

func start(t *testing.T, l *loop.Loop, fd int, make func(Wire, *Env) *Conn) *echo {
	e := &echo{l: l, fd: fd, tell: newChan(), up: newState()}
	e.c = make(e, NewEnv(8))
	l.Post(func() {
		var err error
		if e.ref, err = l.Add(fd, e); err != nil {
			e.tell <- err
			return
		}
		l.SetDeadline(e.ref, l.Now()+10*time.Second)
	})
	ended := newChan()
	go func() { ended <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return e
}

func newChan() chan error                 { return make(chan error, 1) }
func newState() chan *tls.ConnectionState { return make(chan *tls.ConnectionState, 1) }

func TestServerOnLoop(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			server, client := configs(t, v)
			e, conn := onLoop(t, func(w Wire, env *Env) *Conn { return Server(w, server, env) })
			talk(t, e, tls.Client(conn, client))
		})
	}
}

func TestClientOnLoop(t *testing.T) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			server, client := configs(t, v)
			e, conn := onLoop(t, func(w Wire, env *Env) *Conn { return Client(w, client, env) })
			talk(t, e, tls.Server(conn, server))
		})
	}
}

// talk has data come back, and both sides end in order.
func talk(t *testing.T, e *echo, peer *tls.Conn) {
	t.Helper()
	data := random(3 << 20)
	go func() {
		peer.Write(data)
		peer.CloseWrite()
	}()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(data), err)
	}
	if err := <-e.tell; err != nil {
		t.Errorf("the loop's side has ended with %v", err)
	}
	if s := <-e.up; s.NegotiatedProtocol != "http/1.1" || s.ServerName != "example.test" {
		t.Errorf("state %+v", s)
	}
}

// A handshake that the peer leaves, and one that the loop's deadline ends, leave nothing: the coroutine ends on the loop's thread.
func TestHandshakeLeftOnLoop(t *testing.T) {
	server, client := configs(t, tls.VersionTLS13)
	for _, bytes := range []int{0, 1, 5, 100, 300} {
		e, conn := onLoop(t, func(w Wire, env *Env) *Conn { return Server(w, server, env) })
		var hello recorder
		tls.Client(&hello, client).Handshake()
		conn.Write(hello[:min(bytes, len(hello))])
		if bytes == 300 {
			e.l.Post(func() { e.l.SetDeadline(e.ref, e.l.Now()) })
		} else {
			conn.Close()
		}
		if err := <-e.tell; err == nil {
			t.Errorf("after %d bytes it ended well", bytes)
		}
	}
}

// recorder keeps what is written and answers nothing.
type recorder []byte

func (r *recorder) Write(p []byte) (int, error)      { *r = append(*r, p...); return len(p), nil }
func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) LocalAddr() net.Addr              { return noAddr{} }
func (r *recorder) RemoteAddr() net.Addr             { return noAddr{} }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

// tcp returns an echo on a connection that accept or dial has made.
func tcp(t *testing.T, conn net.Conn, make func(Wire, *Env) *Conn) *echo {
	t.Helper()
	f, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, l, fd, make)
}

// watched is output that can be looked at while it is written.
type watched struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// openssl's client talks to a server in a loop: K asks for an update of both sides' keys, k updates its own, R renegotiates.
func TestOpenSSLClient(t *testing.T) {
	labtest.Needs(t, "openssl")
	f := func(version uint16, end string, script ...string) {
		t.Helper()
		server, _ := configs(t, version)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		cmd := exec.Command("openssl", "s_client", "-connect", ln.Addr().String(), "-servername", "example.test", "-legacy_renegotiation")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out watched
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		e := tcp(t, conn, func(w Wire, env *Env) *Conn { return Server(w, server, env) })
		if s := <-e.up; s.Version != version {
			t.Errorf("version %x", s.Version)
		}
		seen := 0
		for i := 0; i+1 < len(script); i += 2 {
			io.WriteString(in, script[i]+"\n") // a command is one only at the beginning of what openssl reads
			labtest.Eventually(t, 10*time.Second, script[i]+" at openssl", func() error {
				at := strings.Index(out.String()[seen:], script[i+1])
				if at < 0 {
					return errors.New(out.String())
				}
				seen += at + len(script[i+1])
				return nil
			})
		}
		if err := <-e.tell; fmt.Sprint(err) != end {
			t.Errorf("%q: ended with %v, want %s\n%s", script, err, end, out.String())
		}
		in.Close()
		cmd.Wait()
	}
	f(tls.VersionTLS13, "<nil>", "the answer", "the answer\n", "Q", "DONE")
	f(tls.VersionTLS12, "<nil>", "the answer", "the answer\n", "Q", "DONE")
	f(tls.VersionTLS13, "<nil>", "k", "KEYUPDATE", "one", "one\n", "K", "KEYUPDATE", "two", "two\n", "K", "KEYUPDATE", "three", "three\n", "Q", "DONE")
	f(tls.VersionTLS12, "tls: received unexpected handshake message of type *tls.clientHelloMsg when waiting for *tls.helloRequestMsg",
		"R", "alert unexpected message")
}

// openssl's server sends back each line turned round.
func TestOpenSSLServer(t *testing.T) {
	labtest.Needs(t, "openssl")
	dir := t.TempDir()
	cert, authority := issue(t, "example.test")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pemFile := filepath.Join(dir, "server.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(pemFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-tls1_2", "-tls1_3"} {
		addr := labtest.FreeAddr(t)
		cmd := exec.Command("openssl", "s_server", "-accept", addr, "-cert", pemFile, "-rev", "-quiet", "-naccept", "1", flag)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var conn net.Conn
		labtest.Eventually(t, 10*time.Second, "openssl to listen", func() (err error) {
			conn, err = net.Dial("tcp", addr)
			return err
		})
		config := &tls.Config{RootCAs: authority, ServerName: "example.test"}
		e := tcp(t, conn, func(w Wire, env *Env) *Conn {
			w.(*echo).buf = []byte("abc\n")
			return Client(w, config, env)
		})
		if s := <-e.up; len(s.VerifiedChains) != 1 {
			t.Errorf("state %+v", s)
		}
		// What comes back is sent back, and so on: after some rounds it is told to end.
		e.l.Post(func() { e.buf = append(e.buf, "CLOSE\n"...); e.Ready(0) })
		if err := <-e.tell; err != nil {
			t.Errorf("%s: %v", flag, err)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}
