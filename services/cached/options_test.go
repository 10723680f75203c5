package cached

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"golang.org/x/sys/unix"
)

// portsOf reads the file that MEMCACHED_PORT_FILENAME names, "TCP INET" and so on to the ports in their order.
func portsOf(t *testing.T, path string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		kind, port, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(port); !ok || err != nil || n == 0 {
			t.Errorf("line %q in the file of ports", line)
		}
		out[kind] = append(out[kind], port)
	}
	return out
}

// anyPort are the options and the environment for a TCP port that the kernel chooses.
func anyPort(t *testing.T, args ...string) (env, all []string, addr func() string) {
	file := filepath.Join(openDir(t), "ports")
	addr = func() string {
		t.Helper()
		ports := portsOf(t, file)["TCP INET"]
		if len(ports) == 0 {
			t.Fatal("no port is told")
		}
		return "127.0.0.1:" + ports[0]
	}
	return []string{"MEMCACHED_PORT_FILENAME=" + file}, append([]string{"-p", "-1"}, args...), addr
}

func TestOptionsOfMemcached(t *testing.T) {
	env, args, addr := anyPort(t, "-l", "127.0.0.1", "-m", "100", "-c", "5", "-t", "2", "-I", "2m", "-b", "99", "-f", "1.5", "-D", "|",
		"-C", "-M", "-F", "-X", "-W", "-A", "-v", "-o", "idle_timeout=77,hashpower=20,no_lru_maintainer")
	p := launchMemcached(t, env, args...)
	c := dial(t, "tcp", addr())
	c.settings("maxbytes=104857600", "maxconns=5", "num_threads=2", "item_size_max=2097152", "tcp_backlog=99", "growth_factor=1.50",
		"cas_enabled=no", "evictions=off", "flush_enabled=no", "dump_enabled=no", "shutdown_command=yes", "verbosity=1", "inter=127.0.0.1",
		"idle_timeout=77", "hashpower_init=20", "lru_maintainer_thread=no", "detail_enabled=yes", "stat_key_prefix=|", "maxconns_fast=yes", "binding_protocol=auto-negotiate", "domain_socket=NULL",
		"udpport=0", "tcpport=-1")
	c.ask("set a 0 0 1\r\nx\r\ngets a\r\n", "STORED", "VALUE a 0 1 0", "x", "END")
	c.ask("flush_all\r\nlru_crawler metadump all\r\n", "CLIENT_ERROR flush_all not allowed", "ERROR metadump not allowed")
	c.ask("watch\r\n", "CLIENT_ERROR watch commands not allowed")
	c.ask("set p|a 0 0 1\r\nx\r\nstats detail dump\r\n", "STORED", "PREFIX p get 0 hit 0 set 1 del 0", "END")
	p.logs(`accepted, without effect`)
	if text := p.text(); !strings.Contains(text, "-o hashpower") || strings.Contains(text, `"level":"debug"`) {
		t.Errorf("the log at -v:\n%s", text)
	}
	// -M: a full cache refuses.
	full := false
	for i := 0; i < 1000 && !full; i++ {
		fmt.Fprintf(c, "set big%d 0 0 200000\r\n%s\r\n", i, strings.Repeat("x", 200_000))
		line, err := c.r.ReadString('\n')
		if full = line == "SERVER_ERROR out of memory storing object\r\n"; !full && line != "STORED\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if got := c.stats(); !full || got["evictions"] != "0" {
		t.Errorf("full with -M: refused %v, %s evictions", full, got["evictions"])
	}
	// -c 5
	for range 4 {
		dial(t, "tcp", addr()).ask("version\r\n", "VERSION "+stats.Version)
	}
	last := dial(t, "tcp", addr())
	last.ask("", "ERROR Too many open connections")
	last.ended("the sixth of five")
	// -A
	c.ask("shutdown what\r\n", "CLIENT_ERROR invalid shutdown mode")
	c.ask("shutdown\r\n")
	c.ended("shutdown")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d after shutdown", code)
	}
	if left, err := os.ReadDir(p.tmp); err != nil || len(left) != 0 {
		t.Errorf("in the directory for temporary files are left %v, %v", left, err)
	}
}

