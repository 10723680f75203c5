package lbd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// program is an lbd that runs as a process of its own, from a copy of the binary that can be replaced.
type program struct {
	t    *testing.T
	dir  string
	path string // of the copy
	addr string
	cmd  *exec.Cmd // the first process
}

// startProgram runs lbd in front of a member until it serves; how is what its listener says beside its address, and more is added to its
// configuration. It and its successors are killed with the test.
func startProgram(t *testing.T, node, member, how, more string) *program {
	t.Helper()
	p := newProgram(t)
	p.configure(fmt.Sprintf("node: %s\nlisten: [{addr: %q%s}]\nroutes: [{pool: web}]\npools: {web: {members: [{addr: %q}]}}\n", node, p.addr, how, member) + more)
	t.Cleanup(p.end)
	p.start()
	return p
}

// newProgram returns a program that does not run yet.
func newProgram(t *testing.T) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", labtest.FreePort(t))}
	p.path = filepath.Join(p.dir, "lbd")
	p.install(labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd"))
	return p
}

// configure writes the file.
func (p *program) configure(yaml string) {
	p.t.Helper()
	text := fmt.Sprintf("state: %[1]s/state\nadmin: {socket: %[1]s/sock}\n", p.dir) + yaml
	if err := os.WriteFile(p.file(), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// start runs it until it serves.
func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, "run", "-c", p.file())
	// Successors write there, too: a file, so that nobody waits for the last of them.
	log, err := os.OpenFile(p.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr, p.cmd.Stdout = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	labtest.Eventually(p.t, patience, "lbd is ready", func() error {
		_, err := p.pid()
		return err
	})
}

func (p *program) log() string { return filepath.Join(p.dir, "log") }

func (p *program) file() string { return filepath.Join(p.dir, "lbd.yaml") }

// install puts a program in the place of the copy, as a package manager does.
func (p *program) install(from string) {
	p.t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(p.path+".new", b, 0o755)
	}
	if err == nil {
		err = os.Rename(p.path+".new", p.path)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// script is install of a shell script.
func (p *program) script(text string) {
	p.t.Helper()
	from := filepath.Join(p.dir, "script")
	if err := os.WriteFile(from, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.install(from)
}

// lbd runs a verb of the real program.
func (p *program) lbd(args ...string) (string, error) {
	out, err := exec.Command(labtest.BuildBinary(p.t, "github.com/everup/everup/services/lbd/cmd/lbd"), append(args, "-c", p.file())...).CombinedOutput()
	return string(out), err
}

// reload puts texts in the places of others in the configuration, each after the one that it is for, and has it read.
func (p *program) reload(fromTo ...string) {
	p.t.Helper()
	text := string(readFile(p.t, p.file()))
	for i := 0; i < len(fromTo); i += 2 {
		if !strings.Contains(text, fromTo[i]) {
			p.t.Fatalf("the configuration has no %s:\n%s", fromTo[i], text)
		}
		text = strings.Replace(text, fromTo[i], fromTo[i+1], 1)
	}
	if err := os.WriteFile(p.file(), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if out, err := p.lbd("reload"); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pid returns the process that serves, once it is ready.
func (p *program) pid() (int, error) {
	out, err := p.lbd("status", "-o", "json")
	if err != nil {
		return 0, errors.New(out)
	}
	var s struct {
		PID   int  `json:"pid"`
		Ready bool `json:"ready"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return 0, err
	}
	if !s.Ready {
		return 0, errors.New("not ready")
	}
	return s.PID, nil
}

// inFleet reports whether the daemon sees two members, and has the bus.
func (p *program) inFleet() error {
	out, err := p.lbd("status")
	if err == nil && (!strings.Contains(out, "2 members, bus ") || strings.Contains(out, "bus connecting")) {
		err = errors.New(out)
	}
	return err
}

// end kills whoever still runs, and shows what was said if the test failed.
func (p *program) end() {
	if pid, err := p.pid(); err == nil && pid != p.cmd.Process.Pid {
		syscall.Kill(pid, syscall.SIGKILL) // the successor, which nobody waits for but init
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if p.t.Failed() {
		b, _ := os.ReadFile(p.log())
		p.t.Logf("the daemon said:\n%s", b)
	}
}

// echoes is a member that answers requests, and echoes what comes after an upgrade.
func echoes(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, "page")
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, rw)
	})}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}
