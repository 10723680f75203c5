// Package conformance holds lbd, as a program, against other proxies and against the tools that check protocols.
package conformance

import (
	"bufio"
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

	"github.com/everup/everup/shared/labtest"
)

// patience bounds waits that end long before on a machine that is not overloaded.
const patience = 20 * time.Second

// recorder is a member that keeps what it is sent, and answers the first head on a connection.
type recorder struct {
	addr string
	mu   sync.Mutex
	got  strings.Builder
}

func startRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return r
}

func (r *recorder) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 64<<10)
	var seen strings.Builder
	answered := false
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.got.Write(b[:n])
		r.mu.Unlock()
		seen.Write(b[:n])
		if !answered && whole(seen.String()) {
			answered = true
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
	}
}

// whole reports whether a request has come with its content, as far as a plain look can tell.
func whole(s string) bool {
	head, body, ok := strings.Cut(s, "\r\n\r\n")
	lower := strings.ToLower(head)
	switch {
	case !ok:
		return false
	case strings.Contains(lower, "\ntransfer-encoding:"):
		return strings.HasSuffix(body, "0\r\n\r\n")
	}
	_, rest, ok := strings.Cut(lower, "\ncontent-length:")
	if !ok {
		return true
	}
	n := 0
	fmt.Sscan(rest, &n)
	return len(body) >= n
}

// take returns what came since the last time.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.got.String()
	r.got.Reset()
	return s
}

// peer is a proxy in front of a recorder.
type peer struct {
	name string
	addr string
	rec  *recorder
}

// verdict is what a proxy made of a request.
type verdict struct {
	status    string // "" for none
	forwarded string
}

// taken reports whether the member was asked.
func (v verdict) taken() bool { return v.forwarded != "" }

func (v verdict) String() string {
	if v.taken() {
		return "forwards"
	}
	return "refuses"
}

// ask sends bytes and returns what came of it: the peers give up after halfTime on who owes them something.
func (p *peer) ask(sent string) (verdict, error) {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		return verdict{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, sent) // it may be refused before all is sent
	status := finalStatus(bufio.NewReader(c))
	return verdict{status: status, forwarded: p.rec.take()}, nil
}

// halfTime is how long the peers wait for a head or a body that does not come.
const halfTime = "250ms"

// finalStatus reads the status of an answer that is not interim, "" if there is none.
func finalStatus(in *bufio.Reader) string {
	for {
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.") || len(line) < 12 {
			return ""
		}
		status := line[9:12]
		for line != "\r\n" {
			if line, err = in.ReadString('\n'); err != nil {
				return ""
			}
		}
		if status[0] != '1' {
			return status
		}
	}
}

// run starts a proxy and waits until it accepts connections.
func run(t *testing.T, addr, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out)
		}
	})
	labtest.Eventually(t, patience, name+" accepts connections", func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func startLBD(t *testing.T) *peer {
	t.Helper()
	rec, dir, addr := startRecorder(t), t.TempDir(), labtest.FreeAddr(t)
	file := write(t, filepath.Join(dir, "lbd.yaml"), fmt.Sprintf(`node: n1
state: %[1]s/state
admin: {socket: %[1]s/sock}
listen: [%[2]q]
routes: [{pool: web}]
pools: {web: {members: [{addr: %[3]q}], retries: {max: 0}}}
`, dir, addr, rec.addr))
	run(t, addr, labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd"), "run", "-c", file)
	return &peer{"lbd", addr, rec}
}

func startNginx(t *testing.T) *peer {
	t.Helper()
	rec, dir, addr := startRecorder(t), t.TempDir(), labtest.FreeAddr(t)
	file := write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off; master_process off;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; proxy_request_buffering off; client_header_timeout %[4]s; client_body_timeout %[4]s; proxy_read_timeout %[4]s; proxy_http_version 1.1;
  server { listen %[2]s; location / { proxy_pass http://%[3]s; proxy_set_header Host $host; } }
}
`, dir, addr, rec.addr, halfTime))
	run(t, addr, "nginx", "-c", file)
	return &peer{"nginx", addr, rec}
}

func startHAProxy(t *testing.T) *peer {
	t.Helper()
	rec, dir, addr := startRecorder(t), t.TempDir(), labtest.FreeAddr(t)
	file := write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Sprintf(`global
  nbthread 1
  maxconn 256
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client %[3]s
  timeout server %[3]s
frontend f
  bind %[1]s
  default_backend b
backend b
  server s %[2]s
`, addr, rec.addr, halfTime))
	run(t, addr, "haproxy", "-db", "-f", file)
	return &peer{"haproxy", addr, rec}
}
