package mcflags

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// oracle is Debian's memcached, started with one command line.
type oracle struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	env  map[string]string
}

// yard is a directory with the files that command lines speak of.
func yard(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	certs := labtest.NewCerts(t)
	copyFile(t, filepath.Join(dir, "cert.pem"), certs.CertFile)
	copyFile(t, filepath.Join(dir, "key.pem"), certs.KeyFile)
	write(t, filepath.Join(dir, "auth"), "bob:secret\n")
	write(t, filepath.Join(dir, "memcached.conf"), "mech_list: plain\n") // Cyrus SASL's
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b))
}

// environment is what both are given.
func environment(dir string) map[string]string {
	return map[string]string{
		EnvPortFile:      filepath.Join(dir, "ports"),
		EnvSASLDatabase:  filepath.Join(dir, "auth"),
		"SASL_CONF_PATH": dir,
	}
}

func startOracle(t *testing.T, dir string, args []string) *oracle {
	t.Helper()
	o := &oracle{done: make(chan struct{}), env: environment(dir)}
	o.cmd = exec.Command("memcached", append([]string{"-u", "root"}, args...)...)
	o.cmd.Dir = dir
	for k, v := range o.env {
		o.cmd.Env = append(o.cmd.Env, k+"="+v)
	}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		o.cmd.Wait() // how it ended is in ProcessState
		close(o.done)
	}()
	t.Cleanup(func() {
		o.cmd.Process.Kill() // fails only if it is dead
		<-o.done
	})
	return o
}

// up waits until memcached either listens or has ended, and says which.
func (o *oracle) up(t *testing.T, socket string) bool {
	t.Helper()
	ended := false
	labtest.Eventually(t, 20*time.Second, "memcached listens or ends", func() error {
		select {
		case <-o.done:
			ended = true
			return nil
		default:
		}
		if socket != "" {
			c, err := net.Dial("unix", socket)
			if err == nil {
				c.Close()
			}
			return err
		}
		_, err := os.Stat(o.env[EnvPortFile])
		return err
	})
	return !ended
}

// settings asks for `stats settings`, nil where nothing speaks plain text.
func (o *oracle) settings(t *testing.T, opt *Options) []Setting {
	t.Helper()
	network, addr := "unix", opt.Socket
	if addr == "" {
		network, addr = "tcp", o.textAddr(opt)
	}
	if addr == "" {
		return nil
	}
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("stats settings\r\n")); err != nil {
		t.Fatal(err)
	}
	var out []Setting
	for in := bufio.NewScanner(c); in.Scan() && in.Text() != "END"; {
		word := strings.SplitN(in.Text(), " ", 3)
		if len(word) < 3 || word[0] != "STAT" {
			t.Fatalf("stats settings: %q", in.Text())
		}
		out = append(out, Setting{word[1], word[2]})
	}
	return out
}

// textAddr is where the first TCP listener is when it speaks text without authentication and TLS.
func (o *oracle) textAddr(opt *Options) string {
	listeners := opt.TCP()
	if len(listeners) == 0 || listeners[0].Protocol == Binary || opt.AuthFile != "" || opt.TLS.Enabled {
		return ""
	}
	network, port, _ := strings.Cut(strings.SplitN(o.portFile(), "\n", 2)[0], ": ")
	if network == "TCP INET6" {
		return "[::1]:" + port
	}
	return "127.0.0.1:" + port
}

func (o *oracle) portFile() string {
	b, _ := os.ReadFile(o.env[EnvPortFile]) // with -s there is none
	return string(b)
}

// TestOracle compares, for each of the vectors, whether it is accepted, what is listened on and all of `stats settings`.
func TestOracle(t *testing.T) {
	labtest.Needs(t, "memcached")
	dir := yard(t)
	for i, v := range vectors {
		t.Run(strconv.Itoa(i)+strings.ReplaceAll(strings.Join(v.args, "_"), "/", "|"), func(t *testing.T) {
			compareOne(t, dir, v)
		})
		for _, f := range []string{"ports", "ports.lck", "s", "mem", "ext", "pid"} {
			os.RemoveAll(filepath.Join(dir, f))
		}
	}
}

