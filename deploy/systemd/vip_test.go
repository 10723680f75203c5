package systemd

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// sandbox is what a unit with its drop-in lets a process do.
type sandbox struct {
	capabilities []string // net_admin
	families     []string // AF_INET
	calls        map[string]bool
}

// newSandbox reads a unit and its drop-in as systemd.exec(5) says: lists add up, those that begin with ~ take away.
func newSandbox(t *testing.T, unit string) sandbox {
	t.Helper()
	s := sandbox{calls: map[string]bool{}}
	for _, v := range values(unit, "AmbientCapabilities") {
		for _, c := range strings.Fields(v) {
			s.capabilities = append(s.capabilities, strings.ToLower(strings.TrimPrefix(c, "CAP_")))
		}
	}
	for _, v := range values(unit, "RestrictAddressFamilies") {
		s.families = append(s.families, strings.Fields(v)...)
	}
	for _, v := range values(unit, "SystemCallFilter") {
		names, takes := strings.CutPrefix(v, "~")
		for _, name := range strings.Fields(names) {
			for _, call := range expand(t, name) {
				s.calls[call] = !takes
			}
		}
	}
	return s
}

// expand returns the system calls of a group such as @system-service, or the one call.
func expand(t *testing.T, name string) (out []string) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	b, err := exec.Command("systemd-analyze", "syscall-filter", name).Output()
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter %s: %v", name, err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line != name {
			out = append(out, expand(t, line)...)
		}
	}
	return out
}

// command returns a program with the capabilities of the sandbox and no other, as a user who is not root.
func (s sandbox) command(program string, args ...string) *exec.Cmd {
	plus := func(before string) string {
		return before + "+" + strings.Join(s.capabilities, ",+")
	}
	return exec.Command("setpriv", append([]string{
		"--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
		"--bounding-set=" + plus("-all,"), "--inh-caps=" + plus("-all,"), "--ambient-caps=" + plus("-all,"), "--", program,
	}, args...)...)
}

// TestVIPSandbox runs a daemon with a virtual address with what unit and drop-in give it: that is enough to hold the address and to give
// it up, and all that it and its VRRP process ask of the kernel is within the filter.
func TestVIPSandbox(t *testing.T) {
	labtest.Needs(t, "systemd-analyze", "setpriv", "strace")
	lab := labtest.New(t)
	for _, d := range withVIPs {
		t.Run(d, func(t *testing.T) {
			h := lab.Host(d)
			box := newSandbox(t, read(t, d+".service")+read(t, "dropins/vip.conf"))
			dir, err := os.MkdirTemp("/tmp", "everup-unit-") // the user must reach it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			text := fmt.Sprintf("node: n1\nstate: %[1]s/state\nadmin: {socket: %[1]s/sock}\n%[2]svips: {a: {interface: eth0, vrid: 5, addresses: [10.77.0.200/24, 'fd77::200/64'], interval: 1s}}\n",
				dir, configs[d])
			conf := filepath.Join(dir, d+".yaml")
			if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(dir, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			trace := filepath.Join(dir, "trace")
			program := filepath.Join(dir, d) // a copy, for the user cannot reach where it was built
			if out, err := exec.Command("cp", labtest.BuildBinary(t, "github.com/everup/everup/services/"+d+"/cmd/"+d), program).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			p := h.StartCmd(d, box.command("strace", "-f", "-qq", "-o", trace, program, "run", "-c", conf))
			held := func(want bool) {
				t.Helper()
				labtest.Eventually(t, 30*time.Second, fmt.Sprintf("the address is held: %v", want), func() error {
					out := h.Run("ip", "-br", "addr", "show", "dev", "eth0")
					if strings.Contains(out, " 10.77.0.200/") != want || strings.Contains(out, " fd77::200/") != want {
						return fmt.Errorf("%s", out)
					}
					return nil
				})
			}
			held(true)
			pid := strings.TrimSpace(h.Run("pgrep", "-P", fmt.Sprint(p.Pid())))
			h.Run("kill", "-TERM", pid) // strace passes nothing on
			if code := p.Wait(30 * time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
			held(false)
			box.judge(t, trace)
		})
	}
}

var (
	callRE   = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\(`)
	socketRE = regexp.MustCompile(`^\d+ +socket\((\w+),`)
)

// judge compares what strace wrote with the sandbox.
func (s sandbox) judge(t *testing.T, trace string) {
	t.Helper()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]bool{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if m := callRE.FindStringSubmatch(in.Text()); m != nil && !seen[m[1]] {
			seen[m[1]] = true
			if !s.calls[m[1]] {
				t.Errorf("SystemCallFilter does not let through: %s", in.Text())
			}
		}
		if m := socketRE.FindStringSubmatch(in.Text()); m != nil && !slices.Contains(s.families, m[1]) {
			t.Errorf("RestrictAddressFamilies does not let through: %s", in.Text())
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"sched_setattr", "mlockall", "pidfd_open"} { // the VRRP process was seen
		if !seen[call] {
			t.Errorf("no %s in the trace: who was traced?", call)
		}
	}
}
