package probe

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// startReal starts a server program that dies with the test. It skips the test where the program is missing.
func startReal(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	labtest.Needs(t, program)
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := &boundedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // fails only if it is dead
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s %s wrote:\n%s", program, strings.Join(args, " "), out.b)
		}
	})
	return cmd
}

// soon waits until the check is OK, or is not OK with the word in its detail.
func soon(t testing.TB, addr, text string, ok bool, word string) Result {
	t.Helper()
	var r Result
	labtest.Eventually(t, 20*time.Second, fmt.Sprintf("ok=%v %q by %s", ok, word, text), func() error {
		r = check(t, addr, text)
		if r.OK == ok && strings.Contains(r.Detail, word) {
			return nil
		}
		return fmt.Errorf("%+v", r)
	})
	return r
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

func TestRealMemcached(t *testing.T) {
	addr := labtest.FreeAddr(t)
	cmd := startReal(t, "memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port(addr), "-U", "0", "-m", "8")
	soon(t, addr, "type: memcached", true, "version 1.")

	// A stopped process still accepts, by the kernel: TCP does not see what the protocol sees.
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tg := Target{Addr: mustAddrPort(addr)}
	wantOK(t, checkTarget(t, tg, "type: tcp", patience))
	wantBad(t, checkTarget(t, tg, "type: memcached", 300*time.Millisecond), fault.Timeout)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	soon(t, addr, "type: memcached", false, "refused")
}

func TestRealRedis(t *testing.T) {
	primary, replica := labtest.FreeAddr(t), labtest.FreeAddr(t)
	start := func(addr string, more ...string) *exec.Cmd {
		args := []string{"--bind", "127.0.0.1", "--port", port(addr), "--save", "", "--requirepass", "s3cret",
			"--masterauth", "s3cret", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
		return startReal(t, "redis-server", append(args, more...)...)
	}
	first := start(primary)
	start(replica, "--replicaof", "127.0.0.1 "+port(primary))
	with := func(options string) string { return "{type: redis, redis: {password: s3cret" + options + "}}" }

	soon(t, primary, with(""), true, "PONG")
	wantBad(t, check(t, primary, "type: redis"), fault.Denied, "NOAUTH")
	wantBad(t, check(t, primary, "{type: redis, redis: {password: wrong}}"), fault.Denied, "WRONGPASS")
	wantOK(t, check(t, primary, "{type: redis, redis: {user: default, password: s3cret}}"))
	soon(t, primary, with(", role: primary"), true, "primary with 1 replicas")
	wantBad(t, check(t, primary, with(", role: replica")), fault.Unavailable, "role is primary")
	soon(t, replica, with(", role: replica, max_lag: 5s"), true, "replica, heard")
	wantBad(t, check(t, replica, with(", role: primary")), fault.Unavailable, "role is replica")

	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	soon(t, replica, with(", role: replica"), false, `link to its primary is "down"`)
	wantOK(t, check(t, replica, with("")), "PONG")
}

// TestRealRedisLoading asks a server that reads its data from disk.
func TestRealRedisLoading(t *testing.T) {
	addr := labtest.FreeAddr(t)
	first := startReal(t, "redis-server", "--bind", "127.0.0.1", "--port", port(addr), "--save", "",
		"--appendonly", "no", "--enable-debug-command", "local")
	soon(t, addr, "type: redis", true, "PONG")
	cli(t, addr, "DEBUG", "POPULATE", "20000")
	cli(t, addr, "SAVE")
	dir := first.Dir
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	startReal(t, "redis-server", "--bind", "127.0.0.1", "--port", port(addr), "--save", "", "--dir", dir,
		"--key-load-delay", "200", "--loading-process-events-interval-bytes", "1024")
	soon(t, addr, "type: redis", false, "LOADING")
}

func cli(t testing.TB, addr string, args ...string) {
	t.Helper()
	labtest.Needs(t, "redis-cli")
	out, err := exec.Command("redis-cli", append([]string{"-p", port(addr)}, args...)...).CombinedOutput()
	if err != nil || strings.HasPrefix(string(out), "ERR") {
		t.Fatalf("redis-cli %v: %v %s", args, err, out)
	}
}
