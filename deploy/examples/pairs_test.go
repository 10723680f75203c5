package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// program returns the daemon's binary.
func program(t *testing.T, daemon string) string {
	t.Helper()
	return labtest.BuildBinary(t, "github.com/everup/everup/services/"+daemon+"/cmd/"+daemon)
}

// etc is a directory that stands for /etc/everup, /var/lib/everup and /run/everup of a host, whose configurations lie in the directory from.
// The network is moved to the lab's: 10.0.0.0/24 to 10.77.0.0/24, fd00::/64 to fd77::/64.
func etc(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fleet.secret"), []byte("a-secret-of-enough-bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := strings.NewReplacer(
		"/etc/everup", dir, "/var/lib/everup", dir+"/lib", "/run/everup", dir+"/run", "10.0.0.", "10.77.0.", "fd00::", "fd77::")
	names, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", from, len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(moved.Replace(string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestConfigurations has the daemons check the files.
func TestConfigurations(t *testing.T) {
	for from, daemon := range map[string]string{
		"lbd-pair/lb1": "lbd", "lbd-pair/lb2": "lbd", "dnsd-pair/ns1": "dnsd", "dnsd-pair/ns2": "dnsd", "bond-vlan": "lbd", "lbd-dos": "lbd",
	} {
		file := filepath.Join(etc(t, from), daemon+".yaml")
		if out, err := exec.Command(program(t, daemon), "check", "-c", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", from, err, out)
		}
	}
}

// The two hosts of a pair differ in what is theirs, and in nothing else.
func TestPairsAgree(t *testing.T) {
	f := func(a, b string, own ...string) {
		t.Helper()
		read := func(name string) []string {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Split(string(b), "\n")
		}
		la, lb := read(a), read(b)
		if len(la) != len(lb) {
			t.Fatalf("%s has %d lines, %s %d", a, len(la), b, len(lb))
		}
		for i := range la {
			same := la[i] == lb[i]
			for _, key := range own {
				same = same || strings.HasPrefix(strings.TrimSpace(la[i]), key)
			}
			if !same {
				t.Errorf("line %d: %s has %q, %s has %q", i+1, a, la[i], b, lb[i])
			}
		}
	}
	f("lbd-pair/lb1/lbd.yaml", "lbd-pair/lb2/lbd.yaml", "# lbd of", "node:", "listen:", "routes:", "priority:")
	f("lbd-pair/lb1/10-lan.network", "lbd-pair/lb2/10-lan.network", "# /etc", "Address=")
	f("dnsd-pair/ns1/dnsd.yaml", "dnsd-pair/ns2/dnsd.yaml", "# dnsd of", "node:", "listen:", "routes:", "priority:", "peers:")
	f("dnsd-pair/ns1/shop.test.zone", "dnsd-pair/ns2/shop.test.zone")
	f("dnsd-pair/ns1/10-lan.network", "dnsd-pair/ns2/10-lan.network", "# /etc", "Address=")
}

// networkd runs systemd-networkd on the files of a directory, which it finds where it looks for its own, without udev: a read-only /sys
// tells it that links need not wait for that.
const networkd = `mount --make-rprivate / && mount -t sysfs -o ro sysfs /sys && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd /etc/systemd/network &&
mount --bind "$1" /etc/systemd/network && SYSTEMD_LOG_LEVEL=info SYSTEMD_LOG_TARGET=console exec /lib/systemd/systemd-networkd`

// TestNetworkd has systemd-networkd read the files, and do what they say where the kernel can.
func TestNetworkd(t *testing.T) {
	labtest.Needs(t, "unshare", "mount", "/lib/systemd/systemd-networkd")
	complaint := regexp.MustCompile(`(?i)unknown|ignoring|failed to parse|invalid|not recognized`)
	lab := labtest.New(t)
	f := func(dir, link string, want bool) {
		t.Helper()
		files := t.TempDir()
		for _, pattern := range []string{"*.network", "*.netdev"} {
			names, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, name := range names {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(files, filepath.Base(name)), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Chmod(files, 0o755); err != nil { // networkd gives up root
			t.Fatal(err)
		}
		h := lab.Host(strings.NewReplacer("/", ".", "-", ".").Replace(dir), lab.Default(), lab.Network())
		_, err := h.Output("ip", "link", "add", "dev", "try", "type", "bond")
		if err == nil {
			h.Run("ip", "link", "del", "try")
		}
		cans := err == nil || link == "eth0" // not every kernel has bonds
		p := h.Start("networkd", "unshare", "--mount", "bash", "-euc", networkd, "networkd", files)
		p.WaitLine("Enumeration completed", 10*time.Second)
		if cans && want {
			labtest.Eventually(t, 10*time.Second, dir+": "+link+" has its address", func() error {
				_, err := h.Output("sh", "-c", "ip -br addr show dev "+link+" | grep -E ' 10\\.0\\.0\\.[12]/24'")
				return err
			})
		}
		p.Terminate(10 * time.Second)
		var said []string
		for line := range strings.Lines(p.Output()) {
			if strings.Contains(line, "/etc/systemd/network/") && complaint.MatchString(line) {
				said = append(said, line)
			}
		}
		if (len(said) == 0) != want {
			t.Errorf("%s: systemd-networkd says %q", dir, said)
		}
	}
	for _, dir := range []string{"lbd-pair/lb1", "lbd-pair/lb2", "dnsd-pair/ns1", "dnsd-pair/ns2"} {
		f(dir, "eth0", true)
	}
	f("bond-vlan", "bond0.10", true)
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "1.network"), []byte("[Match]\nName=eth0\n[Network]\nKeepConfig=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f(bad, "eth0", false)
}

// Each example has a README that names its files and no others.
func TestReadmes(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	for _, dir := range []string{"lbd-pair", "dnsd-pair", "bond-vlan", "lbd-static", "lbd-dos", "lbd-pools", "lbd-tls", "lbd-grpc"} {
		text, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{"README.md": true}
		for _, m := range link.FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
		have := map[string]bool{}
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(dir, path)
				have[rel] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for name := range named {
			if !have[name] {
				t.Errorf("%s/README.md names %s, which is not there", dir, name)
			}
		}
		for name := range have {
			if !named[name] {
				t.Errorf("%s/README.md does not name %s", dir, name)
			}
		}
	}
}
