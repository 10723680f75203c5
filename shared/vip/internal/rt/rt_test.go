package rt

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
)

const roleVar = "EVERUP_TEST_RT"

// TestMain makes this binary its own child: what Enter changes is the whole process.
func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	got := Enter(7)
	go func() {}() // perhaps another thread
	fmt.Println(got.Realtime, got.Locked, got.Refused)
	tids, _ := threads()
	for _, tid := range tids {
		attr, err := unix.SchedGetAttr(tid, 0)
		fmt.Println("thread", attr.Policy, attr.Priority, err)
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), roleVar+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestEnter: all threads get what the process asks for, as root.
func TestEnter(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	out := run(t, "/proc/self/exe")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if lines[0] != "true true <nil>" || len(lines) < 3 {
		t.Fatalf("it got %s", out)
	}
	for _, line := range lines[1:] {
		if line != "thread 1 7 <nil>" {
			t.Errorf("%s", line)
		}
	}
}

// TestRefused: without the capabilities it says so and goes on.
func TestRefused(t *testing.T) {
	labtest.Needs(t, labtest.Root, "setpriv", "prlimit")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, "prlimit", "--memlock=65536", "--rtprio=0", "setpriv", "--bounding-set", "-sys_nice,-ipc_lock", "--inh-caps", "-all", exe)
	if !strings.HasPrefix(out, "false false ") || !strings.Contains(out, "CAP_IPC_LOCK lacks") || !strings.Contains(out, "set SCHED_FIFO") {
		t.Errorf("it got %s", out)
	}
}

func TestLacking(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	both := []Capability{{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_CHECKPOINT_RESTORE", unix.CAP_CHECKPOINT_RESTORE}}
	if lacking, err := Lacking(both[:1]...); err != nil || len(lacking) > 0 {
		t.Errorf("root lacks %v, %v", lacking, err)
	}
	runtime.LockOSThread() // and is not unlocked: the thread is of no more use
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		t.Fatal(err)
	}
	if lacking, err := Lacking(both...); err != nil || strings.Join(lacking, " ") != "CAP_NET_ADMIN CAP_CHECKPOINT_RESTORE" {
		t.Errorf("without any it lacks %v, %v", lacking, err)
	}
}