func TestOptionsForListeners(t *testing.T) {
	dir := openDir(t)
	udp := strconv.Itoa(labtest.FreePort(t))
	env, args, _ := anyPort(t, "-l", "127.0.0.1,proto[binary]:127.0.0.3", "-l", "tag[x]:127.0.0.2", "-U", udp, "-A")
	p := launchMemcached(t, env, args...)
	ports := portsOf(t, strings.TrimPrefix(env[0], "MEMCACHED_PORT_FILENAME="))
	if len(ports["TCP INET"]) != 3 || len(ports["UDP INET"]) != 3 || ports["UDP INET"][0] != udp {
		t.Fatalf("ports %v", ports)
	}
	c := dial(t, "tcp", "127.0.0.1:"+ports["TCP INET"][0])
	c.settings("udpport="+udp, "inter=127.0.0.1,proto[binary]:127.0.0.3,tag[x]:127.0.0.2")
	dial(t, "tcp", "127.0.0.2:"+ports["TCP INET"][2]).ask("version\r\n", "VERSION "+stats.Version)
	only := dial(t, "tcp", "127.0.0.3:"+ports["TCP INET"][1])
	only.ask("version\r\n")
	only.ended("text where only binary is spoken")
	c.ask("shutdown graceful\r\n")
	c.ended("shutdown graceful")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}

	socket := filepath.Join(dir, "s")
	p = launchMemcached(t, nil, "-s", socket, "-a", "0777", "-p", "11211")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	c = dial(t, "unix", socket)
	c.settings("domain_socket="+socket, "umask=777")
	c.ask("shutdown\r\n", "SERVER_ERROR: shutdown not enabled")
	p.signal(syscall.SIGTERM)
	p.exit()
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left")
	}
}

func TestOptionsThatEnd(t *testing.T) {
	f := func(code int, out, errs string, args ...string) {
		t.Helper()
		got := command(t, nil, args...)
		if got.code != code || !strings.Contains(got.out, out) || !strings.Contains(got.errors, errs) || code != 0 && got.out != "" {
			t.Errorf("cached %v: code %d, %.200q, %q; want %d, %q, %q", args, got.code, got.out, got.errors, code, out, errs)
		}
	}
	f(0, "-p, --port", "", "-h")
	f(0, stats.Version, "", "-V")
	f(0, "everup cached", "", "-i")
	f(2, "", "-Q", "-p", "11211", "-Q")
	f(2, "", "relaxed_privilege", "-o", "relaxed_privilege")
	f(2, "", "-I", "-I", "256m", "-m", "64")
	f(2, "", "-I", "-I", "1000")
	f(2, "", "-p", "-p", "70000")
	if os.Geteuid() == 0 {
		f(1, "", "-u (--user)", "-p", "0")
		f(1, "", "no-such-user", "-u", "no-such-user", "-p", "0")
	}
	f(1, "", "ssl_ciphers", asRoot([]string{"-Z", "-o", "ssl_chain_cert=/c,ssl_ciphers=AES128-SHA"})...)
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1} {
		socket := filepath.Join(openDir(t), "s")
		p := launchMemcached(t, nil, "-s", socket)
		c := dial(t, "unix", socket)
		c.ask("set a 0 0 1\r\nx\r\n", "STORED")
		p.signal(syscall.SIGHUP)
		p.await("RELOADING=1")
		p.await("READY=1")
		c.ask("get a\r\n", "VALUE a 0 1", "x", "END")
		p.signal(sig)
		c.ended(sig.String())
		if code := p.exit(); code != 0 {
			t.Errorf("%v: exit code %d\n%s", sig, code, p.text())
		}
		if left, err := os.ReadDir(p.tmp); err != nil || len(left) != 0 {
			t.Errorf("%v: left are %v, %v", sig, left, err)
		}
	}
}

// goneAfter waits for the end of a process that is not our child.
func goneAfter(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("process %d lives on: %v", pid, err)
	}
}

