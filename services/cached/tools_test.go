package cached

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// Tools of libmemcached.
func TestMemcapable(t *testing.T) {
	labtest.Needs(t, "memccapable")
	in := start(t, "")
	host, port, _ := net.SplitHostPort(in.addr)
	out, err := exec.Command("memccapable", "-a", "-h", host, "-p", port).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "All tests passed") {
		t.Errorf("memccapable -a: %v\n%s", err, out)
	}
}

func TestMemcTools(t *testing.T) {
	labtest.Needs(t, "memccp", "memccat", "memcstat", "memcrm", "memcping")
	in := start(t, "")
	file := filepath.Join(t.TempDir(), "greeting")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(wantOK bool, want, tool string, args ...string) {
		t.Helper()
		out, err := exec.Command(tool, append([]string{"--servers=" + in.addr}, args...)...).CombinedOutput()
		if (err == nil) != wantOK || !strings.Contains(string(out), want) {
			t.Errorf("%s %v: %v, %q", tool, args, err, out)
		}
	}
	f(true, "", "memcping")
	f(true, "", "memccp", file)
	f(true, "hello", "memccat", "greeting")
	f(true, "curr_items: 1", "memcstat")
	f(true, "", "memcrm", "greeting")
	f(false, "", "memccat", "greeting")
}

const pymemcache = `
import sys
from pymemcache.client.base import Client
c = Client(("127.0.0.1", int(sys.argv[1])), default_noreply=False, timeout=10)
assert c.set("a", b"1", expire=100) and c.get("a") == b"1"
assert c.set_many({"k%d" % i: b"v" * i for i in range(200)}) == []
assert c.get_many(["k%d" % i for i in range(300)]) == {"k%d" % i: b"v" * i for i in range(200)}
v, token = c.gets("a")
assert c.cas("a", b"2", token) is True and c.cas("a", b"3", token) is False and c.cas("zz", b"1", token) is None
assert c.incr("a", 40) == 42 and c.decr("a", 2) == 40 and c.incr("zz", 1) is None
assert c.append("a", b"0") and c.prepend("a", b"1") and c.get("a") == b"1400"
assert c.add("a", b"x") is False and c.replace("zz", b"x") is False
assert c.touch("a", 10) and c.delete("a") and c.get("a") is None
assert c.stats()[b"curr_items"] == 200
assert c.flush_all() and c.get("k7") is None
c.quit()
`

func TestPymemcache(t *testing.T) {
	labtest.Needs(t, "python3")
	python := "/usr/bin/python3" // Debian's, which has Debian's modules
	if err := exec.Command(python, "-c", "import pymemcache").Run(); err != nil {
		t.Skip("SKIP-NEEDS: python3-pymemcache")
	}
	in := start(t, "")
	_, port, _ := net.SplitHostPort(in.addr)
	if out, err := exec.Command(python, "-c", pymemcache, port).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
