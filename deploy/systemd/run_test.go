package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// configs are the smallest configurations that open no fixed port.
var configs = map[string]string{
	"lbd":      "listen: [\"127.0.0.1:0\"]\n",
	"dnsd":     "listen: [\"127.0.0.1:0\"]\n",
	"cached":   "listen: [\"127.0.0.1:0\"]\n",
	"storaged": "listen: 127.0.0.1:0\n",
	"logd":     "listen: {udp: [\"127.0.0.1:0\"], tcp: [\"127.0.0.1:0\"]}\n",
}

// unitRun is a daemon as systemd would run it from its unit, with its specifiers, environment and notify socket.
type unitRun struct {
	t      *testing.T
	name   string
	unit   string
	etc    string // stands for /etc/everup
	env    []string
	notify *net.UnixConn
}

func newUnitRun(t *testing.T, name string) *unitRun {
	t.Helper()
	dir := t.TempDir()
	u := &unitRun{t: t, name: name, unit: read(t, name+".service"), etc: filepath.Join(dir, "etc/everup")}
	state, runtime := filepath.Join(dir, "state"), filepath.Join(dir, "run")
	for _, d := range []string{u.etc, state, runtime} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(u.etc, name+".yaml"), []byte("node: n1\n"+configs[name]), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	u.notify = c
	// The watchdog of the unit is 10 s; a shorter one makes the test short.
	u.env = []string{
		"PATH=" + os.Getenv("PATH"), "CONFIGURATION_DIRECTORY=" + u.etc, "STATE_DIRECTORY=" + state, "RUNTIME_DIRECTORY=" + runtime,
		"LOGS_DIRECTORY=" + filepath.Join(dir, "logs"), "NOTIFY_SOCKET=" + addr, "WATCHDOG_USEC=600000",
	}
	return u
}

// command returns a command line of the unit, run by the built binary in the test's directories.
func (u *unitRun) command(key string) *exec.Cmd {
	u.t.Helper()
	lines := values(u.unit, key)
	if len(lines) != 1 {
		u.t.Fatalf("%s: %s is there %d times", u.name, key, len(lines))
	}
	words := strings.Fields(strings.ReplaceAll(lines[0], "%E/everup", u.etc))
	if words[0] != "/usr/bin/"+u.name {
		u.t.Fatalf("%s: %s runs %s", u.name, key, words[0])
	}
	cmd := exec.CommandContext(u.t.Context(), labtest.BuildBinary(u.t, "github.com/everup/everup/services/"+u.name+"/cmd/"+u.name), words[1:]...)
	cmd.Env = u.env
	return cmd
}

// until waits for a notification that holds want.
func (u *unitRun) until(want string) {
	u.t.Helper()
	u.notify.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 4096)
	for {
		n, err := u.notify.Read(b)
		if err != nil {
			u.t.Fatalf("%s: no %s came: %v", u.name, want, err)
		}
		if strings.Contains("\n"+string(b[:n])+"\n", "\n"+want+"\n") {
			return
		}
	}
}

// TestRun runs each daemon by its unit's own command lines, from start to stop.
func TestRun(t *testing.T) {
	for _, d := range daemons {
		t.Run(d, func(t *testing.T) {
			u := newUnitRun(t, d)
			cmd := u.command("ExecStart")
			log := &strings.Builder{}
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			defer func() {
				if t.Failed() {
					cmd.Process.Kill()
					fmt.Fprintln(t.Output(), <-ended, log)
				}
			}()
			u.until("READY=1")
			u.until("WATCHDOG=1")
			if out, err := u.command("ExecReload").CombinedOutput(); err != nil {
				t.Fatalf("reload: %v\n%s", err, out)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			u.until("STOPPING=1")
			select {
			case err := <-ended:
				if err != nil {
					ended <- err
					t.Fatalf("after SIGTERM: %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}
