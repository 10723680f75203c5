package conformance

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/shared/labtest"
)

// These are the clients that people have. Each script does what is in its language's way: set, get, cas, counting, many keys at
// once, expiry, a large value and, where the client can, keys of any bytes.

// python is Debian's, which has Debian's modules.
const python = "/usr/bin/python3"

var (
	//go:embed testdata/clients/pymemcache.py
	pymemcache string
	//go:embed testdata/clients/pylibmc.py
	pylibmc string
	//go:embed testdata/clients/bmemcached.py
	bmemcached string
	//go:embed testdata/clients/memjs.js
	memjs string
)

// needsModule skips the test where Debian's python lacks a module.
func needsModule(t *testing.T, module, pkg string) {
	t.Helper()
	labtest.Needs(t, python)
	if exec.Command(python, "-c", "import "+module).Run() == nil {
		return
	}
	if os.Getenv("EVERUP_NO_SKIP") == "1" {
		t.Fatalf("SKIP-NEEDS: %s (and EVERUP_NO_SKIP=1)", pkg)
	}
	t.Skip("SKIP-NEEDS: " + pkg)
}

// tcp starts a program on a TCP port; speaks says what the client needs of it.
func (p program) tcp(t *testing.T, speaks ...oracletest.Kind) (host, port string) {
	t.Helper()
	for _, k := range speaks {
		known := false
		for _, have := range p.kinds {
			known = known || have == k
		}
		if !known {
			t.Skipf("%s does not speak %s", p.name, k)
		}
	}
	s := p.start(t, oracletest.Options{TCP: true})
	host, port, _ = strings.Cut(s.Addr, ":")
	return host, port
}

// run runs a client's program, which has to succeed.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

func TestPymemcache(t *testing.T) {
	needsModule(t, "pymemcache", "python3-pymemcache")
	forEach(t, func(t *testing.T, p program) {
		host, port := p.tcp(t, oracletest.Text)
		run(t, exec.Command(python, "-c", pymemcache, host, port))
	})
}

func TestPylibmc(t *testing.T) {
	needsModule(t, "pylibmc", "python3-pylibmc")
	for _, protocol := range []oracletest.Kind{oracletest.Text, oracletest.Binary} {
		t.Run(string(protocol), func(t *testing.T) {
			forEach(t, func(t *testing.T, p program) {
				host, port := p.tcp(t, protocol)
				run(t, exec.Command(python, "-c", pylibmc, host, port, string(protocol)))
			})
		})
	}
}

func TestBmemcached(t *testing.T) {
	needsModule(t, "bmemcached", "python3-binary-memcached")
	forEach(t, func(t *testing.T, p program) {
		host, port := p.tcp(t, oracletest.Binary)
		run(t, exec.Command(python, "-c", bmemcached, host, port))
	})
}

// memjs comes from npm, once for all programs; without the network there is none.
func TestMemjs(t *testing.T) {
	labtest.Needs(t, "node", "npm")
	dir := t.TempDir()
	install := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "memjs@1.3.2")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("SKIP-NEEDS: memjs from npm: %v: %.500s", err, out)
	}
	file := filepath.Join(dir, "client.js")
	if err := os.WriteFile(file, []byte(memjs), 0o600); err != nil {
		t.Fatal(err)
	}
	forEach(t, func(t *testing.T, p program) {
		host, port := p.tcp(t, oracletest.Binary)
		run(t, exec.Command("node", file, host, port))
	})
}

// Libmemcached's check of a server: 27 tests of each protocol.
func TestMemccapable(t *testing.T) {
	labtest.Needs(t, "memccapable")
	for flag, kind := range map[string]oracletest.Kind{"-a": oracletest.Text, "-b": oracletest.Binary} {
		t.Run(string(kind), func(t *testing.T) {
			forEach(t, func(t *testing.T, p program) {
				host, port := p.tcp(t, kind)
				out := run(t, exec.Command("memccapable", flag, "-h", host, "-p", port))
				if n := strings.Count(out, "[pass]"); n != 27 || !strings.Contains(out, "All tests passed") {
					t.Errorf("%d of 27 passed:\n%s", n, out)
				}
			})
		})
	}
}

// Libmemcached's commands.
func TestLibmemcachedTools(t *testing.T) {
	labtest.Needs(t, "memccp", "memccat", "memcstat", "memcrm", "memcping", "memcexist", "memctouch", "memcflush")
	forEach(t, func(t *testing.T, p program) {
		for _, flags := range [][]string{nil, {"--binary"}} {
			kind := oracletest.Text
			if flags != nil {
				kind = oracletest.Binary
			}
			t.Run(string(kind), func(t *testing.T) {
				host, port := p.tcp(t, kind)
				libmemcachedTools(t, host+":"+port, flags)
			})
		}
	})
}

func libmemcachedTools(t *testing.T, addr string, flags []string) {
	dir := t.TempDir()
	small, large := filepath.Join(dir, "greeting"), filepath.Join(dir, "large")
	for file, content := range map[string]string{small: "hello", large: strings.Repeat("x", 900_000)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(wantOK bool, want, tool string, args ...string) {
		t.Helper()
		args = append([]string{"--servers=" + addr}, args...)
		if tool != "memcping" { // it has no --binary
			args = append(flags[:len(flags):len(flags)], args...)
		}
		out, err := exec.Command(tool, args...).CombinedOutput()
		if (err == nil) != wantOK || !strings.Contains(string(out), want) {
			t.Errorf("%s %v: %v, %.300q", tool, args, err, out)
		}
	}
	f(true, "", "memcping")
	f(true, "", "memccp", small, large)
	f(true, "hello", "memccat", "greeting")
	f(true, strings.Repeat("x", 900_000), "memccat", "large")
	f(true, "", "memcexist", "greeting")
	f(false, "", "memcexist", "absent")
	f(true, "", "memctouch", "--expire=1000", "greeting")
	f(true, "curr_items: ", "memcstat")
	f(true, "", "memcrm", "greeting")
	f(false, "", "memccat", "greeting")
	f(true, "", "memcflush")
	f(false, "", "memccat", "large")
}
