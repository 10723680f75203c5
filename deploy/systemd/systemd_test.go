package systemd

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/everup/everup/deploy/examples"
	"github.com/everup/everup/shared/labtest"
)

var daemons = []string{"lbd", "dnsd", "cached", "storaged", "logd"}

// withVIPs are the daemons that offer virtual addresses.
var withVIPs = []string{"lbd", "dnsd"}

// read returns a shipped file.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// values returns what a unit says for a key, in order.
func values(unit, key string) (out []string) {
	for line := range strings.Lines(unit) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			out = append(out, v)
		}
	}
	return out
}

// install writes the units into a directory as if a program were installed for each; dropins says whether those come along.
func install(t *testing.T, dropins bool) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("everup.slice", read(t, "everup.slice"))
	for _, d := range daemons {
		write(d+".service", strings.ReplaceAll(read(t, d+".service"), "/usr/bin/"+d+" ", "/bin/true "))
		if dropins {
			write(d+".service.d/secret.conf", read(t, "dropins/secret.conf"))
		}
	}
	if dropins {
		write("lbd.service.d/icmp.conf", read(t, "dropins/lbd-icmp.conf"))
		write("lbd.service.d/l4.conf", read(t, "dropins/lbd-l4.conf"))
		for _, d := range withVIPs {
			write(d+".service.d/vip.conf", read(t, "dropins/vip.conf"))
		}
	}
	return dir
}

// TestVerify has systemd read the units: it must not have a word to say.
func TestVerify(t *testing.T) {
	labtest.Needs(t, "systemd-analyze")
	f := func(name, dir string, clean bool) {
		t.Helper()
		args := []string{"verify", "--man=no", filepath.Join(dir, "everup.slice")}
		for _, d := range daemons {
			args = append(args, filepath.Join(dir, d+".service"))
		}
		cmd := exec.Command("systemd-analyze", args...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		if got := err == nil && len(bytes.TrimSpace(out)) == 0; got != clean {
			t.Errorf("%s: clean %v, want %v: %v\n%s", name, got, clean, err, out)
		}
	}
	f("as shipped", install(t, false), true)
	f("with drop-ins", install(t, true), true)
	bad := install(t, false)
	if err := os.WriteFile(filepath.Join(bad, "lbd.service"), []byte("[Service]\nExecStart=/bin/true\nWatchDog=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f("with a key that is none", bad, false)
}

// TestExposure bounds what systemd thinks of the sandboxes, 0 being closed and 10 open.
func TestExposure(t *testing.T) {
	labtest.Needs(t, "systemd-analyze")
	level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	f := func(dir, d, threshold string) {
		t.Helper()
		cmd := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+threshold, "--no-pager", filepath.Join(dir, d+".service"))
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		m := level.FindSubmatch(out)
		if err != nil || m == nil {
			t.Errorf("%s: %v\n%s", d, err, out)
			return
		}
		t.Logf("exposure of %s: %s", d, m[1])
	}
	plain, all := install(t, false), install(t, true)
	for _, d := range daemons {
		f(plain, d, "25")
	}
	for _, d := range withVIPs {
		f(all, d, "30")
	}
}

// TestDirectories: a directory that two units name is removed, or given to the other's user, by either.
func TestDirectories(t *testing.T) {
	seen := map[string]string{}
	for _, d := range daemons {
		unit := read(t, d+".service")
		for _, key := range []string{"StateDirectory", "RuntimeDirectory", "LogsDirectory"} {
			for _, v := range values(unit, key) {
				if !strings.HasPrefix(v, "everup/") || seen[key+v] != "" {
					t.Errorf("%s: %s=%s is not its own (also of %q)", d, key, v, seen[key+v])
				}
				seen[key+v] = d
			}
		}
		user := values(unit, "User")
		if slices.Contains(values(unit, "DynamicUser"), "yes") == (len(user) > 0) {
			t.Errorf("%s has a dynamic user and one of its own, or neither", d)
		}
		for _, u := range user {
			if !strings.Contains(read(t, "everup.sysusers"), "u "+u+" ") {
				t.Errorf("%s: user %s is not made by everup.sysusers", d, u)
			}
		}
	}
}

// TestWarm: what the configuration allows, the unit allows: as many connections, and items that are there after a stop and a start.
func TestWarm(t *testing.T) {
	unit := read(t, "cached.service")
	if got := values(unit, "RuntimeDirectoryPreserve"); !slices.Equal(got, []string{"yes"}) {
		t.Errorf("the directory of the items is kept: %q", got)
	}
	n, err := strconv.Atoi(strings.Join(values(unit, "LimitNOFILE"), ","))
	if err != nil || n < 1_000_000+64 || n > 1<<20 { // the kernel's fs.nr_open, unless it was raised
		t.Errorf("LimitNOFILE %d, %v", n, err)
	}
	example, err := fs.ReadFile(examples.OneHost(), "cached.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^#?warm: /run/(\S+)/\w+$`).FindSubmatch(example)
	if m == nil || !slices.Equal(values(unit, "RuntimeDirectory"), []string{string(m[1])}) {
		t.Errorf("the example keeps the items in %q, the unit's directory is %q", m, values(unit, "RuntimeDirectory"))
	}
}

// TestSysusers has the programs read their files in a root of its own.
func TestSysusers(t *testing.T) {
	labtest.Needs(t, labtest.Root, "systemd-sysusers", "systemd-tmpfiles")
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := func(program, file string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), file+".conf")
		if err := os.WriteFile(path, []byte(read(t, file)), 0o644); err != nil {
			t.Fatal(err)
		}
		args := []string{"--root=" + root, path}
		if program == "systemd-tmpfiles" {
			args = append([]string{"--create"}, args...)
		}
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, out)
		}
	}
	f("systemd-sysusers", "everup.sysusers")
	f("systemd-tmpfiles", "everup.tmpfiles")
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil || !bytes.Contains(users, []byte("everup-storaged:")) || !bytes.Contains(users, []byte("everup-logd:")) {
		t.Errorf("users: %v\n%s", err, users)
	}
	if st, err := os.Stat(filepath.Join(root, "run/everup")); err != nil || !st.IsDir() {
		t.Errorf("/run/everup: %v", err)
	}
}