func TestDaemonize(t *testing.T) {
	dir := openDir(t)
	socket, pidFile := filepath.Join(dir, "s"), filepath.Join(dir, "pid")
	env := []string{"TMPDIR=" + openDir(t)}
	args := asRoot([]string{"-d", "-s", socket, "-P", pidFile})
	// That command returns shows that the daemon does not hold the standard error of who started it.
	if got := command(t, env, args...); got.code != 0 || got.errors != "" {
		t.Fatalf("-d: %+v", got)
	}
	b, err := os.ReadFile(pidFile)
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || convErr != nil {
		t.Fatalf("the file of the process id: %q, %v", b, err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) }) // fails when all went well
	c := dial(t, "unix", socket)
	if got := c.stats()["pid"]; got != strconv.Itoa(pid) {
		t.Errorf("process %s serves, %d is told", got, pid)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("the daemon is in session %d, %v", sid, err)
	}

	// A second one that cannot serve says so and leaves the files of the first alone.
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	_, taken, _ := net.SplitHostPort(port.Addr().String())
	got := command(t, env, asRoot([]string{"-d", "-l", "127.0.0.1", "-p", taken, "-P", pidFile})...)
	if got.code == 0 || !strings.Contains(got.errors, "address in use") {
		t.Errorf("-d on a port that is taken: %+v", got)
	}
	if again, err := os.ReadFile(pidFile); string(again) != string(b) {
		t.Errorf("the file of the process id is now %q, %v", again, err)
	}
	goneAfter(t, pid, syscall.SIGTERM)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestBecomesAnotherUser(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	env, args, addr := anyPort(t, "-l", "127.0.0.1", "-u", "nobody", "-c", "2000")
	p := launch(t, env, args...)
	if _, err := os.Stat(binaryOf(t)); err != nil {
		t.Fatal(err)
	}
	dial(t, "tcp", addr()).settings("maxconns=2000")
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t65534 \n"} {
		if !strings.Contains(string(b), line) {
			t.Errorf("no line %q in\n%s", line, b)
		}
	}
	socket := filepath.Join(openDir(t), "s")
	launch(t, nil, "-u", "nobody", "-s", socket, "-a", "0700")
	var st unix.Stat_t
	if err := unix.Stat(socket, &st); err != nil || st.Uid != 65534 || st.Mode&0o777 != 0o700 {
		t.Errorf("the socket belongs to %d with mode %o, %v", st.Uid, st.Mode, err)
	}
	dial(t, "unix", socket).ask("version\r\n", "VERSION "+stats.Version)
}

// Bound as memcached binds, beyond loopback, and nobody is asked who he is: that is said.
func TestWarnsWhenAnybodyMayUseIt(t *testing.T) {
	const item = "cached.exposed"
	level := func(p *process) health.Level {
		for _, h := range status(t, p.admin()).Health {
			if h.ID == item {
				return h.Level
			}
		}
		t.Error("no item " + item)
		return 0
	}
	env, args, _ := anyPort(t)
	p := launchMemcached(t, env, args...)
	if level(p) != health.Warn {
		t.Error("listening on all addresses is no finding")
	}
	p.logs(`beyond loopback without authentication`)

	users := usersFile(t, "u:p")
	env, args, _ = anyPort(t, "-Y", users)
	if p := launchMemcached(t, env, args...); level(p) != health.OK {
		t.Error("with -Y it is a finding")
	}
}

func usersFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	writeUsers(t, path, lines...)
	return path
}

