// Package deploy_test holds what is checked of the products as a whole.
package deploy_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

const root = "github.com/everup/everup/"

// product is a binary and what it may weigh. The sizes are of stripped binaries in MiB and a little above what they are
// now: raising one is a decision, made in review.
type product struct {
	pkg     string
	mib     int
	modules int      // transitive modules linked
	forbid  []string // import paths, or their beginnings, that must not be linked
}

// Everywhere forbidden: test code, what only tests compare with, and what only a neighbour needs. (simplelru of the first golang-lru comes with
// memberlist; arc and the second do not.)
var never = []string{
	"testing", "github.com/google/go-cmp", root + "shared/labtest", "github.com/rogpeppe/go-internal", "github.com/bradfitz/gomemcache",
	"github.com/maypok86/otter", "github.com/hashicorp/golang-lru/arc", "github.com/hashicorp/golang-lru/v2", "github.com/ulikunitz/xz",
	root + "services/cached/internal/oracletest", root + "services/cached/internal/carriertest", root + "services/cached/internal/evict/sim",
}

func products() []product {
	const (
		ebpf  = "github.com/cilium/ebpf"
		quic  = "github.com/quic-go"
		mysql = "github.com/go-sql-driver/mysql"
		kv    = "github.com/cockroachdb/pebble"
		raft  = "github.com/hashicorp/raft"
		redis = "github.com/tidwall/redcon"
		link  = "github.com/vishvananda/netlink"
	)
	return []product{
		{root + "services/lbd/cmd/lbd", 32, 32, []string{kv, raft, redis}},
		// What dnsd's virtual addresses depend on may be any check that there is, of MySQL too.
		{root + "services/dnsd/cmd/dnsd", 28, 32, []string{ebpf, quic, kv, raft, redis}},
		// cached has five modules that the others do not have: redcon with tidwall's btree and match for RESP, xxh3 and cpuid for hashes.
		{root + "services/cached/cmd/cached", 27, 35, []string{ebpf, quic, mysql, kv, raft, link}},
		{root + "services/storaged/cmd/storaged", 27, 30, []string{ebpf, quic, mysql, redis, link}},
		{root + "services/logd/cmd/logd", 27, 30, []string{ebpf, quic, mysql, kv, raft, redis, link}},
		{root + "deploy/cmd/everup", 27, 32, []string{ebpf, quic, mysql, kv, raft, redis}},
	}
}

// goList prints one line per package that pkg links: its import path and its module.
func goList(t *testing.T, pkg string) (packages, modules map[string]bool) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}", pkg).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	packages, modules = map[string]bool{}, map[string]bool{}
	in := bufio.NewScanner(bytes.NewReader(out))
	for in.Scan() {
		path, module, _ := strings.Cut(in.Text(), " ")
		packages[path] = true
		if module != "" && !strings.HasPrefix(module, root) {
			modules[module] = true
		}
	}
	return packages, modules
}

func TestWhatBinariesLink(t *testing.T) {
	for _, p := range products() {
		packages, modules := goList(t, p.pkg)
		if !packages[p.pkg] {
			t.Fatalf("go list does not list %s itself", p.pkg)
		}
		for path := range packages {
			for _, bad := range append(p.forbid, never...) {
				if path == bad || strings.HasPrefix(path, bad+"/") {
					t.Errorf("%s links %s", p.pkg, path)
				}
			}
		}
		if len(modules) > p.modules {
			t.Errorf("%s links %d modules of others, more than %d", p.pkg, len(modules), p.modules)
		}
		t.Logf("%s: %d packages, %d modules of others", p.pkg, len(packages), len(modules))
	}
}

func TestBinarySizes(t *testing.T) {
	if os.Getenv("EVERUP_BIN") == "" {
		t.Skip("SKIP-NEEDS: binaries built by make (EVERUP_BIN)")
	}
	for _, p := range products() {
		st, err := os.Stat(labtest.BuildBinary(t, p.pkg))
		if err != nil {
			t.Fatal(err)
		}
		if mib := float64(st.Size()) / (1 << 20); mib > float64(p.mib) {
			t.Errorf("%s has %.1f MiB, more than %d", p.pkg, mib, p.mib)
		} else {
			t.Logf("%s: %.1f MiB", p.pkg, mib)
		}
	}
}
