package l7

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/everup/everup/deploy/bench/process"
	"github.com/everup/everup/shared/fault"
)

// proxy is one that is compared.
type proxy struct {
	name    string
	path    string
	ask     string // argument that has it print its version
	prepare func(b *bench, dir string, at addresses) (args []string, err error)
}

// addresses are where a proxy listens.
type addresses struct {
	http  string // HTTP/1.1, plain
	h2c   string // HTTP/2 with prior knowledge, plain
	https string // TLS, ALPN h2 and http/1.1
}

// running is a proxy that runs.
type running struct {
	*process.Process
	at addresses
}

// proxies returns the peers and the subject, which is the last.
func proxies(peers []string, subject string) ([]proxy, error) {
	var out []proxy
	for _, p := range peers {
		switch p {
		case "haproxy":
			out = append(out, proxy{p, p, "-v", haproxy})
		case "nginx":
			out = append(out, proxy{p, p, "-v", nginx})
		default:
			return nil, fault.New(fault.Invalid, "bench: no peer %q, there are haproxy and nginx", p)
		}
	}
	return append(out, proxy{"lbd", subject, "version", lbd}), nil
}

// version returns the first line of what the program says of itself.
func (p *proxy) version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, p.path, p.ask).CombinedOutput()
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "bench: %s %s", p.path, p.ask)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	line, _, _ = strings.Cut(line, " - https")
	return strings.TrimSpace(line), nil
}

// start starts a proxy with a directory and ports of its own.
func (b *bench) start(ctx context.Context, p *proxy) (*running, error) {
	dir, err := os.MkdirTemp(b.dir, p.name)
	if err != nil {
		return nil, err
	}
	r := new(running)
	for _, a := range []*string{&r.at.http, &r.at.h2c, &r.at.https} {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		*a = net.JoinHostPort("127.0.0.1", port)
	}
	args, err := p.prepare(b, dir, r.at)
	if err != nil {
		return nil, err
	}
	r.Process, err = process.Start(ctx, process.Spec{Path: p.path, Args: args, Network: "tcp", Address: r.at.http, Core: b.ProxyCore})
	return r, err
}

// config writes a configuration.
func config(dir, name, text string) (path string, err error) {
	path = filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func haproxy(b *bench, dir string, at addresses) ([]string, error) {
	path, err := config(dir, "haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.ssl.cachesize 0
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse safe
frontend f
  bind %s
  bind %s proto h2
  bind %s ssl crt %s alpn h2,http/1.1
  default_backend b
backend b
  server s %s
`, at.http, at.h2c, at.https, b.keys.both, b.backend.Address))
	return []string{"-db", "-f", path}, err
}

func nginx(b *bench, dir string, at addresses) ([]string, error) {
	path, err := config(dir, "nginx.conf", fmt.Sprintf(`daemon off; master_process off; worker_processes 1;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 16000; }
http {
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  upstream b { server %[2]s; keepalive 256; keepalive_requests 100000000; }
  ssl_certificate %[6]s; ssl_certificate_key %[7]s; ssl_protocols TLSv1.2 TLSv1.3;
  server {
    listen %[3]s backlog=4096; listen %[4]s http2; listen %[5]s ssl http2;
    http2_max_requests 100000000; http2_max_concurrent_streams 128;
    location / {
      proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`, dir, b.backend.Address, at.http, at.h2c, at.https, b.keys.cert, b.keys.key))
	return []string{"-c", path}, err
}

func lbd(b *bench, dir string, at addresses) ([]string, error) {
	path, err := config(dir, "lbd.yaml", fmt.Sprintf(`node: bench
state: %[1]s/state
admin: {socket: %[1]s/admin}
listen: ["%[2]s", {addr: "%[4]s", http2: true}, {addr: "%[5]s", tls: web, http2: true}]
tls: {web: {certificates: [{cert: %[6]s, key: %[7]s}]}}
connections: 8000
handshakes: {rate: 0}
routes: [{path: "%[8]s", pool: kept}, {pool: web}]
pools:
  web: {forwarded: {fields: [for], request_id: false}, members: [{addr: "%[3]s"}]}
  kept: {forwarded: {fields: [for], request_id: false}, members: [{addr: "%[3]s"}], reuse: always}
`, dir, at.http, b.backend.Address, at.h2c, at.https, b.keys.cert, b.keys.key, keptPath))
	return []string{"run", "-c", path}, err
}

// sizes are the lengths of what the members answer with, by the path that asks for it.
func sizes() map[string]int { return map[string]int{"/1k": 1 << 10, "/64k": 64 << 10, "/1m": 1 << 20} }

// startBackend starts the nginx that all proxies ask, on the core of the load.
func (b *bench) startBackend(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "backend")
	if err != nil {
		return err
	}
	for name, n := range sizes() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("x", n)), 0o600); err != nil {
			return err
		}
	}
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	at := net.JoinHostPort("127.0.0.1", port)
	path, err := config(dir, "nginx.conf", fmt.Sprintf(`daemon off; master_process off; worker_processes 1;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 16000; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; sendfile on; tcp_nopush on; client_max_body_size 0;
  client_body_temp_path %[1]s/body;
  server {
    listen %[2]s backlog=4096; root %[1]s; default_type text/plain;
    location /upload { return 200 "taken\n"; }
  }
}
`, dir, at))
	if err != nil {
		return err
	}
	b.backend, err = process.Start(ctx, process.Spec{Path: "nginx", Args: []string{"-c", path}, Network: "tcp", Address: at, Core: b.LoadCore})
	return err
}