func writeUsers(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// login is the text protocol's.
func login(user, password string) string {
	s := user + " " + password
	return fmt.Sprintf("set x 0 0 %d\r\n%s\r\n", len(s), s)
}

func TestAuthFile(t *testing.T) {
	users := usersFile(t, "anna:right", "bob:secret")
	env, args, addr := anyPort(t, "-l", "127.0.0.1", "-Y", users)
	p := launchMemcached(t, env, args...)
	c := dial(t, "tcp", addr())
	c.ask("get a\r\n", "CLIENT_ERROR unauthenticated")
	c = dial(t, "tcp", addr())
	c.ask(login("anna", "wrong"), "CLIENT_ERROR authentication failure")
	c.ask(login("anna", "right"), "STORED")
	c.ask("set a 0 0 1\r\nx\r\nget a\r\n", "STORED", "VALUE a 0 1", "x", "END")
	c.settings("auth_enabled_ascii="+users, "binding_protocol=ascii")

	writeUsers(t, users, "anna:changed")
	p.signal(syscall.SIGHUP)
	p.await("RELOADING=1")
	p.await("READY=1")
	c.ask("get a\r\n", "VALUE a 0 1", "x", "END") // who is in stays in
	dial(t, "tcp", addr()).ask(login("bob", "secret"), "CLIENT_ERROR authentication failure")
	dial(t, "tcp", addr()).ask(login("anna", "changed"), "STORED")

	for range 6 {
		dial(t, "tcp", addr()).ask(login("anna", "guess"), "CLIENT_ERROR authentication failure")
	}
	dial(t, "tcp", addr()).ask(login("anna", "changed"), "CLIENT_ERROR authentication failure") // too many failed from here
	if got := c.stats(); got["auth_errors"] < "8" {
		t.Errorf("auth_errors is %s", got["auth_errors"])
	}
	labtest.Eventually(t, patience, "to be let in again", func() error {
		d := dial(t, "tcp", addr())
		defer d.Close()
		io.WriteString(d, login("anna", "changed"))
		if line, err := d.r.ReadString('\n'); line != "STORED\r\n" {
			return fmt.Errorf("%q, %v", line, err)
		}
		return nil
	})
}

// packet asks in the binary protocol and returns the status and the body of the answer.
func (c *client) packet(opcode byte, key, value string) (status uint16, body string) {
	c.t.Helper()
	h := make([]byte, 24)
	h[0], h[1] = 0x80, opcode
	binary.BigEndian.PutUint16(h[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(h[8:], uint32(len(key)+len(value)))
	if _, err := c.Write(append(append(h, key...), value...)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.ReadFull(c.r, h); err != nil {
		c.t.Fatalf("answer to packet %#x: %v", opcode, err)
	}
	b := make([]byte, binary.BigEndian.Uint32(h[8:]))
	if _, err := io.ReadFull(c.r, b); err != nil {
		c.t.Fatal(err)
	}
	return binary.BigEndian.Uint16(h[6:]), string(b)
}

func TestSASL(t *testing.T) {
	const list, auth, get, version, refused = 0x20, 0x21, 0x00, 0x0b, 0x20
	env, args, addr := anyPort(t, "-l", "127.0.0.1", "-S", "-v")
	env = append(env, "MEMCACHED_SASL_PWDB="+usersFile(t, "anna:right:ignored"))
	launchMemcached(t, env, args...)
	f := func(c *client, opcode byte, key, value string, status uint16, body string) {
		t.Helper()
		if gotStatus, gotBody := c.packet(opcode, key, value); gotStatus != status || gotBody != body {
			t.Errorf("%#x %q %q: %#x, %q; want %#x, %q", opcode, key, value, gotStatus, gotBody, status, body)
		}
	}
	f(dial(t, "tcp", addr()), get, "a", "", refused, "Auth failure.")
	c := dial(t, "tcp", addr())
	f(c, auth, "PLAIN", "\x00anna\x00wrong", refused, "Auth failure.")
	f(c, get, "a", "", refused, "Auth failure.")
	c.ended("a get without a login")
	c = dial(t, "tcp", addr())
	f(c, list, "", "", 0, "PLAIN")
	f(c, auth, "PLAIN", "\x00anna\x00right", 0, "Authenticated")
	f(c, get, "a", "", 1, "Not found")
	for range 6 {
		f(dial(t, "tcp", addr()), auth, "PLAIN", "\x00anna\x00guess", refused, "Auth failure.")
	}
	f(dial(t, "tcp", addr()), auth, "PLAIN", "\x00anna\x00right", refused, "Auth failure.") // too many failed from here
	f(c, version, "", "", 0, stats.Version)
	text := dial(t, "tcp", addr())
	text.ask("version\r\n")
	text.ended("text with -S")

	without := command(t, nil, asRoot([]string{"-S", "-p", "0"})...)
	if without.code == 0 || !strings.Contains(without.errors, "MEMCACHED_SASL_PWDB") {
		t.Errorf("-S without users: %+v", without)
	}
}