func compareOne(t *testing.T, dir string, v vector) {
	var args []string
	if !v.bare {
		args = []string{"-p", "-1", "-l", "127.0.0.1"}
	}
	for _, a := range v.args {
		args = append(args, strings.ReplaceAll(a, "@", dir))
	}
	mine, err := Parse(args, func(k string) string { return environment(dir)[k] })
	socket := ""
	if err == nil {
		socket = mine.Socket
	}
	them := startOracle(t, dir, args)
	up := them.up(t, socket)
	accepted := up || them.cmd.ProcessState.Success()
	if differs := accepted != (err == nil); differs != (v.differs != "") {
		t.Fatalf("memcached accepts: %v; error here: %v; stated difference: %q", accepted, err, v.differs)
	}
	if err != nil || !accepted {
		return
	}
	if up != (mine.Action == Serve) {
		t.Fatalf("memcached serves: %v; here: action %d", up, mine.Action)
	}
	if up {
		compareListeners(t, mine, them.portFile())
		compareSettings(t, mine, them.settings(t, mine))
	}
}

// uncompared are settings that memcached derives from its slabs.
var uncompared = map[string]bool{"slab_chunk_max": true}

func compareSettings(t *testing.T, mine *Options, theirs []Setting) {
	t.Helper()
	if theirs == nil {
		return
	}
	got := mine.Settings(Live{MaxBytes: mine.Memory, Verbosity: mine.Verbosity})
	keep := func(all []Setting) (kept []Setting) {
		for _, s := range all {
			if !uncompared[s.Name] {
				kept = append(kept, s)
			}
		}
		return kept
	}
	if d := cmp.Diff(keep(theirs), keep(got)); d != "" {
		t.Errorf("stats settings (-memcached +ours)\n%s", d)
	}
}

// compareListeners compares the number of sockets of each kind with memcached's port file. What a name stands for is the resolver's.
func compareListeners(t *testing.T, mine *Options, file string) {
	t.Helper()
	got := map[string]int{}
	count := func(network string, all []Listener) {
		for _, l := range all {
			a, err := netip.ParseAddr(l.Host)
			switch {
			case l.Host == "":
				got[network+" INET"]++
				got[network+" INET6"]++
			case err != nil:
				got["names"]++
			case a.Is4():
				got[network+" INET"]++
			default:
				got[network+" INET6"]++
			}
		}
	}
	count("TCP", mine.TCP())
	count("UDP", mine.UDP())
	if got["names"] > 0 {
		return
	}
	want := map[string]int{}
	for line := range strings.Lines(file) {
		network, _, _ := strings.Cut(line, ":")
		want[network]++
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sockets (-memcached +ours)\n%s", d)
	}
}

// TestPortFile compares WritePortFile's file with memcached's, byte for byte.
func TestPortFile(t *testing.T) {
	labtest.Needs(t, "memcached")
	dir := yard(t)
	them := startOracle(t, dir, []string{"-p", "-1", "-U", "-1", "-l", "127.0.0.1,::1,127.0.0.2"})
	if !them.up(t, "") {
		t.Skip("SKIP-NEEDS: IPv6 on loopback")
	}
	want := them.portFile()
	var bound []Bound
	ports := regexp.MustCompile(`\d+\n`).FindAllString(want, -1)
	for i, host := range []string{"127.0.0.1", "::1", "127.0.0.2", "127.0.0.1", "::1", "127.0.0.2"} {
		port, err := strconv.ParseUint(strings.TrimSpace(ports[i]), 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		bound = append(bound, Bound{UDP: i >= 3, Addr: netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port))})
	}
	path := filepath.Join(dir, "ours")
	if err := WritePortFile(path, bound); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if d := cmp.Diff(want, string(got)); d != "" || err != nil {
		t.Errorf("error %v; (-memcached +ours)\n%s", err, d)
	}
}

func TestPortLines(t *testing.T) {
	got := portLines([]Bound{
		{Addr: netip.MustParseAddrPort("0.0.0.0:11211")}, {Addr: netip.MustParseAddrPort("[::]:11211")},
		{UDP: true, Addr: netip.MustParseAddrPort("[::ffff:10.0.0.1]:5")},
	})
	if d := cmp.Diff("TCP INET: 11211\nTCP INET6: 11211\nUDP INET: 5\n", got); d != "" {
		t.Error(d)
	}
	err := WritePortFile(filepath.Join(t.TempDir(), "none", "ports"), nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(fmt.Sprint(err), "none") {
		t.Errorf("a directory that is not there: %v", err)
	}
}
