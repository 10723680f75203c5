package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// program is an lbd that runs as a process of its own.
type program struct {
	t    *testing.T
	path string
	file string // its configuration
	head string // what that begins with, whatever a test sets
}

// startProgram runs lbd with what is given for its configuration, which has it listen at addr, until it is ready.
func startProgram(t *testing.T, addr, config string) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{t: t, path: labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd"), file: filepath.Join(dir, "lbd.yaml"),
		head: fmt.Sprintf("node: n1\nstate: %[1]s/state\nadmin: {socket: %[1]s/sock}\n", dir)}
	p.set(config)
	run(t, addr, p.path, "run", "-c", p.file)
	labtest.Eventually(t, patience, "lbd is ready", func() error {
		var s struct{ Ready bool }
		out, err := p.verb("status", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err == nil && !s.Ready {
			err = errors.New(out)
		}
		return err
	})
	return p
}

// set writes the configuration, which counts from the next reload.
func (p *program) set(config string) {
	p.t.Helper()
	write(p.t, p.file, p.head+config)
}

// reload puts a configuration in force.
func (p *program) reload(config string) {
	p.t.Helper()
	p.set(config)
	if out, err := p.verb("reload"); err != nil {
		p.t.Fatalf("reload: %v\n%s", err, out)
	}
}

// verb runs lbd for a command to the one that runs.
func (p *program) verb(args ...string) (string, error) {
	out, err := exec.Command(p.path, append(args, "-c", p.file)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("lbd %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// poolYAML is a pool of members.
func poolYAML(more string, members ...string) string {
	return fmt.Sprintf("{%s members: [{addr: '%s'}]}", more, strings.Join(members, "'}, {addr: '"))
}

// certificate is a pair of files as a section of tls has it.
func certificate(c *labtest.Certs) string {
	return fmt.Sprintf("{cert: %q, key: %q}", c.CertFile, c.KeyFile)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
