package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

const lbdReadme = "services/lbd/README.md"

// Every snippet of lbd's document runs: configurations are accepted, the first is served, and commands succeed against it.
func TestLbdDocument(t *testing.T) {
	labtest.Needs(t, "bash", "curl")
	bin := os.Getenv("EVERUP_BIN")
	if bin == "" {
		t.Skip("SKIP-NEEDS: binaries built by make (EVERUP_BIN)")
	}
	dir := t.TempDir()
	port := func() string { return strconv.Itoa(labtest.FreePort(t)) }
	certs := labtest.NewCerts(t, "www.example.com")
	moves := strings.NewReplacer("/var/log/everup", dir, "/etc/everup/tls/ca.pem", certs.CAFile, "/etc/everup/tls/cert.pem", certs.CertFile, "/etc/everup/tls/key.pem", certs.KeyFile, "127.0.0.1:9001", webSite(t), "127.0.0.1:9002", webSite(t), "8080", port(), "7901", port(), "1514", port())
	env := append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "CONFIGURATION_DIRECTORY="+dir, "RUNTIME_DIRECTORY="+dir,
		"STATE_DIRECTORY="+filepath.Join(dir, "state"))
	run := func(line string) ([]byte, error) {
		c := exec.CommandContext(t.Context(), "timeout", "20", "bash", "-c", "set -o pipefail; "+moves.Replace(line))
		c.Dir, c.Env = dir, env
		return c.CombinedOutput()
	}
	all := blocks(t, lbdReadme)
	configs := 0
	for _, b := range all {
		if b.info != "yaml lbd" {
			continue
		}
		file := filepath.Join(dir, fmt.Sprintf("lbd-%d.yaml", configs))
		if err := os.WriteFile(file, []byte(moves.Replace(b.text)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := run("lbd check -c " + file); err != nil {
			t.Errorf("lbd check: %v\n%s\n%s", err, out, b.text)
		}
		configs++
	}
	if err := os.Rename(filepath.Join(dir, "lbd-0.yaml"), filepath.Join(dir, "lbd.yaml")); err != nil {
		t.Fatal(err)
	}
	serveLbd(t, dir, env, moves.Replace("http://127.0.0.1:7901/readyz"))
	for _, b := range all {
		switch b.info {
		case "sh":
			for _, line := range b.lines() {
				out, err := run(line)
				if err != nil {
					t.Errorf("%q: %v\n%s", line, err, out)
				}
				t.Logf("%s\n%s", line, out[:min(len(out), 1500)])
			}
		case "yaml lbd":
		default:
			t.Errorf("a snippet of kind %q is not run", b.info)
		}
	}
	if log, err := os.ReadFile(filepath.Join(dir, "lbd-access.log")); err != nil || !bytes.Contains(log, []byte(`"GET / HTTP/1.1" 200 `)) {
		t.Errorf("the access log: %v\n%s", err, log)
	}
}

// webSite runs a server of the document's pool.
func webSite(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	ended := make(chan struct{})
	go func() { defer close(ended); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	return l.Addr().String()
}

// serveLbd runs lbd until the test ends, and returns when it is ready. It must end in order.
func serveLbd(t *testing.T, dir string, env []string, ready string) {
	t.Helper()
	c := exec.Command("bash", "-c", "exec lbd run")
	c.Dir, c.Env = dir, env
	log := &bytes.Buffer{}
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil || t.Failed() {
				t.Errorf("lbd ended with %v\n%s", err, log)
			}
		case <-time.After(30 * time.Second):
			c.Process.Kill()
			t.Errorf("lbd does not end; %v\n%s", <-ended, log)
		}
	})
	labtest.Eventually(t, 20*time.Second, "lbd is ready", func() error {
		res, err := http.Get(ready)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
}
