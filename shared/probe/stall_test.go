package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/conf"
)

// stallChild is the environment variable that makes the test binary a process that probes the address in it.
const stallChild = "EVERUP_TEST_STALL_CHILD"

func TestMain(m *testing.M) {
	if addr := os.Getenv(stallChild); addr != "" {
		probeAndTell(addr)
		return
	}
	os.Exit(m.Run())
}

// probeAndTell probes addr as 20 targets that fall at the first failure, and writes each change as a line, until
// its input ends.
func probeAndTell(addr string) {
	var cfg Config
	conf.SetDefaults(&cfg)
	cfg.TCP = &TCPConfig{Send: "x\n", Expect: "x"}
	cfg.Interval, cfg.Timeout, cfg.Fall, cfg.Rise = conf.Duration(time.Second), conf.Duration(time.Second), 1, 1
	r := NewRunner(RunnerOptions{})
	for i := range 20 {
		err := r.Add(fmt.Sprint(i), Target{Addr: mustAddrPort(addr)}, cfg, func(c Change) {
			fmt.Println(c.To, c.Result.Detail)
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	io.Copy(io.Discard, os.Stdin)
	fmt.Println("discarded", r.count.discarded.Load())
	r.Close()
}

// TestStoppedProcessBlamesNobody stops a probing process for longer than its timeout, several times: the
// checks that were under way then must not take their targets down.
func TestStoppedProcessBlamesNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: stops a process for 4 s in all")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var gate sync.RWMutex
	serveOn(t, ln, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		<-time.After(400 * time.Millisecond) // so that many checks are under way at any time
		gate.RLock()                         // an answer that lies ready could win against the deadline
		defer gate.RUnlock()
		io.WriteString(c, line)
	})
	cmd, in, out := startStallChild(t, ln.Addr().String())
	for range 20 {
		if line, _ := out.ReadString('\n'); !strings.HasPrefix(line, "up ") {
			t.Fatalf("first change %q", line)
		}
	}
	for range maxDiscards { // one more could make a check count whose every try was stopped
		<-time.After(500 * time.Millisecond)
		gate.Lock()
		stopFor(t, cmd.Process, 1300*time.Millisecond)
		<-time.After(50 * time.Millisecond)
		gate.Unlock()
	}
	<-time.After(500 * time.Millisecond) // the last stop's results are judged
	in.Close()
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(rest)
	if strings.Contains(text, "down") || !strings.Contains(text, "discarded ") || strings.Contains(text, "discarded 0\n") {
		t.Errorf("after the stops the process told:\n%s", text)
	}
	t.Logf("%s", text)
}

func startStallChild(t *testing.T, addr string) (*exec.Cmd, io.Closer, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stallChild+"="+addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // fails only if it is dead
		cmd.Wait()
	})
	return cmd, in, bufio.NewReader(out)
}

func stopFor(t *testing.T, p *os.Process, d time.Duration) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(d)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
