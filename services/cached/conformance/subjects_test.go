// Package conformance holds what cached must have in common with memcached: the same conversations, and the same clients. It is
// made of tests alone. Each test runs against each subject, memcached itself being the first: a test that memcached fails is wrong.
package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/shared/labtest"
)

// program is a server that the tests run against, with memcached's flags.
type program struct {
	name  string
	start func(t testing.TB, o oracletest.Options) *oracletest.Server
	kinds []oracletest.Kind // what it speaks
	flags bool              // it takes memcached's flags
}

// programs are memcached and cached.
func programs() []program {
	return []program{
		{"memcached", oracletest.Start, oracletest.Kinds(), true},
		{"cached", startCached, oracletest.Kinds(), true},
		{"cached by configuration", startConfigured, []oracletest.Kind{oracletest.Text}, false},
	}
}

// cachedBinary is built from the source, or the one in EVERUP_BIN.
func cachedBinary(t testing.TB) string {
	t.Helper()
	return labtest.BuildBinary(t, "github.com/everup/everup/services/cached/cmd/cached")
}

// startCached runs cached with memcached's flags.
func startCached(t testing.TB, o oracletest.Options) *oracletest.Server {
	t.Helper()
	bin := cachedBinary(t)
	if err := exec.Command(bin, "-V").Run(); err != nil {
		t.Skipf("%s takes no flags of memcached: -V: %v", bin, err)
	}
	return oracletest.Program(t, bin, o)
}

// startConfigured runs cached with a configuration of the suite's, on a unix socket or a TCP port.
func startConfigured(t testing.TB, o oracletest.Options) *oracletest.Server {
	t.Helper()
	if len(o.Args) > 0 || o.UDP {
		t.Skip("flags are given by flags")
	}
	dir := t.TempDir()
	network, addr := "unix", filepath.Join(dir, "s")
	listen := "unix:" + addr
	if o.TCP {
		network, addr = "tcp", labtest.FreeAddr(t)
		listen = addr
	}
	file := filepath.Join(dir, "cached.yaml")
	conf := fmt.Sprintf("node: n1\nstate: %[1]s/state\nadmin: {socket: %[1]s/admin}\nlisten: ['%[2]s']\n", dir, listen)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return oracletest.Run(t, exec.Command(cachedBinary(t), "run", "-c", file), network, addr)
}

// forEach runs f as a subtest against each program.
func forEach(t *testing.T, f func(t *testing.T, p program)) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) { f(t, p) })
	}
}

// dial connects to a server until the test ends, with a deadline for all that is said.
func dial(t testing.TB, s *oracletest.Server) net.Conn {
	t.Helper()
	c := s.Dial(t)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}
